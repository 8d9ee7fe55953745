"""Oscillators: where the price stands within what it did lately, on a scale with two ends."""

from __future__ import annotations

from math import log10

from indicators.formula import Formula, Step, by_step, entry
from indicators.indicator import ANYTHING, Domain, Unit, candles, fast_below_slow
from indicators.operations import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    TRUE_RANGE,
    TYPICAL,
    VOLUME,
    above,
    age_of_highest,
    average,
    change,
    choice,
    clamped,
    earlier,
    ema,
    highest,
    larger,
    logarithm10,
    lowest,
    mean_deviation,
    place_between,
    ratio,
    rsi,
    smaller,
    stochastic,
    total,
)

BOTH_WAYS = Domain(-100.0, 100.0)


def _stoch(period: int, smooth: int) -> Formula:
    return average(place_between(CLOSE, lowest(LOW, period), highest(HIGH, period)), smooth)


def _stoch_rsi(rsi_period: int, period: int, smooth: int) -> Formula:
    return average(stochastic(rsi(CLOSE, rsi_period), period), smooth)


def _cci(period: int) -> Formula:
    return ratio(TYPICAL - average(TYPICAL, period), 0.015 * mean_deviation(TYPICAL, period), 0.0)


def _ultimate(fast: int, middle: int, slow: int) -> Formula:
    before = earlier(CLOSE, 1)
    bottom = smaller(LOW, before)
    bought, reach = CLOSE - bottom, larger(HIGH, before) - bottom
    parts = [ratio(total(bought, period), total(reach, period), 0.5) for period in (fast, middle, slow)]
    return clamped(100.0 * (4.0 * parts[0] + 2.0 * parts[1] + parts[2]) / 7.0, 0.0, 100.0)


def _aroon_up(period: int) -> Formula:
    return 100.0 * (period - age_of_highest(HIGH, period + 1)) / period


def _aroon_down(period: int) -> Formula:
    return 100.0 * (period - age_of_highest(-LOW, period + 1)) / period


def _chop(period: int) -> Formula:
    reach = highest(HIGH, period) - lowest(LOW, period)
    crossed = ratio(total(TRUE_RANGE, period), reach, float(period))
    scale = logarithm10(larger(crossed, 1.0))
    return clamped(100.0 * scale / log10(period), 0.0, 100.0)


def _held_step() -> Step:
    now = 50.0

    def take(value: float, low: float, high: float) -> float:
        nonlocal now
        if high > low:
            now = 100.0 * ((value - low) / (high - low))
        return now

    return take


_HELD = by_step("held", _held_step, inputs=3)


def _held_stochastic(value: Formula, period: int) -> Formula:
    """As ``stochastic``, but where all values are one it stays where it was: at its end, in a steady trend."""
    return Formula(_HELD, (value, lowest(value, period), highest(value, period)))


def _schaff(fast: int, slow: int, period: int, smooth: int) -> Formula:
    macd = ema(CLOSE, fast) - ema(CLOSE, slow)
    inner = average(_held_stochastic(macd, period), smooth)
    return average(_held_stochastic(inner, period), smooth)


def _money_flow(period: int) -> Formula:
    moved, flow = change(TYPICAL), TYPICAL * VOLUME
    rising = total(choice(above(moved, 0.0), flow, 0.0), period)
    falling = total(choice(above(0.0, moved), flow, 0.0), period)
    return 100.0 * ratio(rising, rising + falling, 0.5)


def _chande(period: int) -> Formula:
    moved = change(CLOSE)
    rises, falls = total(larger(moved, 0.0), period), total(larger(-moved, 0.0), period)
    return 100.0 * ratio(rises - falls, rises + falls, 0.0)


_STOCH = (
    candles("period", 14, "candles whose highs and lows are the ends of the scale"),
    candles("smooth", 3, "values in the mean; 1 is the fast stochastic"),
)
_STOCH_RSI = (
    candles("rsi_period", 14, "changes in the RSI", minimum=2),
    candles("period", 14, "values of the RSI that are the ends of the scale"),
    candles("smooth", 3, "values in the mean", maximum=200),
)
_SIGNAL = candles("signal", 3, "values in the mean that is the slower line", maximum=200)
_AROON = (candles("period", 25, "candles that are looked back"),)


def _fast_to_slow(*, fast: int, middle: int, slow: int) -> str | None:
    return None if fast < middle < slow else f"fast, middle, slow must rise, not {fast}, {middle}, {slow}"


