"""Moving averages of the close, how steep they are and how far apart."""

from __future__ import annotations

import numpy as np
from talipp.indicators import EMA, SMA, SMMA

from indicators.indicator import CHANGE, POSITIVE, Indicator, Unit, candles, fast_below_slow
from indicators.series import FloatArray
from indicators.streams import Form, TalippStream, close_of
from indicators.windows import delayed, mean, price_mean, window_price_mean
from indicators.workspace import Workspace, shared


class ExponentialAverage(EMA):  # type: ignore[misc]  # talipp ships no types
    """talipp's EMA of prices, except that the seed is our own mean of the first ones."""

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) == self.period:
            return price_mean(self.input_values, self.period)
        value: float | None = super()._calculate_new_value()
        return value


class WilderAverage(SMMA):  # type: ignore[misc]  # talipp ships no types
    """talipp's SMMA of floats, except that the seed (a plain mean) is added from left to right."""

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) == self.period:
            return mean(self.input_values, self.period)
        value: float | None = super()._calculate_new_value()
        return value


class SimpleAverage(SMA):  # type: ignore[misc]  # talipp ships no types
    """talipp's SMA of prices, except that each window is added anew: its own slides, and keeps every rounding error."""

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) < self.period:
            return None
        return price_mean(self.input_values[-self.period :], self.period)


class EmaSlope(Form):
    """Change of the EMA of the closes it is fed, in percent of the current close."""

    def __init__(self, period: int, lookback: int) -> None:
        super().__init__()
        self.lookback = lookback
        self.average = ExponentialAverage(period)
        self.add_sub_indicator(self.average)

    def _calculate_new_value(self) -> float | None:
        averages = self.average.output_values
        if len(averages) <= self.lookback or averages[-1 - self.lookback] is None:
            return None
        slope: float = 100.0 * (averages[-1] - averages[-1 - self.lookback]) / self.input_values[-1]
        return slope


class EmaSeparation(Form):
    """Distance from the slow to the fast EMA of the closes it is fed, in percent of the slow one."""

    def __init__(self, fast: int, slow: int) -> None:
        super().__init__()
        self.fast = ExponentialAverage(fast)
        self.slow = ExponentialAverage(slow)
        self.add_sub_indicator(self.fast)
        self.add_sub_indicator(self.slow)

    def _calculate_new_value(self) -> float | None:
        slow: float | None = self.slow.output_values[-1]
        if slow is None:
            return None
        fast: float = self.fast.output_values[-1]
        return 100.0 * (fast - slow) / slow


@shared
def ema(workspace: Workspace, *, period: int) -> FloatArray:
    closes = workspace.series.close
    result = np.full(len(closes), np.nan)
    if len(closes) < period:
        return result
    items = closes.tolist()
    average = price_mean(items[:period], period)
    averages = [average]
    keep = averages.append
    weight = 2.0 / (period + 1.0)
    rest = 1.0 - weight
    for close in items[period:]:
        average = weight * close + rest * average
        keep(average)
    result[period - 1 :] = averages
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
        stream=lambda period: TalippStream(ExponentialAverage(period), close_of, period),
        batch=ema,
    ),
    Indicator(
        name="sma",
        domain=POSITIVE,
        summary="Mean of the last `period` closes.",
        unit=Unit.PRICE,
        parameters=(_PERIOD,),
        warmup=lambda period: period,
        stream=lambda period: TalippStream(SimpleAverage(period), close_of, period),
        batch=sma,
    ),
    Indicator(
        name="ema_slope",
        domain=CHANGE,
        summary="How far the EMA moved in the last `lookback` candles, in percent of the close; falling is negative.",
        unit=Unit.PERCENT,
        parameters=(_PERIOD, candles("lookback", None, "how many candles ago the earlier average is taken")),
        warmup=lambda period, lookback: period + lookback,
        stream=lambda period, lookback: TalippStream(EmaSlope(period, lookback), close_of, period + lookback),
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
        stream=lambda fast, slow: TalippStream(EmaSeparation(fast, slow), close_of, slow),
        batch=_ema_separation,
    ),
)
