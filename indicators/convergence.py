"""Two averages of the close against one another: MACD, its percentage, and the like."""

from __future__ import annotations

from indicators.formula import Formula, entry
from indicators.indicator import ANYTHING, CHANGE, Domain, Unit, candles, fast_below_slow
from indicators.operations import CLOSE, MEDIAN, absolute, average, change, clamped, earlier, ema, ratio
from indicators.operations import linear_weighted as wma

_FAST = candles("fast", 12, "period of the fast average", minimum=2)
_SLOW = candles("slow", 26, "period of the slow average", minimum=2)
_SIGNAL = candles("signal", 9, "period of the average that is the signal line")


def _macd(fast: int, slow: int) -> Formula:
    return ema(CLOSE, fast) - ema(CLOSE, slow)


def _ppo(fast: int, slow: int) -> Formula:
    slow_average = ema(CLOSE, slow)
    return 100.0 * (ema(CLOSE, fast) - slow_average) / slow_average


def _roc(period: int) -> Formula:
    before = earlier(CLOSE, period)
    return 100.0 * (CLOSE - before) / before


def _trix(period: int) -> Formula:
    smooth = ema(ema(ema(CLOSE, period), period), period)
    return 100.0 * change(smooth) / earlier(smooth, 1)


def _tsi(fast: int, slow: int) -> Formula:
    moved = change(CLOSE)
    towards, anyhow = ema(ema(moved, slow), fast), ema(ema(absolute(moved), slow), fast)
    return clamped(100.0 * ratio(towards, anyhow, 0.0), -100.0, 100.0)


_KST = ((1.0, 10, 10), (2.0, 15, 10), (3.0, 20, 10), (4.0, 30, 15))
"""Weight, rate of change, mean: Pring's own for daily candles."""


def _kst() -> Formula:
    sums = [weight * average(_roc(roc), smooth) for weight, roc, smooth in _KST]
    return sums[0] + sums[1] + sums[2] + sums[3]


def _coppock(fast: int, slow: int, smooth: int) -> Formula:
    return wma(_roc(slow) + _roc(fast), smooth)


def _dpo(period: int) -> Formula:
    return earlier(CLOSE, period // 2 + 1) - average(CLOSE, period)


_TSI = (
    candles("fast", 13, "period of the second, fast smoothing"),
    candles("slow", 25, "period of the first, slow smoothing"),
)
_TSI_DOMAIN = Domain(-100.0, 100.0)

ENTRIES = (
    entry(
        "macd_line",
        "MACD: how far the fast EMA stands above the slow one; below is negative.",
        Unit.PRICE,
        (_FAST, _SLOW),
        _macd,
        domain=ANYTHING,
        constraint=fast_below_slow,
    ),
    entry(
        "macd_signal",
        "Signal line of the MACD: the EMA of its line, which starts as the mean of its first `signal` values.",
        Unit.PRICE,
        (_FAST, _SLOW, _SIGNAL),
        lambda fast, slow, signal: ema(_macd(fast, slow), signal),
        domain=ANYTHING,
        constraint=fast_below_slow,
    ),
    entry(
        "macd_histogram",
        "MACD line less its signal line: above 0 while the trend gains strength, below while it loses it.",
        Unit.PRICE,
        (_FAST, _SLOW, _SIGNAL),
        lambda fast, slow, signal: _macd(fast, slow) - ema(_macd(fast, slow), signal),
        domain=ANYTHING,
        constraint=fast_below_slow,
    ),
    entry(
        "ppo_line",
        "Percentage price oscillator: the MACD line in percent of the slow EMA, so that symbols can be compared.",
        Unit.PERCENT,
        (_FAST, _SLOW),
        _ppo,
        domain=CHANGE,
        constraint=fast_below_slow,
    ),
    entry(
        "ppo_signal",
        "Signal line of the percentage price oscillator: the EMA of its line.",
        Unit.PERCENT,
        (_FAST, _SLOW, _SIGNAL),
        lambda fast, slow, signal: ema(_ppo(fast, slow), signal),
        domain=CHANGE,
        constraint=fast_below_slow,
    ),
    entry(
        "ppo_histogram",
        "Percentage price oscillator less its signal line.",
        Unit.PERCENT,
        (_FAST, _SLOW, _SIGNAL),
        lambda fast, slow, signal: _ppo(fast, slow) - ema(_ppo(fast, slow), signal),
        constraint=fast_below_slow,
    ),
    entry(
        "roc",
        "Rate of change: how far the close stands above that of `period` candles ago, in percent of that one.",
        Unit.PERCENT,
        (candles("period", 10, "how many candles ago the earlier close is taken"),),
        _roc,
        domain=CHANGE,
    ),
    entry(
        "momentum",
        "How far the close stands above that of `period` candles ago; below is negative.",
        Unit.PRICE,
        (candles("period", 10, "how many candles ago the earlier close is taken"),),
        lambda period: change(CLOSE, period),
        domain=ANYTHING,
    ),
    entry(
        "trix",
        "How far the close moved since the candle before, smoothed by an EMA three times over, in percent.",
        Unit.PERCENT,
        (candles("period", 18, "period of each of the three averages", minimum=2),),
        _trix,
        domain=CHANGE,
    ),
    entry(
        "tsi",
        "True strength index: the smoothed change of the close against its smoothed size, from -100 (only down) to "
        "100 (only up); 0 where nothing moved.",
        Unit.SCORE,
        _TSI,
        _tsi,
        domain=_TSI_DOMAIN,
    ),
    entry(
        "tsi_signal",
        "Signal line of the true strength index: its EMA.",
        Unit.SCORE,
        (*_TSI, candles("signal", 13, "period of the average that is the signal line")),
        lambda fast, slow, signal: clamped(ema(_tsi(fast, slow), signal), -100.0, 100.0),
        domain=_TSI_DOMAIN,
    ),
    entry(
        "ao",
        "Awesome oscillator: the fast mean of the middle of the candles less the slow one.",
        Unit.PRICE,
        (candles("fast", 5, "candles in the fast mean"), candles("slow", 34, "candles in the slow mean")),
        lambda fast, slow: average(MEDIAN, fast) - average(MEDIAN, slow),
        domain=ANYTHING,
        constraint=fast_below_slow,
    ),
    entry(
        "kst",
        "Know sure thing: the smoothed rates of change of 10, 15, 20 and 30 candles, weighed 1, 2, 3 and 4.",
        Unit.SCORE,
        (),
        _kst,
        domain=Domain(lower=-1000.0),
    ),
    entry(
        "kst_signal",
        "Signal line of the know sure thing: its mean.",
        Unit.SCORE,
        (candles("signal", 9, "values in the mean"),),
        lambda signal: average(_kst(), signal),
        domain=Domain(lower=-1000.0),
    ),
    entry(
        "coppock",
        "Coppock curve: the sum of two rates of change, in percent, in a mean in which the latest count most.",
        Unit.PERCENT,
        (
            candles("fast", 11, "how many candles ago the later of the earlier closes is taken"),
            candles("slow", 14, "how many candles ago the earlier one is taken"),
            candles("smooth", 10, "values in the mean"),
        ),
        _coppock,
        domain=Domain(lower=-200.0),
        constraint=fast_below_slow,
    ),
    entry(
        "dpo",
        "Detrended price oscillator as it can be known: the close of period/2 + 1 candles ago less the mean of the "
        "last `period` closes. Charts move it back in time, where it would know the future.",
        Unit.PRICE,
        (candles("period", 20, "closes in the mean", minimum=2),),
        _dpo,
        domain=ANYTHING,
    ),
)
