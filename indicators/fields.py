"""The candle's own numbers, and its volume against the volume before it."""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from indicators.indicator import NOT_NEGATIVE, POSITIVE, Indicator, Unit, candles
from indicators.series import FloatArray
from indicators.streams import CandleStream, TalippStream, volume_of
from indicators.windows import delayed, quotient, window_mean
from indicators.workspace import Workspace


def _volume_ratio(workspace: Workspace, *, period: int) -> FloatArray:
    volumes = workspace.series.volume
    usual = delayed(window_mean(volumes, period), 1)
    return quotient(volumes, usual, otherwise=1.0)


def _field(name: str, summary: str, unit: Unit) -> Indicator:
    return Indicator(
        name=name,
        summary=summary,
        unit=unit,
        domain=POSITIVE if unit is Unit.PRICE else None,
        reads=(name,),
        parameters=(),
        warmup=lambda: 1,
        stream=lambda: CandleStream(attrgetter(name)),
        batch=lambda workspace: np.array(getattr(workspace.series, name)),
    )


ENTRIES = (
    _field("open", "First price of the candle.", Unit.PRICE),
    _field("high", "Highest price of the candle.", Unit.PRICE),
    _field("low", "Lowest price of the candle.", Unit.PRICE),
    _field("close", "Last price of the candle.", Unit.PRICE),
    _field("volume", "What was traded during the candle, in the base asset.", Unit.VOLUME),
    Indicator(
        name="volume_ratio",
        domain=NOT_NEGATIVE,
        reads=("volume",),
        summary=(
            "Volume over the mean volume of the `period` candles before. 1.0, as usual, where none of those traded: "
            "there is nothing to compare with."
        ),
        unit=Unit.RATIO,
        parameters=(candles("period", 20, "candles that say what is usual"),),
        warmup=lambda period: period + 1,
        stream=lambda period: TalippStream(lambda forms: forms.VolumeRatio(period), volume_of, period + 1),
        batch=_volume_ratio,
    ),
)