ENTRIES = (
    entry(
        "stoch_k",
        "Stochastic %K: where the close stands between the lowest low (0) and the highest high (100) of the last "
        "`period` candles, in a mean; 50 where these are one.",
        Unit.INDEX,
        _STOCH,
        _stoch,
    ),
    entry(
        "stoch_d",
        "Stochastic %D: the mean of %K.",
        Unit.INDEX,
        (*_STOCH, _SIGNAL),
        lambda period, smooth, signal: average(_stoch(period, smooth), signal),
    ),
    entry(
        "stoch_rsi_k",
        "Stochastic of the RSI: where it stands between its own lowest (0) and highest (100) of the last `period` "
        "candles, in a mean; 50 where these are one.",
        Unit.INDEX,
        _STOCH_RSI,
        _stoch_rsi,
    ),
    entry(
        "stoch_rsi_d",
        "Slower line of the stochastic of the RSI: the mean of the quicker one.",
        Unit.INDEX,
        (*_STOCH_RSI, _SIGNAL),
        lambda rsi_period, period, smooth, signal: average(_stoch_rsi(rsi_period, period, smooth), signal),
    ),
    entry(
        "williams_r",
        "Williams %R: how far the close is below the highest high of the last `period` candles, in percent of their "
        "range: 0 at its top, -100 at its bottom, -50 where there is none.",
        Unit.SCORE,
        (candles("period", 14, "candles whose highs and lows are the ends of the scale"),),
        lambda period: place_between(CLOSE, lowest(LOW, period), highest(HIGH, period)) - 100.0,
        domain=Domain(-100.0, 0.0),
    ),
    entry(
        "cci",
        "Commodity channel index: how far the typical price stands from its mean, in mean deviations times 0.015; 100 "
        "and -100 are unusual, and there is no end. 0 where nothing moved.",
        Unit.SCORE,
        (candles("period", 20, "candles in the mean", minimum=2),),
        _cci,
        domain=ANYTHING,
    ),
    entry(
        "cmo",
        "Chande's momentum oscillator: rises less falls of the close, in percent of both; 0 where nothing moved.",
        Unit.SCORE,
        (candles("period", 14, "changes that are added up"),),
        _chande,
        domain=BOTH_WAYS,
    ),
    entry(
        "mfi",
        "Money flow index: the turnover (typical price times volume) of rising candles in percent of that of rising "
        "and falling ones; 50 where there was none.",
        Unit.INDEX,
        (candles("period", 14, "candles that are added up"),),
        _money_flow,
    ),
    entry(
        "uo",
        "Ultimate oscillator: how much of its range the close ended up with, over three periods, the quick ones "
        "weighed most; 50 for a period in which nothing moved.",
        Unit.INDEX,
        (
            candles("fast", 7, "candles of the fast sum"),
            candles("middle", 14, "candles of the middle sum"),
            candles("slow", 28, "candles of the slow sum"),
        ),
        _ultimate,
        constraint=_fast_to_slow,
    ),
    entry(
        "stc",
        "Schaff trend cycle: the stochastic of the MACD line, taken twice, each in a mean: 100 in a rise, 0 in a "
        "fall; where a scale has no width it stays where it was.",
        Unit.INDEX,
        (
            candles("fast", 23, "period of the MACD's fast average", minimum=2),
            candles("slow", 50, "period of the MACD's slow average", minimum=2),
            candles("period", 10, "values that are the ends of each scale", maximum=300),
            candles("smooth", 3, "values in each mean", maximum=100),
        ),
        _schaff,
        constraint=fast_below_slow,
    ),
    entry(
        "aroon_up",
        "Aroon up: 100 where the highest high of the last `period` + 1 candles is the latest, 0 where it is the "
        "oldest; of equal highs the latest counts.",
        Unit.INDEX,
        _AROON,
        _aroon_up,
    ),
    entry(
        "aroon_down",
        "Aroon down: 100 where the lowest low of the last `period` + 1 candles is the latest, 0 where it is the "
        "oldest; of equal lows the latest counts.",
        Unit.INDEX,
        _AROON,
        _aroon_down,
    ),
    entry(
        "aroon_oscillator",
        "Aroon up less Aroon down: above 0 where the highest high is younger than the lowest low.",
        Unit.SCORE,
        _AROON,
        lambda period: _aroon_up(period) - _aroon_down(period),
        domain=BOTH_WAYS,
    ),
    entry(
        "chop",
        "Choppiness index: how much way the price made within the range of the last `period` candles: near 0 in a "
        "straight trend, 100 where it went back and forth all the time or had no range (never above, even where a jump "
        "into the range counts as way).",
        Unit.INDEX,
        (candles("period", 14, "candles that are looked at", minimum=2),),
        _chop,
    ),
    entry(
        "bop",
        "Balance of power: the close less the open, as a share of the candle's range; 0 for a flat candle.",
        Unit.RATIO,
        (),
        lambda: clamped(ratio(CLOSE - OPEN, HIGH - LOW, 0.0), -1.0, 1.0),
        domain=Domain(-1.0, 1.0),
    ),
)
