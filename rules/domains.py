"""Which numbers each measured value can be at all: an RSI from 0 to 100, a rank from 0 to 1, a price above 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from indicators.catalog import domain_by_unit
from rules.features import Feature
from rules.language.reach import ANYTHING, NOT_NEGATIVE, POSITIVE, Interval
from rules.language.syntax import Name, Node

_LOCAL: Mapping[str, Interval] = {
    "entry": POSITIVE,
    "stop": POSITIVE,
    "risk": POSITIVE,
    "candles_held": NOT_NEGATIVE,
    "regime_candles": NOT_NEGATIVE,
    "regime_confidence": Interval(0.0, 1.0),
    "mark_premium": Interval(lower=-100.0),
}


def domain_of(feature: Feature) -> Interval:
    """What a feature can be, whatever the market does: the catalog says it of each indicator."""
    domain = domain_by_unit(feature.unit) if feature.indicator is None else feature.indicator.domain
    return Interval(domain.lower, domain.upper, domain.lower_open)


def domains(features: Mapping[str, Feature]) -> Callable[[Node], Interval]:
    """What each name of a rules file can be; ``above`` and ``below`` are distances (sides.py)."""
    known = dict(_LOCAL) | {name: domain_of(feature) for name, feature in features.items()}

    def domain(node: Node) -> Interval:
        name = node.name if isinstance(node, Name) else ""
        return known.get(name, NOT_NEGATIVE if " " in name else ANYTHING)

    return domain
