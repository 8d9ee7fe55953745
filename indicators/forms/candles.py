"""Streams of candles: true range, directional movement, channels, swings, volume and shapes."""

from __future__ import annotations

from collections.abc import Callable

from talipp.indicators import ATR, DonchianChannels

from indicators.candle import Candle
from indicators.forms.closes import WilderAverage
from indicators.forms.form import Form
from indicators.windows import mean


class AverageTrueRange(ATR):  # type: ignore[misc]  # talipp ships no types
    """talipp's ATR of candles, except that the seed (a plain mean) is added from left to right."""

    def _calculate_new_value(self) -> float | None:
        value: float | None = super()._calculate_new_value()
        if len(self.input_values) == self.period:
            return mean(self.tr, self.period)
        return value


class AtrPercent(Form):
    """ATR of the candles it is fed, in percent of the close."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.average = AverageTrueRange(period)
        self.add_sub_indicator(self.average)

    def _calculate_new_value(self) -> float | None:
        average: float | None = self.average.output_values[-1]
        return None if average is None else 100.0 * average / self.input_values[-1].close


class AtrRatio(Form):
    """ATR percent of the candles it is fed, over its own mean."""

    def __init__(self, period: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.percent = AtrPercent(period)
        self.add_sub_indicator(self.percent)

    def _calculate_new_value(self) -> float | None:
        recent = self.percent.output_values[-self.window :]
        if len(recent) < self.window or recent[0] is None:
            return None
        usual = mean(recent, self.window)
        return recent[-1] / usual if usual != 0 else 1.0


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


class PreviousChannel(Form):
    """talipp's Donchian channel of the candles it is fed, as it was one candle ago."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.channel = DonchianChannels(period)
        self.add_sub_indicator(self.channel)

    def _calculate_new_value(self) -> object | None:
        channels = self.channel.output_values
        return channels[-2] if len(channels) > 1 else None


class Swing(Form):
    """The latest swing among the highs (``beyond`` is >) or lows (<) it is fed, once enough of them followed it."""

    def __init__(self, left: int, right: int, beyond: Callable[[float, float], bool]) -> None:
        super().__init__()
        self.left = left
        self.span = left + 1 + right
        self.beyond = beyond

    def _calculate_new_value(self) -> float | None:
        latest: float | None = self.output_values[-1] if self.output_values else None
        if len(self.input_values) < self.span:
            return None
        around = self.input_values[-self.span :]
        pivot: float = around[self.left]
        if not all(self.beyond(pivot, value) for value in around[: self.left]):
            return latest
        if any(self.beyond(value, pivot) for value in around[self.left + 1 :]):
            return latest
        return pivot


class VolumeRatio(Form):
    """The latest of the volumes it is fed, over the mean of those before it."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) <= self.period:
            return None
        usual = mean(self.input_values[-self.period - 1 : -1], self.period)
        volume: float = self.input_values[-1]
        return volume / usual if usual != 0 else 1.0


class Engulfing(Form):
    """1.0 where the body of a rising (or falling) candle covers that of a falling (rising) one before it."""

    def __init__(self, *, bullish: bool) -> None:
        super().__init__()
        self.bullish = bullish

    def _calculate_new_value(self) -> float | None:
        if len(self.input_values) < 2:
            return None
        before: Candle = self.input_values[-2]
        candle: Candle = self.input_values[-1]
        if self.bullish:
            turned = before.close < before.open and candle.close > candle.open
            covers = candle.open <= before.close and before.open <= candle.close
        else:
            turned = before.close > before.open and candle.close < candle.open
            covers = candle.open >= before.close and before.open >= candle.close
        larger = candle.open != before.close or candle.close != before.open
        return 1.0 if turned and covers and larger else 0.0
