"""One symbol's prices as a search needs them: where they cannot have been in a bar, its marks, and the bar itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exchange.filters import SymbolFilters
from exchange.sim.playback.candle_path import Bar, Quote
from exchange.sim.playback.feed import SymbolFeed
from fsm.search.straight.columns import Bars as WholeBars
from fsm.search.straight.columns import bars_of, decimals

UNITS = 10**8
"""Of a price: marks are counted in hundred-millionths."""

_EXACT_MAX = 10**15
_UNKNOWN, _NONE = -1, -2

BARS_KEPT = 20_000
"""Bars with their paths that are kept for other variants; when there are more, all are let go."""


class Bars:
    """The bars of a symbol, by number; bar 0 opens at ``start_ms``. All variants share them."""

    def __init__(self, feed: SymbolFeed) -> None:
        self.feed = feed
        self.step_ms = feed.step.ms
        self.start_ms = feed.start_ms
        self.count = (feed.end_ms - feed.start_ms) // self.step_ms
        bounds = feed.bounds.over(self.start_ms, self.count)
        self.low_last, self.high_last = bounds.low_last.data, bounds.high_last.data
        self.low_mark, self.high_mark = bounds.low_mark.data, bounds.high_mark.data
        self.marks = _counted(feed, self.count).data
        self._whole: dict[int, WholeBars | None] = {}
        self._opening: dict[int, Quote | None] = {}
        self._closing: dict[int, Quote | None] = {}
        self._bars: dict[int, Bar | None] = {}

    def whole(self, filters: SymbolFilters) -> WholeBars | None:
        """All of them as whole numbers that prices by these rules are, too; None where they cannot be counted."""
        digits = max(decimals(filters.tick_size), decimals(filters.price_min))
        if digits not in self._whole:
            self._whole[digits] = bars_of(self.feed, digits)
        return self._whole[digits]

    def number(self, open_ms: int) -> int | None:
        """Of the bar that opens then; None where there can be none."""
        number = (open_ms - self.start_ms) // self.step_ms
        return number if 0 <= number < self.count else None

    def has(self, open_ms: int) -> bool:
        return self.opening(open_ms) is not None

    def opening(self, open_ms: int) -> Quote | None:
        """Prices at which the bar begins that opens then; None where it was not recorded."""
        if open_ms not in self._opening:
            self._opening[open_ms] = self.feed.opening(open_ms)
        return self._opening[open_ms]

    def closing(self, open_ms: int) -> Quote | None:
        """Prices at which it ends."""
        if open_ms not in self._closing:
            self._closing[open_ms] = self.feed.closing(open_ms)
        return self._closing[open_ms]

    def bar(self, open_ms: int) -> Bar | None:
        """With the path that prices take through it."""
        if open_ms not in self._bars:
            if len(self._bars) >= BARS_KEPT:
                self._bars.clear()
            self._bars[open_ms] = self.feed.bar(open_ms)
        return self._bars[open_ms]

    def mark(self, number: int) -> int | None:
        """The mark at which a bar begins, in units; None where it was not recorded or is no whole number of them."""
        found: int = self.marks[number]
        if found == _UNKNOWN:
            quote = self.opening(self.start_ms + number * self.step_ms)
            units = None if quote is None else quote.mark * UNITS
            found = self.marks[number] = int(units) if units is not None and units == int(units) else _NONE
        return None if found == _NONE else found


def _counted(feed: SymbolFeed, count: int) -> npt.NDArray[np.int64]:
    """The marks in units; those that are not known at once are counted when they are asked for."""
    marks = feed.marks_of_bars()
    if marks is None:
        return np.full(count, _UNKNOWN, dtype=np.int64)
    there = ~np.isnan(marks)
    units = np.rint(np.where(there, marks, 0.0) * UNITS)
    exact = (units / UNITS == marks) & (units < _EXACT_MAX)
    return np.where(there, np.where(exact, units, _UNKNOWN), _NONE).astype(np.int64)
