"""Averages that follow the close in other ways than the plain and the exponential one."""

from __future__ import annotations

from math import isqrt

from indicators.formula import Formula, Step, by_step, entry
from indicators.indicator import ANYTHING, POSITIVE, Parameter, Unit, candles
from indicators.operations import (
    CLOSE,
    TIME,
    TYPICAL,
    VOLUME,
    absolute,
    average,
    bell_weights,
    change,
    ema,
    line_weights,
    linear_weighted,
    ratio,
    total,
    weighted,
    wilder,
)

DAY_MS = 86_400_000.0


def _t3(period: int, factor: float) -> Formula:
    levels = [ema(CLOSE, period)]
    for _ in range(5):
        levels.append(ema(levels[-1], period))
    square, cube = factor * factor, factor * factor * factor
    return (
        -cube * levels[5]
        + (3.0 * square + 3.0 * cube) * levels[4]
        + (-6.0 * square - 3.0 * factor - 3.0 * cube) * levels[3]
        + (1.0 + 3.0 * factor + cube + 3.0 * square) * levels[2]
    )


def _dema(period: int) -> Formula:
    once = ema(CLOSE, period)
    return 2.0 * once - ema(once, period)


def _tema(period: int) -> Formula:
    once = ema(CLOSE, period)
    twice = ema(once, period)
    return 3.0 * once - 3.0 * twice + ema(twice, period)


