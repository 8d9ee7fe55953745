"""How far the price moves: true range, its average, and that against its own past."""

from __future__ import annotations

import numpy as np

from indicators.candle import Candle
from indicators.indicator import NOT_NEGATIVE, Indicator, Unit, candles
from indicators.series import FloatArray, Series
from indicators.streams import CandleStream, TalippStream, as_is
from indicators.windows import quotient, smoothed, window_mean
from indicators.workspace import Workspace, shared


def true_range(series: Series) -> FloatArray:
    """Of each candle; the first one's is its own range, as no close is known before it."""
    ranges = series.high - series.low
    before = series.close[:-1]
    ranges[1:] = np.maximum(ranges[1:], np.maximum(np.abs(series.high[1:] - before), np.abs(series.low[1:] - before)))
    return ranges


@shared
def atr(workspace: Workspace, *, period: int) -> FloatArray:
    return smoothed(true_range(workspace.series), period)


@shared
def atr_pct(workspace: Workspace, *, period: int) -> FloatArray:
    return 100.0 * atr(workspace, period=period) / workspace.series.close


def _atr_ratio(workspace: Workspace, *, period: int, window: int) -> FloatArray:
    percent = atr_pct(workspace, period=period)
    result = np.full(len(percent), np.nan)
    known = percent[period - 1 :]
    result[period - 1 :] = quotient(known, window_mean(known, window), otherwise=1.0)
    return result


def _range_pct(candle: Candle) -> float:
    return 100.0 * (candle.high - candle.low) / candle.close


def _candle_range(workspace: Workspace) -> FloatArray:
    series = workspace.series
    return 100.0 * (series.high - series.low) / series.close


_PERIOD = candles("period", 14, "true ranges in the average", minimum=2)

ENTRIES = (
    Indicator(
        name="atr",
        reads=("high", "low", "close"),
        summary=(
            "Average true range (Wilder's average, which starts as the mean of the first `period` true ranges; "
            "the first candle's is its own range)."
        ),
        unit=Unit.PRICE,
        parameters=(_PERIOD,),
        warmup=lambda period: period,
        stream=lambda period: TalippStream(lambda forms: forms.AverageTrueRange(period), as_is, period),
        batch=atr,
    ),
    Indicator(
        name="atr_pct",
        domain=NOT_NEGATIVE,
        reads=("high", "low", "close"),
        summary="Average true range in percent of the close.",
        unit=Unit.PERCENT,
        parameters=(_PERIOD,),
        warmup=lambda period: period,
        stream=lambda period: TalippStream(lambda forms: forms.AtrPercent(period), as_is, period),
        batch=atr_pct,
    ),
    Indicator(
        name="atr_ratio",
        domain=NOT_NEGATIVE,
        reads=("high", "low", "close"),
        summary=(
            "Volatility spike: atr_pct over its own mean of the last `window` candles, the current one included. "
            "1.0 is as usual, and the answer where nothing moved at all."
        ),
        unit=Unit.RATIO,
        parameters=(_PERIOD, candles("window", 50, "candles that say what is usual")),
        warmup=lambda period, window: period + window - 1,
        stream=lambda period, window: TalippStream(
            lambda forms: forms.AtrRatio(period, window), as_is, period + window - 1
        ),
        batch=_atr_ratio,
    ),
    Indicator(
        name="candle_range",
        domain=NOT_NEGATIVE,
        reads=("high", "low", "close"),
        summary="From low to high, in percent of the close; 0 for a flat candle.",
        unit=Unit.PERCENT,
        parameters=(),
        warmup=lambda: 1,
        stream=lambda: CandleStream(_range_pct),
        batch=_candle_range,
    ),
)
