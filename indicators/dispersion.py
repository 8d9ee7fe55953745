"""How far prices spread, and channels as wide as that."""

from __future__ import annotations

from indicators.formula import Formula, entry
from indicators.indicator import ANYTHING, NOT_NEGATIVE, POSITIVE, Domain, Indicator, Parameter, Unit, candles, multiple
from indicators.operations import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    atr,
    average,
    deviation,
    ema,
    highest,
    logarithm,
    lowest,
    mean_deviation,
    ratio,
    root,
    total,
)

_KELTNER = (
    candles("period", 20, "closes in the middle line", minimum=2),
    candles("atr_period", 10, "true ranges in the ATR", minimum=2),
    multiple("multiple", 2.0, "ATRs from the middle line to each side"),
)
_BANDS = (
    candles("period", 20, "closes in the middle band", minimum=2),
    Parameter("deviations", float, 0.1, 10.0, 2.0, "standard deviations between the middle and each outer band"),
)


def _keltner(side: float, period: int, atr_period: int, multiple: float) -> Formula:
    return ema(CLOSE, period) + side * multiple * atr(atr_period)


def _band(name: str, side: float, summary: str, domain: Domain) -> Indicator:
    return entry(
        name,
        summary,
        Unit.PRICE,
        _KELTNER,
        lambda period, atr_period, multiple: _keltner(side, period, atr_period, multiple),
        domain=domain,
    )


def _band_position(period: int, deviations: float) -> Formula:
    reach = deviations * deviation(CLOSE, period)
    return ratio(CLOSE - (average(CLOSE, period) - reach), reach + reach, 0.5)


def _mass(period: int, window: int) -> Formula:
    reach = ema(HIGH - LOW, period)
    return total(ratio(reach, ema(reach, period), 1.0), window)


def _rogers_satchell(period: int) -> Formula:
    variance = logarithm(HIGH / CLOSE) * logarithm(HIGH / OPEN) + logarithm(LOW / CLOSE) * logarithm(LOW / OPEN)
    return 100.0 * root(total(variance, period) / period)


def _deviation(default: int = 20) -> Parameter:
    return candles("period", default, "closes that are looked at", minimum=2)


ENTRIES = (
    _band("keltner_upper", 1.0, "Upper Keltner channel: the EMA of the close plus `multiple` ATRs.", POSITIVE),
    entry(
        "keltner_middle",
        "Middle of the Keltner channel: the EMA of the close.",
        Unit.PRICE,
        _KELTNER[:1],
        lambda period: ema(CLOSE, period),
        domain=POSITIVE,
    ),
    _band("keltner_lower", -1.0, "Lower Keltner channel: the EMA of the close less `multiple` ATRs.", ANYTHING),
    entry(
        "donchian_middle",
        "Middle between the highest high and the lowest low of the last `period` candles, the current one included.",
        Unit.PRICE,
        (candles("period", 20, "candles it looks at"),),
        lambda period: (highest(HIGH, period) + lowest(LOW, period)) / 2.0,
        domain=POSITIVE,
    ),
    entry(
        "bb_position",
        "Where the close stands between the lower (0) and the upper (1) Bollinger Band (%b); beyond them below 0 or "
        "above 1, and 0.5 while all closes are equal.",
        Unit.RATIO,
        _BANDS,
        _band_position,
        domain=ANYTHING,
    ),
    entry(
        "std_dev",
        "Standard deviation (of the whole population) of the last `period` closes.",
        Unit.PRICE,
        (_deviation(),),
        lambda period: deviation(CLOSE, period),
        domain=NOT_NEGATIVE,
    ),
    entry(
        "std_dev_average",
        "Mean of the last `smooth` standard deviations: std_dev above it is more movement than usual (the SFX of "
        "talipp puts both beside the ATR).",
        Unit.PRICE,
        (_deviation(), candles("smooth", 20, "deviations in the mean")),
        lambda period, smooth: average(deviation(CLOSE, period), smooth),
        domain=NOT_NEGATIVE,
    ),
    entry(
        "mean_deviation",
        "Mean distance of the last `period` closes from their mean.",
        Unit.PRICE,
        (_deviation(),),
        lambda period: mean_deviation(CLOSE, period),
        domain=NOT_NEGATIVE,
    ),
    entry(
        "rogers_satchell",
        "Volatility after Rogers and Satchell, in percent a candle: from all four prices of each candle, whether "
        "there is a trend or not.",
        Unit.PERCENT,
        (_deviation(14),),
        _rogers_satchell,
        domain=NOT_NEGATIVE,
    ),
    entry(
        "mass_index",
        "Mass index: the sum of `window` values of the smoothed range over its own smoothing; above `window` while "
        "ranges widen. As many as `window` where nothing moved.",
        Unit.RATIO,
        (
            candles("period", 9, "period of each of the two averages", minimum=2),
            candles("window", 25, "values that are added up"),
        ),
        _mass,
        domain=NOT_NEGATIVE,
    ),
)
