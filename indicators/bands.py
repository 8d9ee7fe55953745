"""Bollinger Bands: where they are, how wide, how the width changes, and how often the close crosses their middle."""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from indicators.averages import sma
from indicators.indicator import (
    ANYTHING,
    CHANGE,
    NOT_NEGATIVE,
    PORTION,
    POSITIVE,
    Domain,
    Indicator,
    Parameter,
    Unit,
    candles,
)
from indicators.series import FloatArray
from indicators.streams import TalippStream, close_of
from indicators.windows import delayed, quotient, window_deviation
from indicators.workspace import Workspace, shared


@shared
def bands(workspace: Workspace, *, period: int, deviations: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower, middle and upper band."""
    middle = sma(workspace, period=period)
    distance = deviations * window_deviation(workspace.series.close, middle, period)
    return middle - distance, middle, middle + distance


@shared
def bandwidth(workspace: Workspace, *, period: int, deviations: float) -> FloatArray:
    lower, middle, upper = bands(workspace, period=period, deviations=deviations)
    return 100.0 * (upper - lower) / middle


def _bandwidth_change(workspace: Workspace, *, period: int, deviations: float, lookback: int) -> FloatArray:
    widths = bandwidth(workspace, period=period, deviations=deviations)
    before = delayed(widths, lookback)
    return 100.0 * quotient(widths - before, before, otherwise=0.0)


def _bandwidth_rank(workspace: Workspace, *, period: int, deviations: float, window: int) -> FloatArray:
    widths = bandwidth(workspace, period=period, deviations=deviations)
    result = np.full(len(widths), np.nan)
    known = widths[period - 1 :]
    count = len(known) - window + 1
    if count > 0:
        current = known[window - 1 :]
        narrower = np.zeros(count, dtype=np.int64)
        for offset in range(window):
            narrower += known[offset : offset + count] <= current
        result[period + window - 2 :] = narrower / window
    return result


def _crossings(workspace: Workspace, *, period: int, window: int) -> FloatArray:
    result = np.full(workspace.series.length, np.nan)
    middle = sma(workspace, period=period)[period - 1 :]
    sides = np.sign(workspace.series.close[period - 1 :] - middle).astype(np.int64)
    if len(sides) <= window:
        return result
    last_off = np.maximum.accumulate(np.where(sides != 0, np.arange(len(sides)), 0))
    sides = sides[last_off]
    crossed = np.zeros(len(sides), dtype=np.int64)
    crossed[1:] = sides[1:] * sides[:-1] < 0
    total = np.cumsum(crossed)
    result[period - 1 + window :] = total[window:] - total[:-window]
    return result


_BANDS = (
    candles("period", 20, "closes in the middle band", minimum=2),
    Parameter("deviations", float, 0.1, 10.0, 2.0, "standard deviations between the middle and each outer band"),
)


def _band(index: int, attribute: str, name: str, summary: str) -> Indicator:
    return Indicator(
        name=name,
        domain=ANYTHING if index == 0 else POSITIVE,
        summary=summary,
        unit=Unit.PRICE,
        parameters=_BANDS,
        warmup=lambda period, deviations: period,
        stream=lambda period, deviations: TalippStream(
            lambda forms: forms.BollingerBands(period, deviations), close_of, period, attrgetter(attribute)
        ),
        batch=lambda workspace, period, deviations: bands(workspace, period=period, deviations=deviations)[index],
    )


ENTRIES = (
    _band(
        2, "ub", "bb_upper", "Upper Bollinger Band: the middle plus `deviations` standard deviations of those closes."
    ),
    _band(1, "cb", "bb_middle", "Middle Bollinger Band: the mean of the last `period` closes."),
    _band(
        0, "lb", "bb_lower", "Lower Bollinger Band: the middle minus `deviations` standard deviations of those closes."
    ),
    Indicator(
        name="bb_bandwidth",
        domain=NOT_NEGATIVE,
        summary="From the lower to the upper Bollinger Band, in percent of the middle; 0 while all closes are equal.",
        unit=Unit.PERCENT,
        parameters=_BANDS,
        warmup=lambda period, deviations: period,
        stream=lambda period, deviations: TalippStream(
            lambda forms: forms.Bandwidth(period, deviations), close_of, period
        ),
        batch=bandwidth,
    ),
    Indicator(
        name="bb_bandwidth_change",
        domain=CHANGE,
        summary=(
            "How much wider the bands are than `lookback` candles ago, in percent of what they were; narrower is "
            "negative. 0 where they had no width at all, as no rate can be given."
        ),
        unit=Unit.PERCENT,
        parameters=(*_BANDS, candles("lookback", 5, "how many candles ago the earlier width is taken")),
        warmup=lambda period, deviations, lookback: period + lookback,
        stream=lambda period, deviations, lookback: TalippStream(
            lambda forms: forms.BandwidthChange(period, deviations, lookback), close_of, period + lookback
        ),
        batch=_bandwidth_change,
    ),
    Indicator(
        name="bandwidth_rank",
        domain=PORTION,
        summary=(
            "Share of the last `window` bandwidths, the current one included, that are not above the current one: "
            "1/window for the narrowest, 1.0 for the widest and while all are equal."
        ),
        unit=Unit.RATIO,
        parameters=(
            *_BANDS,
            candles("window", 100, "bandwidths that are ranked, the current one included", minimum=2),
        ),
        warmup=lambda period, deviations, window: period + window - 1,
        stream=lambda period, deviations, window: TalippStream(
            lambda forms: forms.BandwidthRank(period, deviations, window), close_of, period + window - 1
        ),
        batch=_bandwidth_rank,
    ),
    Indicator(
        name="mean_reversion_score",
        domain=lambda period, window: Domain(0.0, window),
        summary=(
            "How many of the last `window` candles closed on the other side of the middle band than the close before. "
            "A close exactly on it stays on the side it came from."
        ),
        unit=Unit.COUNT,
        parameters=(_BANDS[0], candles("window", 20, "candles whose crossings are counted")),
        warmup=lambda period, window: period + window,
        stream=lambda period, window: TalippStream(
            lambda forms: forms.MiddleCrossings(period, window), close_of, period + window
        ),
        batch=_crossings,
    ),
)
