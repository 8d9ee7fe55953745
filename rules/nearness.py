"""How far a comparison is from holding, in what traders measure it by: percent, ATR, points."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from rules.compiled_rules import LOCAL_NAMES, CompiledRules, feature_name
from rules.conditions import ComparisonTrace
from rules.features import Feature
from rules.language.scalar import Facts
from rules.language.syntax import Comparison, ExpressionError, Node, names_in, parse
from rules.language.units import ValueUnit, unit_of

ATR = "atr"
_POINTS = (ValueUnit.INDEX, ValueUnit.PERCENT)
_OF_OWN_SIZE = (ValueUnit.PRICE, ValueUnit.VOLUME)


class Nearness(msgspec.Struct, frozen=True, kw_only=True):
    """``value`` is the trace's distance, in ``unit``. ``percent`` of the threshold and ``atr`` where it is a price (or
    a volume, which has no ATR), ``points`` where it is an index or a percentage. ``words`` is what people read: with
    its sign, above zero on the side that was asked for."""

    unit: str
    value: float
    percent: float | None
    atr: float | None
    points: float | None
    words: str

    @property
    def steps(self) -> float:
        """How far, in steps that are about as large for every unit: an ATR, a percent, ten points."""
        if self.atr is not None:
            return abs(self.atr)
        if self.percent is not None:
            return abs(self.percent)
        return abs(self.points) / 10 if self.points is not None else abs(self.value)


NearnessOf = Callable[[ComparisonTrace], Nearness | None]


def nearness_of(rules: CompiledRules, facts: Facts) -> NearnessOf:
    """Measures comparisons of these rules at these facts; None where there is nothing to measure."""

    def measured(trace: ComparisonTrace) -> Nearness | None:
        if trace.distance is None:
            return None
        node = _parsed(trace.text)
        unit = _unit(node, rules.features)
        atr = _atr(node, rules.features, facts) if unit is ValueUnit.PRICE else None
        return _nearness(trace.distance, trace.right, unit, atr)

    return measured


def _parsed(text: str) -> Node | None:
    try:
        return parse(text)
    except ExpressionError:
        return None


def _unit(node: Node | None, features: Mapping[str, Feature]) -> ValueUnit:
    """Of the left side, or of the right one where that is a bare number."""
    if not isinstance(node, Comparison):
        return ValueUnit.NUMBER
    for side in (node.left, node.right):
        kinds = {name.name: _kind(name.name, features) for name in names_in(side)}
        try:
            unit = unit_of(side, kinds)
        except ExpressionError:
            continue
        if unit is not ValueUnit.NUMBER:
            return unit
    return ValueUnit.NUMBER


def _kind(name: str, features: Mapping[str, Feature]) -> ValueUnit:
    if name in features:
        return features[name].kind
    if name in LOCAL_NAMES:
        return ValueUnit.COUNT if name == "candles_held" else ValueUnit.PRICE
    return ValueUnit.NUMBER


def _atr(node: Node | None, features: Mapping[str, Feature], facts: Facts) -> float | None:
    """The ATR of a timeframe that is compared, or else of the shortest that the rules read one of."""
    found = {
        features[name].timeframe.ms: value
        for name, value in facts.items()
        if value and name in features and _is_atr(features[name])
    }
    named = (feature_name(name.key) for name in names_in(node)) if node is not None else ()
    own = [features[name].timeframe.ms for name in named if name in features]
    return next((found[ms] for ms in own if ms in found), found[min(found)] if found else None)


def _is_atr(feature: Feature) -> bool:
    return feature.indicator is not None and feature.indicator.name == ATR and not feature.symbol


def _nearness(distance: float, right: float | None, unit: ValueUnit, atr: float | None) -> Nearness:
    percent = distance / abs(right) * 100 if unit in _OF_OWN_SIZE and right else None
    in_atr = distance / atr if atr else None
    points = distance if unit in _POINTS else None
    return Nearness(
        unit=unit.value,
        value=distance,
        percent=percent,
        atr=in_atr,
        points=points,
        words=_words(distance, percent, in_atr, unit),
    )


def _words(distance: float, percent: float | None, atr: float | None, unit: ValueUnit) -> str:
    if percent is not None:
        return f"{percent:+.2f} %" + (f" ({atr:+.2f} ATR)" if atr is not None else "")
    if unit is ValueUnit.INDEX:
        return f"{distance:+.4g} points"
    if unit is ValueUnit.PERCENT:
        return f"{distance:+.4g} percentage points"
    return f"{distance:+.4g}"
