"""Checks of one expression beyond its units: what looks back can look back, over one timeframe, and within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rules.features import CandlesRead, length_of
from rules.language.syntax import (
    WINDOWS,
    Arithmetic,
    Call,
    ExpressionError,
    Name,
    Node,
    Number,
    children,
    names_in,
    walk,
)
from rules.language.units import SIZED, ValueUnit, unit_of
from rules.windows import LENGTH_MAX

_CROSSES = ("crosses_above", "crosses_below")
NODES_MAX, LEVELS_MAX, OFFSET_SUM_MAX = 1_000, 60, 200
"""What an expression may come to once every definition in it is written out."""


@dataclass(frozen=True, slots=True)
class Span:
    """The candles that a name reads; ``fixed``: a name in it that has no earlier candles, or nothing."""

    candles: frozenset[CandlesRead] = frozenset()
    fixed: str = ""

    def plus(self, other: Span) -> Span:
        return Span(self.candles | other.candles, self.fixed or other.fixed)


@dataclass(frozen=True, slots=True)
class Weight:
    """The size of an expression when it is written out: parts, levels, and candles back."""

    nodes: int = 1
    levels: int = 1
    offset: int = 0


def span_of(node: Node, span: Callable[[str], Span]) -> Span:
    """What all names of an expression read."""
    found = Span()
    for name in names_in(node):
        found = found.plus(span(name.name))
    return found


def check_looking_back(node: Node, span: Callable[[str], Span], lengths: Callable[[str], list[float] | None]) -> None:
    """Raises ExpressionError for a function that cannot look back here. ``lengths``: what a threshold is, for all
    symbols and for each; None for other names."""
    for call in walk(node):
        if not isinstance(call, Call):
            continue
        looks_back = call.function in WINDOWS or call.function in _CROSSES
        if not looks_back and not call.offset:
            continue
        looked_at = call.arguments[:1] if call.function in ("highest", "lowest", "count") else call.arguments
        read = Span()
        for argument in looked_at:
            read = read.plus(span_of(argument, span))
        if read.fixed:
            raise ExpressionError(f"{read.fixed} has no earlier candles, so {call.function} cannot use it", call.column)
        # a cross is of this candle and the one before, which symbols have in common
        aligned = call.function in _CROSSES and len(set(map(length_of, read.candles))) == 1
        if looks_back and len(read.candles) > 1 and not aligned:
            listed = " and ".join(sorted(map(str, read.candles)))
            message = f"{call.function} looks back over candles of one timeframe, and this reads {listed}"
            if len(set(map(length_of, read.candles))) == 1:
                message = f"{call.function} looks back over candles of one symbol, and this reads {listed}"
            raise ExpressionError(message, call.column)
        if call.function in ("highest", "lowest", "count"):
            _check_length(call.arguments[1], lengths)


def _check_length(node: Node, lengths: Callable[[str], list[float] | None]) -> None:
    values = [node.value] if isinstance(node, Number) else lengths(node.name) if isinstance(node, Name) else None
    if values is None or not all(value.is_integer() and 1 <= value <= LENGTH_MAX for value in map(float, values)):
        message = f"how many candles is a whole number from 1 to {LENGTH_MAX}, or a threshold that is one"
        raise ExpressionError(message, node.column)


def sized_by(node: Node, kinds: Mapping[str, ValueUnit], whose: Callable[[Name], str]) -> str | None:
    """The symbol whose prices or volumes an expression yields, empty for the one that is decided on; None where it
    yields neither. Raises ExpressionError where those of two symbols are compared or added."""
    if isinstance(node, Name):
        return whose(node) if kinds[node.name] in SIZED else None
    found = {part for child in children(node) if (part := sized_by(child, kinds, whose)) is not None}
    is_ratio = isinstance(node, Arithmetic) and node.operator == "/"
    if len(found) > 1 and not is_ratio:
        listed = " and ".join(sorted(symbol or "the symbol itself" for symbol in found))
        message = f"prices of {listed} have no common measure: divide one by the other, or compare each with its own"
        raise ExpressionError(message, node.column)
    return next(iter(found), None) if unit_of(node, kinds) in SIZED else None


def check_weight(node: Node, aliases: Mapping[str, Weight]) -> Weight:
    """How large the expression is with these definitions written out. Raises ExpressionError where that is too much."""
    weight = _weight(node, aliases)
    if weight.nodes > NODES_MAX or weight.levels > LEVELS_MAX:
        raise ExpressionError("with what it uses written out, this is too long: define less in terms of more", 0)
    if weight.offset > OFFSET_SUM_MAX:
        message = (
            f"with what it uses written out, this looks back {weight.offset} candles; {OFFSET_SUM_MAX} is the most"
        )
        raise ExpressionError(message, 0)
    return weight


def _weight(node: Node, aliases: Mapping[str, Weight]) -> Weight:
    offset = node.offset if isinstance(node, Name | Call) else 0
    if isinstance(node, Name):
        own = aliases.get(node.name, Weight())
        return Weight(own.nodes, own.levels, own.offset + offset)
    parts = [_weight(child, aliases) for child in children(node)]
    times = 2 if isinstance(node, Call) and node.function in _CROSSES else 1
    return Weight(
        1 + times * sum(part.nodes for part in parts),
        1 + max((part.levels for part in parts), default=0),
        offset + max((part.offset for part in parts), default=0),
    )


def circle(name: str, uses: Mapping[str, list[str]]) -> Iterator[str]:
    """The way on which a definition comes back to itself; nothing if it does not."""
    before: dict[str, str] = {}
    waiting = [name]
    while waiting:
        at = waiting.pop()
        for used in uses.get(at, []):
            if used == name:
                trail = [name, at]
                while trail[-1] != name:
                    trail.append(before[trail[-1]])
                yield from reversed(trail)
                return
            if used not in before:
                before[used] = at
                waiting.append(used)
