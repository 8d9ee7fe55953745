"""Says where prices cannot have been in a bar, over arrays: levels outside of its bounds are not reached in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from exchange.candle_columns import CandleColumns, FloatArray
from exchange.sim.core.motion import Levels
from exchange.sim.playback.candle_path import MARK_WICK
from indicators.candle import Timeframe

BLOCK = 512
"""Bars whose bounds are computed at once, and kept until others are asked for."""

_WICK = float(MARK_WICK)


class Block(NamedTuple):
    """Bounds of consecutive bars; a bar that was not recorded has none, so anything may happen in it."""

    low_last: FloatArray
    high_last: FloatArray
    low_mark: FloatArray
    high_mark: FloatArray


class Bounds:
    """Bounds of both prices in the bars of one symbol. They may be wider than its path, never narrower."""

    def __init__(
        self, candles: CandleColumns, mark: CandleColumns | None, finer: Sequence[CandleColumns], step: Timeframe
    ) -> None:
        self._candles = candles
        self._mark = mark
        self._finer = finer
        self._step_ms = step.ms
        self._number = -1
        self._block = Block(*(np.empty(0),) * 4)

    def first_reached(self, levels: Levels, from_ms: int, until_ms: int) -> int:
        """Open time of the first bar in [from, until) in which a level may be reached, else ``until_ms``."""
        step, size_ms = self._step_ms, self._step_ms * BLOCK
        at_ms = from_ms
        while at_ms < until_ms:
            number = at_ms // size_ms
            if number != self._number:
                self._block, self._number = self.over(number * size_ms), number
            first = (at_ms - number * size_ms) // step
            until = min(BLOCK, (until_ms - number * size_ms) // step)
            place = _first(self._block, levels, first, until)
            if place is not None:
                return number * size_ms + place * step
            at_ms = number * size_ms + until * step
        return until_ms

    def of_all(self, count: int) -> Block:
        """Of so many bars from the first on, in little memory: smoothed marks stay within the last prices."""
        candles = self._candles
        if self._mark is not None or self._finer:
            return self.over(int(candles.open_time_ms[0]), count)
        if count == candles.length:
            low, high = candles.low, candles.high
        else:
            low, high, _, _ = self.over(int(candles.open_time_ms[0]), count)
        return Block(low, high, low, high)

    def over(self, start_ms: int, count: int = BLOCK) -> Block:
        """Of so many bars from this one on."""
        low, high = np.full(count, -np.inf), np.full(count, np.inf)
        end_ms = start_ms + count * self._step_ms
        candles, here = self._candles, self._candles.between(start_ms, end_ms)
        places = (candles.open_time_ms[here] - start_ms) // self._step_ms
        opens, closes = candles.open[here], candles.close[here]
        top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
        low[places], high[places] = np.minimum(candles.low[here], bottom), np.maximum(candles.high[here], top)
        low_mark, high_mark = low.copy(), high.copy()
        low_mark[places] = bottom - (bottom - low[places]) * _WICK
        high_mark[places] = top + (high[places] - top) * _WICK
        for columns in self._finer:
            self._widen(columns, start_ms, end_ms, low, high)
            touched = np.unique((columns.open_time_ms[columns.between(start_ms, end_ms)] - start_ms) // self._step_ms)
            low_mark[touched], high_mark[touched] = low[touched], high[touched]
        if self._mark is not None:
            self._widen_by_mark(self._mark, start_ms, end_ms, low_mark, high_mark)
        return Block(low, high, low_mark, high_mark)

    def _widen(self, columns: CandleColumns, start_ms: int, end_ms: int, low: FloatArray, high: FloatArray) -> None:
        """By finer candles than a bar."""
        here = columns.between(start_ms, end_ms)
        places = (columns.open_time_ms[here] - start_ms) // self._step_ms
        for column in (columns.open, columns.high, columns.low, columns.close):
            np.minimum.at(low, places, column[here])
            np.maximum.at(high, places, column[here])

    def _widen_by_mark(
        self, mark: CandleColumns, start_ms: int, end_ms: int, low: FloatArray, high: FloatArray
    ) -> None:
        """By recorded marks, whose candles may be longer than a bar."""
        long_ms = mark.timeframe.ms
        here = mark.between(start_ms - start_ms % long_ms, end_ms)
        for ahead_ms in range(0, long_ms, self._step_ms):
            places = (mark.open_time_ms[here] + ahead_ms - start_ms) // self._step_ms
            within = (places >= 0) & (places < len(low))
            for column in (mark.open, mark.high, mark.low, mark.close):
                np.minimum.at(low, places[within], column[here][within])
                np.maximum.at(high, places[within], column[here][within])


def _first(block: Block, levels: Levels, first: int, until: int) -> int | None:
    here = slice(first, until)
    reached = np.zeros(until - first, dtype=np.bool_)
    for bounds, level, is_lower in (
        (block.low_last, levels.low_last, True),
        (block.high_last, levels.high_last, False),
        (block.low_mark, levels.low_mark, True),
        (block.high_mark, levels.high_mark, False),
    ):
        if level is not None:
            reached |= (bounds[here] <= level) if is_lower else (bounds[here] >= level)
    place = int(reached.argmax()) if len(reached) else 0
    return first + place if len(reached) and reached[place] else None
