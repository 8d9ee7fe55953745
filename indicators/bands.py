"""Bollinger Bands: where they are, how wide, how the width changes, and how often the close crosses their middle."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from operator import attrgetter

import numpy as np
from talipp.indicators import BB, StdDev

from indicators.averages import SimpleAverage, sma
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
from indicators.streams import Form, TalippStream, close_of
from indicators.windows import delayed, mean, price_mean, quotient, window_deviation
from indicators.workspace import Workspace, shared


class StandardDeviation(StdDev):  # type: ignore[misc]  # talipp ships no types
    """talipp's population deviation of prices, except that both its sums run from left to right."""

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) < self.period:
            return None
        values = self.input_values[-self.period :]
        centre = price_mean(values, self.period)
        return sqrt(mean(((value - centre) * (value - centre) for value in values), self.period))


class BollingerBands(BB):  # type: ignore[misc]  # talipp ships no types
    """talipp's bands of prices, on our own mean and deviation."""

    def __init__(self, period: int, deviations: float) -> None:
        super().__init__(period, deviations)
        self.central_band = SimpleAverage(period)
        self.std_dev = StandardDeviation(period)
        self.sub_indicators = [self.central_band, self.std_dev]


class Bandwidth(Form):
    """Distance between the bands of the closes it is fed, in percent of the middle one."""

    def __init__(self, period: int, deviations: float) -> None:
        super().__init__()
        self.bands = BollingerBands(period, deviations)
        self.add_sub_indicator(self.bands)

    def _calculate_new_value(self) -> float | None:
        bands = self.bands.output_values[-1]
        if bands is None:
            return None
        width: float = 100.0 * (bands.ub - bands.lb) / bands.cb
        return width


class BandwidthChange(Form):
    """Change of the bandwidth of the closes it is fed, in percent of what it was."""

    def __init__(self, period: int, deviations: float, lookback: int) -> None:
        super().__init__()
        self.lookback = lookback
        self.width = Bandwidth(period, deviations)
        self.add_sub_indicator(self.width)

    def _calculate_new_value(self) -> float | None:
        widths = self.width.output_values
        if len(widths) <= self.lookback or widths[-1 - self.lookback] is None:
            return None
        before: float = widths[-1 - self.lookback]
        return 100.0 * ((widths[-1] - before) / before) if before != 0 else 0.0


class BandwidthRank(Form):
    """Share of the recent bandwidths of the closes it is fed that are no wider than the current one."""

    def __init__(self, period: int, deviations: float, window: int) -> None:
        super().__init__()
        self.window = window
        self.width = Bandwidth(period, deviations)
        self.add_sub_indicator(self.width)

    def _calculate_new_value(self) -> float | None:
        recent = self.width.output_values[-self.window :]
        if len(recent) < self.window or recent[0] is None:
            return None
        return sum(1 for width in recent if width <= recent[-1]) / self.window


class MiddleCrossings(Form):
    """How often the closes it is fed changed sides of their mean."""

    def __init__(self, period: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.middle = SimpleAverage(period)
        self.add_sub_indicator(self.middle)
        self.sides: list[int] = []
        self.add_managed_sequence(self.sides)

    def _calculate_new_value(self) -> float | None:
        middle = self.middle.output_values[-1]
        if middle is None:
            return None
        close = self.input_values[-1]
        before = self.sides[-1] if self.sides else 0
        self.sides.append(1 if close > middle else -1 if close < middle else before)
        if len(self.sides) <= self.window:
            return None
        recent = self.sides[-self.window - 1 :]
        return float(sum(1 for old, new in pairwise(recent) if old * new < 0))


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
            BollingerBands(period, deviations), close_of, period, attrgetter(attribute)
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
        stream=lambda period, deviations: TalippStream(Bandwidth(period, deviations), close_of, period),
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
            BandwidthChange(period, deviations, lookback), close_of, period + lookback
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
            BandwidthRank(period, deviations, window), close_of, period + window - 1
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
        stream=lambda period, window: TalippStream(MiddleCrossings(period, window), close_of, period + window),
        batch=_crossings,
    ),
)
