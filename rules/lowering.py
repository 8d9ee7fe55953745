"""Brings an expression into what is evaluated: names and offsets, arithmetic, comparisons. Functions that look back
become names of their own, measured like indicators; the others are written out."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import replace

from indicators.candle import Timeframe
from indicators.catalog import Unit
from rules.features import Feature
from rules.language.syntax import (
    WINDOWS,
    And,
    Call,
    Comparison,
    Name,
    Node,
    Number,
    children,
    names_in,
    shifted,
    with_children,
)
from rules.language.units import ValueUnit, unit_of
from rules.language.writing import written
from rules.moments import Moment, Session
from rules.windows import LENGTH_MAX, Window


class Lowering:
    """For one symbol's rules. ``features`` grows by what the expressions measure beside what is declared."""

    def __init__(
        self, features: MutableMapping[str, Feature], clock: Mapping[str, Session | None], entry: Timeframe
    ) -> None:
        self._features = features
        self._clock = clock
        self._entry = entry

    def lowered(self, node: Node) -> Node:
        """The tree without calls but of min, max and abs."""
        if isinstance(node, Call) and node.function in WINDOWS:
            return self._window(node)
        if isinstance(node, Call) and node.offset:
            return self.lowered(
                replace(node, arguments=tuple(shifted(part, node.offset) for part in node.arguments), offset=0)
            )
        if isinstance(node, Name):
            if node.name not in self._features and node.name in self._clock:
                self._features[node.name] = self._moment(node.name, self._entry)
            if node.symbol:
                own = self._features[node.own]
                self._features[node.name] = replace(own, name=node.name, symbol=node.symbol)
            return node
        parts = tuple(map(self.lowered, children(node)))
        return self._spelt_out(node, parts) if isinstance(node, Call) else with_children(node, parts)

    def _spelt_out(self, call: Call, parts: tuple[Node, ...]) -> Node:
        if call.function == "between":
            value, low, high = parts
            return And((_compared(">=", value, low), _compared("<=", value, high)), call.column)
        if call.function in ("crosses_above", "crosses_below"):
            one, other = parts
            beyond, before = (">", "<=") if call.function == "crosses_above" else ("<", ">=")
            first, second = (self.lowered(shifted(part, 1)) for part in parts)
            return And((_compared(beyond, one, other), _compared(before, first, second)), call.column)
        return replace(call, arguments=parts)

    def _moment(self, name: str, timeframe: Timeframe) -> Feature:
        return Feature(name, timeframe, Moment(name, timeframe, self._clock[name]))

    def _window(self, call: Call) -> Name:
        """The name under which its value is known; measured on the one timeframe that it reads."""
        when, looked_at, length = _parts(call)
        nodes = [self.lowered(node) for node in (looked_at, when) if node is not None]
        names = list(dict.fromkeys(name.name for node in nodes for name in names_in(node)))
        moments = {name for name in names if isinstance(self._features[name].indicator, Moment)}
        others = [self._features[name] for name in names if name not in moments]
        timeframe, symbol = (others[0].timeframe, others[0].symbol) if others else (self._entry, "")
        inner = tuple(self._moment(name, timeframe) if name in moments else self._features[name] for name in names)
        key = written(replace(call, offset=0))
        self._features[key] = Feature(
            key,
            timeframe,
            Window(
                function=call.function,
                node=nodes[0],
                when=nodes[1] if when is not None else None,
                length=length,
                timeframe=timeframe,
                unit=_unit(call.function, nodes[0], inner),
                inner=inner,
                text=key,
            ),
            symbol,
        )
        return Name(key, call.offset, call.column)


def _parts(call: Call) -> tuple[Node | None, Node, int]:
    """(the condition of value_when, what is looked at, over how many candles)"""
    if call.function == "value_when":
        return call.arguments[0], call.arguments[1], LENGTH_MAX
    if call.function == "since":
        return None, call.arguments[0], LENGTH_MAX
    length = call.arguments[1]
    assert isinstance(length, Number), "checked in semantic_checks.py"
    return None, call.arguments[0], int(length.value)


def _unit(function: str, node: Node, inner: tuple[Feature, ...]) -> Unit:
    if function in ("count", "since"):
        return Unit.COUNT
    kind = unit_of(node, {feature.name: feature.kind for feature in inner})
    return Unit.RATIO if kind is ValueUnit.NUMBER else Unit(kind.value)


def _compared(operator: str, left: Node, right: Node) -> Comparison:
    return Comparison(operator, left, right, f"{written(left)} {operator} {written(right)}", left.column)
