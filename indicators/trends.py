"""Which way the trend goes and where it would end: SuperTrend, parabolic SAR, Ichimoku, Vortex, stops."""

from __future__ import annotations

from collections.abc import Callable

from indicators.formula import Formula, Step, by_step, entry, part
from indicators.indicator import ANYTHING, NOT_NEGATIVE, POSITIVE, Indicator, Parameter, Unit, candles, multiple
from indicators.operations import (
    CLOSE,
    HIGH,
    LOW,
    MEDIAN,
    TRUE_RANGE,
    above,
    absolute,
    atr,
    average,
    choice,
    deviation,
    earlier,
    ema,
    highest,
    line_weights,
    lowest,
    ratio,
    total,
    weighted,
)


def _super_trend_step() -> Step:
    upper = lower = before = 0.0
    rising: bool | None = None

    def take(middle: float, distance: float, close: float) -> tuple[float, float]:
        nonlocal upper, lower, before, rising
        top, bottom = middle + distance, middle - distance
        if rising is None:
            upper, lower, rising = top, bottom, close > middle
        else:
            upper = top if top < upper or before > upper else upper
            lower = bottom if bottom > lower or before < lower else lower
            rising = close >= lower if rising else close > upper
        before = close
        return (lower, 1.0) if rising else (upper, 0.0)

    return take


class _Parabolic:
    """Wilder's stop and reverse, as TA-Lib begins it: with the second candle, the way in which the first two went."""

    def __init__(self, step: float, maximum: float) -> None:
        self.step, self.maximum = min(step, maximum), maximum
        self.high = self.low = self.stop = self.extreme = self.speed = 0.0
        self.rising: bool | None = None
        self.seen = 0

    def __call__(self, high: float, low: float) -> tuple[float, float]:
        self.seen += 1
        if self.seen == 1:
            self.high, self.low = high, low
            return float("nan"), float("nan")
        if self.seen == 2:
            down, up = self.low - low, high - self.high
            self.rising = not (down > 0 and up < down)
            self.stop, self.extreme = (self.low, high) if self.rising else (self.high, low)
            self.speed = self.step
            self.high, self.low = high, low
        shown = self._turned(high, low) if self._is_hit(high, low) else self._gone_on(high, low)
        self.high, self.low = high, low
        return shown, 1.0 if self.rising else 0.0

    def _is_hit(self, high: float, low: float) -> bool:
        return low <= self.stop if self.rising else high >= self.stop

    def _turned(self, high: float, low: float) -> float:
        self.rising = not self.rising
        shown = self._kept_outside(self.extreme, high, low)
        self.speed = self.step
        self.extreme = high if self.rising else low
        self.stop = self._kept_outside(shown + self.speed * (self.extreme - shown), high, low)
        return shown

    def _gone_on(self, high: float, low: float) -> float:
        shown = self.stop
        if high > self.extreme if self.rising else low < self.extreme:
            self.extreme = high if self.rising else low
            self.speed = min(self.speed + self.step, self.maximum)
        self.stop = self._kept_outside(shown + self.speed * (self.extreme - shown), high, low)
        return shown

    def _kept_outside(self, stop: float, high: float, low: float) -> float:
        """Never within the last two candles."""
        return min(stop, self.low, low) if self.rising else max(stop, self.high, high)


_SUPER_TREND = by_step("super trend", _super_trend_step, inputs=3, parts=2)
_PARABOLIC = by_step("parabolic", _Parabolic, lambda *_: 1, inputs=2, parts=2)


def _super_trend(period: int, multiple: float) -> Formula:
    return Formula(_SUPER_TREND, (MEDIAN, multiple * atr(period), CLOSE))


def _parabolic(step: float, maximum: float) -> Formula:
    return Formula(_PARABOLIC, (HIGH, LOW), (step, maximum))


def _middle(period: int) -> Formula:
    return (highest(HIGH, period) + lowest(LOW, period)) / 2.0


def _span_a(conversion: int, base: int, displacement: int) -> Formula:
    return earlier((_middle(conversion) + _middle(base)) / 2.0, displacement)


def _vortex(movement: Formula, period: int) -> Formula:
    return ratio(total(absolute(movement), period), total(TRUE_RANGE, period), 1.0)


def _squeeze(period: int, deviations: float, multiple: float) -> Formula:
    bands = deviations * deviation(CLOSE, period)
    channel, plain, exponential = multiple * atr(period), average(CLOSE, period), ema(CLOSE, period)
    below = above(exponential + channel, plain + bands)
    return choice(below, above(plain - bands, exponential - channel), 0.0)


def _squeeze_momentum(period: int) -> Formula:
    return weighted(CLOSE - (_middle(period) + average(CLOSE, period)) / 2.0, line_weights(period))


def _chande_kroll_short(period: int, multiple: float, smooth: int) -> Formula:
    return highest(highest(HIGH, period) - multiple * atr(period), smooth)


def _chande_kroll_long(period: int, multiple: float, smooth: int) -> Formula:
    return lowest(lowest(LOW, period) + multiple * atr(period), smooth)


