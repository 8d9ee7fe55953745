"""Holes in a run of candles: how they are carried over, and for how long they keep entries away.

A candle that an exchange never delivers is a fact like any other. Up to ``RESTART_ABOVE`` candles are carried: each is
the last close, four times, with a volume of 0, so that indicators go on. A longer hole ends its series: behind it
indicators warm up anew. Carried candles open nothing, and nothing is opened for a while after them.

A flat stretch of h candles takes ATR(14) down to (13/14)^h of what it was, and lies within 20-candle bands and means
until 20 candles later. So entries wait for ``SETTLE_CANDLES`` + h entry candles after it: by then no window of 20 sees
it, and at most 6 % of an ATR(14) is missing, whatever h (the largest value of (1 - x) x (13/14)^20).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from indicators.candle import Candle, Timeframe

RESTART_ABOVE = 24
SETTLE_CANDLES = 20


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` candles of a timeframe are missing, the first of which would have opened at ``first_ms``."""

    timeframe: Timeframe
    first_ms: int
    count: int

    @property
    def end_ms(self) -> int:
        """When the first candle behind it opens."""
        return self.first_ms + self.count * self.timeframe.ms

    @property
    def restarts(self) -> bool:
        """Too long to be carried: its series begins anew behind it."""
        return self.count > RESTART_ABOVE

    def blocks_until_ms(self, entry: Timeframe) -> int:
        """Open time of the first entry candle that may lead to an entry again, as far as this hole is concerned."""
        carried = min(self.count, RESTART_ABOVE) * self.timeframe.ms
        return self.end_ms + SETTLE_CANDLES * entry.ms + -(-carried // entry.ms) * entry.ms


def holes(open_times_ms: Iterable[int], timeframe: Timeframe) -> list[Hole]:
    """The holes between ascending open times."""
    found, expected_ms = [], None
    for open_ms in open_times_ms:
        if expected_ms is not None and open_ms > expected_ms:
            count = (open_ms - expected_ms) // timeframe.ms
            found.append(Hole(timeframe=timeframe, first_ms=expected_ms, count=count))
        expected_ms = open_ms + timeframe.ms
    return found


def carried_over(candles: Sequence[Candle], timeframe: Timeframe) -> list[Candle]:
    """The candles, ascending, with those carried in between that are missing; a hole that restarts stays one."""
    full: list[Candle] = []
    for candle in candles:
        if full:
            first_ms = full[-1].open_time_ms + timeframe.ms
            count = (candle.open_time_ms - first_ms) // timeframe.ms
            if count <= RESTART_ABOVE:
                close = full[-1].close
                full += (flat(first_ms + step * timeframe.ms, close) for step in range(count))
        full.append(candle)
    return full


def flat(open_ms: int, close: float) -> Candle:
    """A carried candle."""
    return Candle(open_time_ms=open_ms, open=close, high=close, low=close, close=close, volume=0.0, carried=True)
