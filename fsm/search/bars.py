"""One symbol's prices as a search needs them: where they cannot have been in a bar, its marks, and the bar itself."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

from exchange.candle_columns import FloatArray
from exchange.filters import SymbolFilters
from exchange.sim.playback.candle_path import Bar, Quote
from exchange.sim.playback.feed import SymbolFeed
from fsm.search.straight.columns import Bars as WholeBars
from fsm.search.straight.columns import bars_of, decimals

UNITS = 10**8
"""Of a price: marks are counted in hundred-millionths."""

UNIT = Decimal("1E-8")

_EXACT_MAX = 10**15

BARS_KEPT = 10_000
"""Bars with their paths that all symbols together keep for other variants; one that has more lets all of its go."""


class Bars:
    """The bars of a symbol, by number; bar 0 opens at ``start_ms``. All variants share them, and they keep so many."""

    def __init__(self, feed: SymbolFeed, kept: int = BARS_KEPT) -> None:
        self.feed = feed
        self.step_ms = feed.step.ms
        self.start_ms = feed.start_ms
        self.count = (feed.end_ms - feed.start_ms) // self.step_ms
        bounds = map(_view, feed.bounds.of_all(self.count))
        self.low_last, self.high_last, self.low_mark, self.high_mark = bounds
        marks = feed.marks_of_bars()
        self._marks = None if marks is None else _view(marks)
        self._kept = kept
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
        if self.feed.is_plain:
            return self.feed.opening(open_ms)
        if open_ms not in self._opening:
            self._make_room(self._opening)
            self._opening[open_ms] = self.feed.opening(open_ms)
        return self._opening[open_ms]

    def closing(self, open_ms: int) -> Quote | None:
        """Prices at which it ends."""
        if self.feed.is_plain:
            return self.feed.closing(open_ms)
        if open_ms not in self._closing:
            self._make_room(self._closing)
            self._closing[open_ms] = self.feed.closing(open_ms)
        return self._closing[open_ms]

    def bar(self, open_ms: int) -> Bar | None:
        """With the path that prices take through it."""
        if open_ms not in self._bars:
            self._make_room(self._bars)
            self._bars[open_ms] = self.feed.bar(open_ms)
        return self._bars[open_ms]

    def _make_room(self, kept: dict[int, Any]) -> None:
        if len(kept) >= self._kept:
            kept.clear()

    def mark(self, number: int) -> int | None:
        """The mark at which a bar begins, in units; None where it was not recorded or is no whole number of them."""
        if self._marks is not None:
            price: float = self._marks[number]
            if math.isnan(price):
                return None
            units = round(price * UNITS)
            if units / UNITS == price and units < _EXACT_MAX:
                return units
        quote = self.opening(self.start_ms + number * self.step_ms)
        exact = None if quote is None else quote.mark * UNITS
        return int(exact) if exact is not None and exact == int(exact) else None


def _view(column: FloatArray) -> memoryview:
    """Whose numbers are plain ones, and quickly read."""
    return np.ascontiguousarray(column).data
