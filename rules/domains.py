"""Which numbers each measured value can be at all: an RSI from 0 to 100, a rank from 0 to 1, a price above 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from indicators.catalog import Unit
from rules.features import Feature
from rules.language.reach import ANYTHING, NOT_NEGATIVE, POSITIVE, Interval
from rules.language.syntax import Name, Node

INDEX = Interval(0.0, 100.0)
PORTION = Interval(0.0, 1.0)
CHANGE = Interval(lower=-100.0)
"""A price, or a width, can lose all of itself and gain without end."""

_BY_INDICATOR: Mapping[str, Interval] = {
    "atr_pct": NOT_NEGATIVE,
    "atr_ratio": NOT_NEGATIVE,
    "bandwidth_rank": PORTION,
    "bb_bandwidth": NOT_NEGATIVE,
    "bb_bandwidth_change": CHANGE,
    "bb_lower": ANYTHING,
    "body_ratio": PORTION,
    "candle_range": NOT_NEGATIVE,
    "close_location": PORTION,
    "ema_separation": CHANGE,
    "ema_slope": CHANGE,
    "volume_ratio": NOT_NEGATIVE,
    **dict.fromkeys(
        (
            *("open", "high", "low", "close", "ema", "sma", "bb_middle", "bb_upper"),
            *("swing_high", "swing_low", "recent_high", "recent_low", "donchian_high", "donchian_low"),
        ),
        POSITIVE,
    ),
}

_BY_UNIT: Mapping[Unit, Interval] = {
    Unit.PRICE: NOT_NEGATIVE,
    Unit.VOLUME: NOT_NEGATIVE,
    Unit.COUNT: NOT_NEGATIVE,
    Unit.INDEX: INDEX,
    Unit.FLAG: PORTION,
    Unit.PERCENT: ANYTHING,
    Unit.RATIO: ANYTHING,
}

_LOCAL: Mapping[str, Interval] = {
    "entry": POSITIVE,
    "stop": POSITIVE,
    "risk": POSITIVE,
    "candles_held": NOT_NEGATIVE,
}


def domain_of(feature: Feature) -> Interval:
    """What a feature can be, whatever the market does."""
    if feature.indicator is not None and feature.indicator.name == "mean_reversion_score":
        return Interval(0.0, feature.indicator.params["window"])
    by_unit = _BY_UNIT[feature.unit]
    return by_unit if feature.indicator is None else _BY_INDICATOR.get(feature.indicator.name, by_unit)


def domains(features: Mapping[str, Feature]) -> Callable[[Node], Interval]:
    """What each name of a rules file can be; ``above`` and ``below`` are distances (sides.py)."""
    known = {name: domain_of(feature) for name, feature in features.items()} | dict(_LOCAL)

    def domain(node: Node) -> Interval:
        name = node.name if isinstance(node, Name) else ""
        return known.get(name, NOT_NEGATIVE if " " in name else ANYTHING)

    return domain