_SUPER = (candles("period", 10, "true ranges in the ATR", minimum=2), multiple("multiple", 3.0, "ATRs from the middle"))
_SAR = (
    Parameter("step", float, 0.001, 1.0, 0.02, "how much quicker it gets at each new extreme"),
    Parameter("maximum", float, 0.001, 1.0, 0.2, "how quick it may get"),
)
_CONVERSION = candles("conversion", 9, "candles of the conversion line")
_BASE = candles("base", 26, "candles of the base line")
_DISPLACEMENT = candles("displacement", 26, "how many candles ago the span was drawn for this one")
_VORTEX = (candles("period", 14, "candles that are added up", minimum=2),)
_STOP = (
    candles("period", 10, "candles of the extreme and of the ATR", minimum=2),
    multiple("multiple", 1.0, "ATRs from the extreme"),
    candles("smooth", 9, "candles over which the stop may not loosen"),
)


def _span_b(span: int, displacement: int) -> Formula:
    return earlier(_middle(span), displacement)


def _ichimoku(name: str, summary: str, parameters: tuple[Parameter, ...], formula: Callable[..., Formula]) -> Indicator:
    return entry(f"ichimoku_{name}", summary, Unit.PRICE, parameters, formula, domain=POSITIVE)


ENTRIES = (
    entry(
        "supertrend",
        "SuperTrend: a stop that follows `multiple` ATRs below the middle of the candles in a rise and above it in a "
        "fall; the trend turns where a close passes it.",
        Unit.PRICE,
        _SUPER,
        lambda period, multiple: part(_super_trend(period, multiple), 0),
        domain=ANYTHING,
    ),
    entry(
        "supertrend_up",
        "Whether the SuperTrend says that the trend rises.",
        Unit.FLAG,
        _SUPER,
        lambda period, multiple: part(_super_trend(period, multiple), 1),
    ),
    entry(
        "psar",
        "Parabolic SAR: Wilder's stop, which runs after the price ever more quickly and turns round where it is "
        "touched.",
        Unit.PRICE,
        _SAR,
        lambda step, maximum: part(_parabolic(step, maximum), 0),
        domain=POSITIVE,
    ),
    entry(
        "psar_up",
        "Whether the parabolic SAR says that the trend rises.",
        Unit.FLAG,
        _SAR,
        lambda step, maximum: part(_parabolic(step, maximum), 1),
    ),
    _ichimoku(
        "conversion",
        "Conversion line (tenkan-sen): the middle between the highest high and the lowest low of a few candles.",
        (_CONVERSION,),
        lambda conversion: _middle(conversion),
    ),
    _ichimoku(
        "base",
        "Base line (kijun-sen): the middle between the highest high and the lowest low of more candles.",
        (_BASE,),
        lambda base: _middle(base),
    ),
    _ichimoku(
        "span_a",
        "Leading span A where it stands at this candle: what `displacement` candles ago was the middle of the "
        "conversion and base lines. The part of the cloud that charts draw ahead is not known yet; nothing here "
        "reads it.",
        (_CONVERSION, _BASE, _DISPLACEMENT),
        _span_a,
    ),
    _ichimoku(
        "span_b",
        "Leading span B where it stands at this candle: what `displacement` candles ago was the middle between the "
        "highest high and the lowest low of `span` candles.",
        (candles("span", 52, "candles of the span"), _DISPLACEMENT),
        _span_b,
    ),
    entry(
        "vortex_plus",
        "Vortex, upwards: the way from the last lows to the highs as a share of the true range; 1 where nothing moved.",
        Unit.RATIO,
        _VORTEX,
        lambda period: _vortex(HIGH - earlier(LOW, 1), period),
        domain=NOT_NEGATIVE,
    ),
    entry(
        "vortex_minus",
        "Vortex, downwards: the way from the last highs to the lows as a share of the true range; 1 where nothing "
        "moved.",
        Unit.RATIO,
        _VORTEX,
        lambda period: _vortex(LOW - earlier(HIGH, 1), period),
        domain=NOT_NEGATIVE,
    ),
    entry(
        "chande_kroll_long",
        "Chande and Kroll's stop as talipp names it for longs: the lowest, over `smooth` candles, of the lowest low "
        "plus `multiple` ATRs.",
        Unit.PRICE,
        _STOP,
        _chande_kroll_long,
        domain=POSITIVE,
    ),
    entry(
        "chande_kroll_short",
        "Chande and Kroll's stop as talipp names it for shorts: the highest, over `smooth` candles, of the highest "
        "high less `multiple` ATRs.",
        Unit.PRICE,
        _STOP,
        _chande_kroll_short,
        domain=ANYTHING,
    ),
    entry(
        "ttm_squeeze",
        "Whether the Bollinger Bands lie within the Keltner channel: calm, before a move.",
        Unit.FLAG,
        (
            candles("period", 20, "candles of both channels", minimum=2),
            Parameter("deviations", float, 0.1, 10.0, 2.0, "standard deviations to each band"),
            multiple("multiple", 1.5, "ATRs to each side of the channel"),
        ),
        _squeeze,
    ),
    entry(
        "ttm_momentum",
        "Histogram of the squeeze: where a straight line through the last closes' distances from the middle of their "
        "range and mean ends; above 0 upwards.",
        Unit.PRICE,
        (candles("period", 20, "candles of the range, the mean and the line", minimum=2),),
        _squeeze_momentum,
        domain=ANYTHING,
    ),
)
