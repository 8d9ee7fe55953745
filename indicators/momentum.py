"""How one-sided the recent closes were: the relative strength index."""

from __future__ import annotations

import numpy as np

from indicators.indicator import Indicator, Unit, candles
from indicators.series import FloatArray
from indicators.streams import TalippStream, close_of
from indicators.windows import quotient, smoothed
from indicators.workspace import Workspace, shared

FLAT = 50.0


@shared
def rsi(workspace: Workspace, *, period: int) -> FloatArray:
    changes = np.diff(workspace.series.close)
    gain = smoothed(np.where(changes > 0, changes, 0.0), period)
    loss = smoothed(np.where(changes < 0, -changes, 0.0), period)
    result = np.full(workspace.series.length, np.nan)
    result[1:] = 100.0 * quotient(gain, gain + loss, otherwise=FLAT / 100.0)
    return result


ENTRIES = (
    Indicator(
        name="rsi",
        summary=(
            "Relative strength index: the share of rises in the average change of the close (Wilder's average, which "
            "starts as the mean of the first `period` changes). Without any movement it is 50: neither high nor low."
        ),
        unit=Unit.INDEX,
        parameters=(candles("period", 14, "changes in the average", minimum=2),),
        warmup=lambda period: period + 1,
        stream=lambda period: TalippStream(lambda forms: forms.RelativeStrength(period), close_of, period + 1),
        batch=rsi,
    ),
)
