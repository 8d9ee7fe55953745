"""Which way the price is going and how decidedly: directional movement after Wilder."""

from __future__ import annotations

import numpy as np

from indicators.indicator import Indicator, Unit, candles
from indicators.series import FloatArray
from indicators.streams import TalippStream, as_is
from indicators.windows import quotient, smoothed
from indicators.workspace import Workspace, shared


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
        stream=lambda period: TalippStream(
            lambda forms: forms.DirectionalIndicator(period, upwards=index == 0), as_is, period + 1
        ),
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
        stream=lambda period: TalippStream(lambda forms: forms.AverageDirectionalIndex(period), as_is, 2 * period),
        batch=adx,
    ),
    _side(0, "plus_di", "Plus directional indicator: rising highs as a share of the true range; 0 without any range."),
    _side(
        1, "minus_di", "Minus directional indicator: falling lows as a share of the true range; 0 without any range."
    ),
)
