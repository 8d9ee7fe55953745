"""How one-sided the recent closes were: the relative strength index."""

from __future__ import annotations

import numpy as np

from indicators.averages import WilderAverage
from indicators.indicator import Indicator, Unit, candles
from indicators.series import FloatArray
from indicators.streams import Form, TalippStream, close_of
from indicators.windows import quotient, smoothed
from indicators.workspace import Workspace, shared

FLAT = 50.0


class RelativeStrength(Form):
    """RSI of the closes it is fed. talipp's own seeds itself from one change too few, and calls a flat market 100."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.gain = WilderAverage(period)
        self.loss = WilderAverage(period)
        self.add_managed_sequence(self.gain)
        self.add_managed_sequence(self.loss)

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) < 2:
            return None
        change = self.input_values[-1] - self.input_values[-2]
        self.gain.add(change if change > 0 else 0.0)
        self.loss.add(-change if change < 0 else 0.0)
        gain, loss = self.gain.output_values[-1], self.loss.output_values[-1]
        if gain is None:
            return None
        moved: float = gain + loss
        return 100.0 * (gain / moved) if moved != 0 else FLAT


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
        stream=lambda period: TalippStream(RelativeStrength(period), close_of, period + 1),
        batch=rsi,
    ),
)
