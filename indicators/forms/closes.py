"""Streams of closes: averages, their slope and distance, relative strength, Bollinger Bands and what they say."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

from talipp.indicators import BB, EMA, SMA, SMMA, StdDev

from indicators.forms.form import Form
from indicators.momentum import FLAT
from indicators.windows import mean, price_mean


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
