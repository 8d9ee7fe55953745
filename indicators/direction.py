"""Which way the price is going and how decidedly: directional movement after Wilder."""

from __future__ import annotations

import numpy as np

from indicators.averages import WilderAverage
from indicators.candle import Candle
from indicators.indicator import Indicator, Unit, candles
from indicators.series import FloatArray
from indicators.streams import Form, TalippStream, as_is
from indicators.windows import quotient, smoothed
from indicators.workspace import Workspace, shared


class DirectionalIndicator(Form):
    """Plus or minus DI of the candles it is fed.

    Movement and true range start together, with the second candle. (talipp's own ADX starts the true range with the
    first, so that its first values can exceed 100, and seeds itself again after a purge.)
    """

    def __init__(self, period: int, *, upwards: bool) -> None:
        super().__init__()
        self.upwards = upwards
        self.movement = WilderAverage(period)
        self.range = WilderAverage(period)
        self.add_managed_sequence(self.movement)
        self.add_managed_sequence(self.range)

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) < 2:
            return None
        before: Candle = self.input_values[-2]
        candle: Candle = self.input_values[-1]
        up, down = candle.high - before.high, before.low - candle.low
        ours, other = (up, down) if self.upwards else (down, up)
        self.movement.add(ours if ours > other and ours > 0 else 0.0)
        self.range.add(max(candle.high - candle.low, abs(candle.high - before.close), abs(candle.low - before.close)))
        movement, true_range = self.movement.output_values[-1], self.range.output_values[-1]
        if movement is None:
            return None
        return 100.0 * (movement / true_range) if true_range != 0 else 0.0


class AverageDirectionalIndex(Form):
    """ADX of the candles it is fed."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.plus = DirectionalIndicator(period, upwards=True)
        self.minus = DirectionalIndicator(period, upwards=False)
        self.add_sub_indicator(self.plus)
        self.add_sub_indicator(self.minus)
        self.average = WilderAverage(period)
        self.add_managed_sequence(self.average)

    def _calculate_new_value(self) -> float | None:
        plus, minus = self.plus.output_values[-1], self.minus.output_values[-1]
        if plus is None:
            return None
        both = plus + minus
        self.average.add(100.0 * (abs(plus - minus) / both) if both != 0 else 0.0)
        value: float | None = self.average.output_values[-1]
        return value


@shared
def directional(workspace: Workspace, *, period: int) -> tuple[FloatArray, FloatArray]:
    """Plus and minus DI."""
    series = workspace.series
    up, down = np.diff(series.high), -np.diff(series.low)
    before = series.close[:-1]
    reach = np.maximum(np.abs(series.high[1:] - before), np.abs(series.low[1:] - before))
    true_range = smoothed(np.maximum(series.high[1:] - series.low[1:], reach), period)
    plus, minus = np.full(series.length, np.nan), np.full(series.length, np.nan)
    for result, ours, other in ((plus, up, down), (minus, down, up)):
        movement = smoothed(np.where((ours > other) & (ours > 0), ours, 0.0), period)
        result[1:] = 100.0 * quotient(movement, true_range, otherwise=0.0)
    return plus, minus


@shared
def adx(workspace: Workspace, *, period: int) -> FloatArray:
    plus, minus = (side[period:] for side in directional(workspace, period=period))
    result = np.full(workspace.series.length, np.nan)
    result[period:] = smoothed(100.0 * quotient(np.abs(plus - minus), plus + minus, otherwise=0.0), period)
    return result


_PERIOD = candles("period", 14, "movements in each average", minimum=2)


def _side(index: int, name: str, summary: str) -> Indicator:
    return Indicator(
        name=name,
        summary=summary,
        unit=Unit.INDEX,
        reads=("high", "low", "close"),
        parameters=(_PERIOD,),
        warmup=lambda period: period + 1,
        stream=lambda period: TalippStream(DirectionalIndicator(period, upwards=index == 0), as_is, period + 1),
        batch=lambda workspace, period: directional(workspace, period=period)[index],
    )


ENTRIES = (
    Indicator(
        name="adx",
        reads=("high", "low", "close"),
        summary=(
            "Average directional index: how one-sided the movement of highs and lows is, whichever the side "
            "(Wilder's averages, which start as plain means). Without any movement it is 0."
        ),
        unit=Unit.INDEX,
        parameters=(_PERIOD,),
        warmup=lambda period: 2 * period,
        stream=lambda period: TalippStream(AverageDirectionalIndex(period), as_is, 2 * period),
        batch=adx,
    ),
    _side(0, "plus_di", "Plus directional indicator: rising highs as a share of the true range; 0 without any range."),
    _side(
        1, "minus_di", "Minus directional indicator: falling lows as a share of the true range; 0 without any range."
    ),
)
