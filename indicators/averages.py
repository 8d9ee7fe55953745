"""Moving averages of the close, how steep they are and how far apart."""

from __future__ import annotations

import numpy as np

from indicators.indicator import CHANGE, POSITIVE, Indicator, Unit, candles, fast_below_slow
from indicators.series import FloatArray
from indicators.streams import TalippStream, close_of
from indicators.windows import delayed, exponential, price_mean, window_price_mean
from indicators.workspace import Workspace, shared


@shared
def ema(workspace: Workspace, *, period: int) -> FloatArray:
    closes = workspace.series.close
    result = np.full(len(closes), np.nan)
    if len(closes) < period:
        return result
    average = price_mean(closes[:period].tolist(), period)
    result[period - 1] = average
    result[period:] = exponential(closes[period:], average, 2.0 / (period + 1.0))
    return result


@shared
def sma(workspace: Workspace, *, period: int) -> FloatArray:
    return window_price_mean(workspace.series.close, period)


def _ema_slope(workspace: Workspace, *, period: int, lookback: int) -> FloatArray:
    averages = ema(workspace, period=period)
    return 100.0 * (averages - delayed(averages, lookback)) / workspace.series.close


def _ema_separation(workspace: Workspace, *, fast: int, slow: int) -> FloatArray:
    slow_average = ema(workspace, period=slow)
    return 100.0 * (ema(workspace, period=fast) - slow_average) / slow_average


_PERIOD = candles("period", None, "closes in the average", minimum=2)

ENTRIES = (
    Indicator(
        name="ema",
        domain=POSITIVE,
        summary="Exponential moving average of the close; starts as the mean of the first `period` closes.",
        unit=Unit.PRICE,
        parameters=(_PERIOD,),
        warmup=lambda period: period,
        stream=lambda period: TalippStream(lambda forms: forms.ExponentialAverage(period), close_of, period),
        batch=ema,
    ),
    Indicator(
        name="sma",
        domain=POSITIVE,
        summary="Mean of the last `period` closes.",
        unit=Unit.PRICE,
        parameters=(_PERIOD,),
        warmup=lambda period: period,
        stream=lambda period: TalippStream(lambda forms: forms.SimpleAverage(period), close_of, period),
        batch=sma,
    ),
    Indicator(
        name="ema_slope",
        domain=CHANGE,
        summary="How far the EMA moved in the last `lookback` candles, in percent of the close; falling is negative.",
        unit=Unit.PERCENT,
        parameters=(_PERIOD, candles("lookback", None, "how many candles ago the earlier average is taken")),
        warmup=lambda period, lookback: period + lookback,
        stream=lambda period, lookback: TalippStream(
            lambda forms: forms.EmaSlope(period, lookback), close_of, period + lookback
        ),
        batch=_ema_slope,
    ),
    Indicator(
        name="ema_separation",
        domain=CHANGE,
        summary="How far the fast EMA stands above the slow one, in percent of the slow one; below is negative.",
        unit=Unit.PERCENT,
        parameters=(
            candles("fast", 20, "period of the fast average", minimum=2),
            candles("slow", 50, "period of the slow average", minimum=2),
        ),
        constraint=fast_below_slow,
        warmup=lambda fast, slow: slow,
        stream=lambda fast, slow: TalippStream(lambda forms: forms.EmaSeparation(fast, slow), close_of, slow),
        batch=_ema_separation,
    ),
)