def _hull(period: int) -> Formula:
    return linear_weighted(2.0 * linear_weighted(CLOSE, period // 2) - linear_weighted(CLOSE, period), isqrt(period))


def _zero_lag(period: int) -> Formula:
    return ema(CLOSE + change(CLOSE, (period - 1) // 2), period)


def _kaufman_step(fast: int, slow: int) -> Step:
    quick, lazy = 2.0 / (fast + 1), 2.0 / (slow + 1)
    now: float | None = None

    def take(close: float, moved: float, efficiency: float) -> float:
        nonlocal now
        before = close - moved if now is None else now
        constant = efficiency * (quick - lazy) + lazy
        now = before + constant * constant * (close - before)
        return now

    return take


def _mcginley_step(period: int) -> Step:
    first: list[float] = []
    now = 0.0

    def take(close: float, mean: float) -> float:
        nonlocal now
        if not first:
            first.append(mean)
            now = mean
            return now
        share = close / now
        now += (close - now) / max(period * share * share * share * share, 1.0)
        return now

    return take


def _day_average_step() -> Step:
    day, price, amount = -1.0, 0.0, 0.0
    whole = False

    def take(typical: float, volume: float, open_time_ms: float) -> float:
        nonlocal day, price, amount, whole
        today = open_time_ms // DAY_MS
        if today != day:
            whole = whole or open_time_ms == today * DAY_MS
            day, price, amount = today, 0.0, 0.0
        price += typical * volume
        amount += volume
        if not whole:
            return float("nan")
        return price / amount if amount > 0 else typical

    return take


_KAUFMAN = by_step("kaufman", _kaufman_step, inputs=3)
_MCGINLEY = by_step("mcginley", _mcginley_step, inputs=2)
_DAY_AVERAGE = by_step("day average", _day_average_step, inputs=3)


def _kaufman(period: int, fast: int, slow: int) -> Formula:
    efficiency = ratio(absolute(change(CLOSE, period)), total(absolute(change(CLOSE)), period), 0.0)
    return Formula(_KAUFMAN, (CLOSE, change(CLOSE), efficiency), (fast, slow))


def _period(default: int, doc: str, maximum: int = 500) -> Parameter:
    return candles("period", default, doc, minimum=2, maximum=maximum)


ENTRIES = (
    entry(
        "wma",
        "Weighted moving average of the close: the latest counts `period` times, the oldest once.",
        Unit.PRICE,
        (_period(20, "closes in the average"),),
        lambda period: linear_weighted(CLOSE, period),
        domain=POSITIVE,
    ),
    entry(
        "smma",
        "Smoothed moving average (Wilder's, also called RMA) of the close; starts as the mean of the first closes.",
        Unit.PRICE,
        (_period(14, "closes in the average"),),
        lambda period: wilder(CLOSE, period),
        domain=POSITIVE,
    ),
    entry(
        "dema",
        "Double exponential average: twice the EMA less the EMA of the EMA, which takes half of the delay out.",
        Unit.PRICE,
        (_period(20, "period of each average"),),
        _dema,
        domain=ANYTHING,
    ),
    entry(
        "tema",
        "Triple exponential average: as dema, with one more correction.",
        Unit.PRICE,
        (_period(20, "period of each average"),),
        _tema,
        domain=ANYTHING,
    ),
    entry(
        "t3",
        "Tillson's T3: six EMAs in a row, put together so that little delay and little noise are left.",
        Unit.PRICE,
        (
            _period(5, "period of each average", 250),
            Parameter("factor", float, 0.0, 1.0, 0.7, "0 is smoothest, 1 follows quickest"),
        ),
        _t3,
        domain=ANYTHING,
    ),
    entry(
        "hma",
        "Hull moving average: weighted averages of half and of the whole period against one another, smoothed.",
        Unit.PRICE,
        (candles("period", 16, "closes in the long average", minimum=4),),
        _hull,
        domain=ANYTHING,
    ),
    entry(
        "zlema",
        "EMA without lag: of the close plus what it moved in the last (period - 1)/2 candles.",
        Unit.PRICE,
        (_period(20, "period of the average"),),
        _zero_lag,
        domain=ANYTHING,
    ),
    entry(
        "kama",
        "Kaufman's adaptive average: quick where the close goes straight, slow where it goes back and forth.",
        Unit.PRICE,
        (
            candles("period", 10, "candles over which it is seen how straight the close goes"),
            candles("fast", 2, "period of the quickest average"),
            candles("slow", 30, "period of the slowest average"),
        ),
        _kaufman,
        domain=POSITIVE,
    ),
    entry(
        "alma",
        "Arnaud Legoux's average: the closes weighed by a bell, whose top is `offset` of the way to the latest.",
        Unit.PRICE,
        (
            _period(9, "closes in the average"),
            Parameter("offset", float, 0.0, 1.0, 0.85, "where the bell's top is: 0 the oldest, 1 the latest close"),
            Parameter("sigma", float, 0.5, 20.0, 6.0, "how narrow the bell is"),
        ),
        lambda period, offset, sigma: weighted(CLOSE, bell_weights(period, offset, sigma)),
        domain=POSITIVE,
    ),
    entry(
        "mcginley",
        "McGinley's dynamic average: hurries after a falling close; its step never goes beyond the close.",
        Unit.PRICE,
        (_period(14, "closes in the mean that it starts with, and how slowly it follows"),),
        lambda period: Formula(_MCGINLEY, (CLOSE, average(CLOSE, period)), (period,)),
        domain=POSITIVE,
    ),
    entry(
        "linear_regression",
        "End of the straight line that fits the last `period` closes best.",
        Unit.PRICE,
        (_period(14, "closes that the line is laid through"),),
        lambda period: weighted(CLOSE, line_weights(period)),
        domain=ANYTHING,
    ),
    entry(
        "vwma",
        "Mean of the last `period` closes, each weighed by its volume; their plain mean where nothing was traded.",
        Unit.PRICE,
        (_period(20, "closes in the average"),),
        lambda period: ratio(total(CLOSE * VOLUME, period), total(VOLUME, period), average(CLOSE, period)),
        domain=POSITIVE,
    ),
    entry(
        "vwap",
        "Volume-weighted average price of the last `period` candles, of their typical prices (high + low + close) / 3; "
        "the plain mean of these where nothing was traded.",
        Unit.PRICE,
        (_period(24, "candles in the average"),),
        lambda period: ratio(total(TYPICAL * VOLUME, period), total(VOLUME, period), average(TYPICAL, period)),
        domain=POSITIVE,
    ),
    entry(
        "vwap_day",
        "Volume-weighted average price since midnight UTC. There is none before a first midnight was seen; before the "
        "day's first trade it is the typical price.",
        Unit.PRICE,
        (),
        lambda: Formula(_DAY_AVERAGE, (TYPICAL, VOLUME, TIME)),
        domain=POSITIVE,
        conditional=True,
    ),
)
