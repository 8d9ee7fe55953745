"""Price levels out of the past: yesterday's pivots, retracements, and the turns of a zigzag once they are certain."""

from __future__ import annotations

from collections.abc import Callable
from math import nan

from indicators.formula import Formula, Operation, Step, by_step, entry, part
from indicators.indicator import ANYTHING, POSITIVE, Domain, Indicator, Parameter, Unit, candles
from indicators.operations import CLOSE, HIGH, LOW, TIME, highest, lowest
from indicators.smoothing import DAY_MS


def _day_before(name: str, joined: Callable[[float, float], float]) -> Operation:
    """What the values of the UTC day before the candle's own came to, once one was seen from its midnight on."""

    def step() -> Step:
        day, whole = -1.0, False
        now = before = nan

        def take(value: float, open_time_ms: float) -> float:
            nonlocal day, whole, now, before
            if open_time_ms // DAY_MS == day:
                now = joined(now, value)
                return before
            if whole:
                before = now
            day, now = open_time_ms // DAY_MS, value
            whole = whole or open_time_ms == day * DAY_MS
            return before

        return take

    return by_step(name, step, inputs=2)


class _ZigZag:
    """The latest high and low from which the price came back by a share, each known at the candle that came so far."""

    def __init__(self, reversal: float) -> None:
        self.down, self.up = 1.0 - reversal / 100.0, 1.0 + reversal / 100.0
        self.high = self.low = nan
        self.highest = self.lowest = nan
        self.rising: bool | None = None

    def __call__(self, high: float, low: float) -> tuple[float, float]:
        if self.highest != self.highest:
            self.highest, self.lowest = high, low
        elif self.rising is not True and high >= self.lowest * self.up and not low < self.lowest:
            self.low, self.highest, self.rising = self.lowest, high, True
        elif self.rising is not False and low <= self.highest * self.down and not high > self.highest:
            self.high, self.lowest, self.rising = self.highest, low, False
        self.highest, self.lowest = max(self.highest, high), min(self.lowest, low)
        return self.high, self.low


_DAY_HIGH = Formula(_day_before("day high", max), (HIGH, TIME))
_DAY_LOW = Formula(_day_before("day low", min), (LOW, TIME))
_DAY_CLOSE = Formula(_day_before("day close", lambda _, close: close), (CLOSE, TIME))
_PIVOT = (_DAY_HIGH + _DAY_LOW + _DAY_CLOSE) / 3.0
_RANGE = _DAY_HIGH - _DAY_LOW
_TURNS = by_step("zigzag", _ZigZag, inputs=2, parts=2)

_DAY_BEFORE = "There is none before a whole day was seen."


def _level(name: str, summary: str, formula: Formula, domain: Domain = ANYTHING) -> Indicator:
    return entry(name, f"{summary} {_DAY_BEFORE}", Unit.PRICE, (), lambda: formula, domain=domain, conditional=True)


def _turn(name: str, index: int, summary: str) -> Indicator:
    return entry(
        name,
        summary,
        Unit.PRICE,
        (Parameter("reversal", float, 0.1, 50.0, 5.0, "how far the price has to come back, in percent"),),
        lambda reversal: part(Formula(_TURNS, (HIGH, LOW), (reversal,)), index),
        domain=POSITIVE,
        conditional=True,
    )


def _retracement(period: int, level: float) -> Formula:
    bottom = lowest(LOW, period)
    return bottom + level * (highest(HIGH, period) - bottom)


ENTRIES = (
    _level("day_high", "Highest price of the UTC day before the candle's own.", _DAY_HIGH, POSITIVE),
    _level("day_low", "Lowest price of the UTC day before the candle's own.", _DAY_LOW, POSITIVE),
    _level("day_close", "Last price of the UTC day before the candle's own.", _DAY_CLOSE, POSITIVE),
    _level("pivot", "Pivot point: (high + low + close) / 3 of the UTC day before.", _PIVOT, POSITIVE),
    _level(
        "pivot_r1", "First resistance: twice the pivot point less the low of the day before.", 2.0 * _PIVOT - _DAY_LOW
    ),
    _level(
        "pivot_s1", "First support: twice the pivot point less the high of the day before.", 2.0 * _PIVOT - _DAY_HIGH
    ),
    _level("pivot_r2", "Second resistance: the pivot point plus the range of the day before.", _PIVOT + _RANGE),
    _level("pivot_s2", "Second support: the pivot point less the range of the day before.", _PIVOT - _RANGE),
    entry(
        "fibonacci",
        "Level within the range of the last `period` candles: 0 is the lowest low, 1 the highest high; 0.236, 0.382, "
        "0.5, 0.618 and 0.786 are Fibonacci's, and above 1 are extensions.",
        Unit.PRICE,
        (
            candles("period", 100, "candles whose range is divided", minimum=2),
            Parameter("level", float, 0.0, 5.0, 0.618, "how much of the range above its low"),
        ),
        _retracement,
        domain=POSITIVE,
    ),
    _turn(
        "zigzag_high",
        0,
        "The latest high from which the price came back by `reversal` percent, known at the candle that came so far "
        "(a chart's zigzag draws it earlier, when it was not certain). There is none before a first one.",
    ),
    _turn(
        "zigzag_low",
        1,
        "The latest low from which the price rose by `reversal` percent, known at the candle that rose so far. There "
        "is none before a first one.",
    ),
)
