"""Checks that an expression compares and adds like with like, and says what it yields.

Literal numbers and thresholds have no unit: they take that of the other side. The one exception is that a bare number
is never added to a price or a volume, as it would mean something else for each symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from indicators.catalog import Unit
from rules.language.syntax import (
    And,
    Arithmetic,
    Call,
    Comparison,
    ExpressionError,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Or,
)


class ValueUnit(StrEnum):
    """What an expression yields: a measure in some unit, a bare number, or a condition that holds or not."""

    PRICE = "price"
    VOLUME = "volume"
    INDEX = "index"
    PERCENT = "percent"
    RATIO = "ratio"
    COUNT = "count"
    SCORE = "score"
    NUMBER = "number"
    CONDITION = "condition"

    @staticmethod
    def of(unit: Unit) -> ValueUnit:
        return ValueUnit.CONDITION if unit is Unit.FLAG else ValueUnit(unit.value)

    @property
    def noun(self) -> str:
        return {"index": "an index (0 to 100)", "percent": "a percentage"}.get(self.value, f"a {self.value}")


SIZED = (ValueUnit.PRICE, ValueUnit.VOLUME)
"""Units of which one symbol's say nothing about another's."""
_FACTORS = (ValueUnit.NUMBER, ValueUnit.RATIO)


def unit_of(node: Node, names: Mapping[str, ValueUnit]) -> ValueUnit:
    """What ``node`` yields, given what its names stand for. Raises ExpressionError where units do not fit."""
    match node:
        case Number():
            return ValueUnit.NUMBER
        case Name():
            return _unit_of_name(node, names)
        case Negative(operand=operand):
            return _measure(operand, names)
        case Arithmetic():
            left, right = _measure(node.left, names), _measure(node.right, names)
            return _combined(node, left, right)
        case Call() if node.function not in ("min", "max", "abs"):
            return _unit_of_function(node, names)
        case Call():
            return _joint(node, [_measure(argument, names) for argument in node.arguments], adding=True)
        case Comparison():
            _joint(node, [_measure(node.left, names), _measure(node.right, names)], adding=False)
            return ValueUnit.CONDITION
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                require_condition(operand, names)
            return ValueUnit.CONDITION
        case Not(operand=operand):
            require_condition(operand, names)
            return ValueUnit.CONDITION


def require_condition(node: Node, names: Mapping[str, ValueUnit]) -> None:
    """Raises ExpressionError unless ``node`` can hold or fail."""
    kind = unit_of(node, names)
    if kind is not ValueUnit.CONDITION:
        raise ExpressionError(f"this is {kind.noun} and not a condition: compare it with something", node.column)


def require_price(node: Node, names: Mapping[str, ValueUnit]) -> None:
    """Raises ExpressionError unless ``node`` yields a price."""
    kind = unit_of(node, names)
    if kind is not ValueUnit.PRICE:
        raise ExpressionError(f"a price is needed here, and this is {kind.noun}", node.column)


def require_measure(node: Node, names: Mapping[str, ValueUnit]) -> None:
    """Raises ExpressionError where ``node`` only holds or fails."""
    _measure(node, names)


def _unit_of_name(node: Name, names: Mapping[str, ValueUnit]) -> ValueUnit:
    kind = names[node.name]
    if node.offset and kind is ValueUnit.NUMBER:
        raise ExpressionError(f"{node.name} is a fixed number: it has no earlier candles", node.column)
    return kind


def _measure(node: Node, names: Mapping[str, ValueUnit]) -> ValueUnit:
    kind = unit_of(node, names)
    if kind is ValueUnit.CONDITION:
        hint = "it already holds or not" if isinstance(node, Name) else "join conditions with and, or, not"
        raise ExpressionError(f"a number is needed here, and this is a condition ({hint})", node.column)
    return kind


def _unit_of_function(node: Call, names: Mapping[str, ValueUnit]) -> ValueUnit:
    match node.function:
        case "crosses_above" | "crosses_below" | "between":
            _joint(node, [_measure(argument, names) for argument in node.arguments], adding=False)
            return ValueUnit.CONDITION
        case "highest" | "lowest":
            _require_number(node.arguments[1], names)
            return _measure(node.arguments[0], names)
        case "count":
            _require_number(node.arguments[1], names)
            require_condition(node.arguments[0], names)
            return ValueUnit.COUNT
        case "since":
            require_condition(node.arguments[0], names)
            return ValueUnit.COUNT
    require_condition(node.arguments[0], names)
    return _measure(node.arguments[1], names)


def _require_number(node: Node, names: Mapping[str, ValueUnit]) -> None:
    """How many candles a function looks back must be known before any candle."""
    if unit_of(node, names) is not ValueUnit.NUMBER:
        raise ExpressionError("a fixed number of candles is needed here", node.column)


def _joint(node: Node, kinds: list[ValueUnit], *, adding: bool) -> ValueUnit:
    """The unit that all parts have in common, where bare numbers fit any (but see above)."""
    units = [kind for kind in kinds if kind is not ValueUnit.NUMBER]
    if not units:
        return ValueUnit.NUMBER
    first = units[0]
    for other in units[1:]:
        if other is not first:
            verb = "add up" if adding else "be compared"
            raise ExpressionError(f"{first.noun} and {other.noun} cannot {verb}", node.column)
    if adding and first in SIZED and len(units) < len(kinds):
        raise ExpressionError(
            f"a bare number cannot be mixed with {first.noun}: it would mean something else for each symbol; "
            f"write a multiple, as in 0.5 * atr_1h",
            node.column,
        )
    return first


def _combined(node: Arithmetic, left: ValueUnit, right: ValueUnit) -> ValueUnit:
    if node.operator in "+-":
        return _joint(node, [left, right], adding=True)
    if right in _FACTORS:
        return ValueUnit.RATIO if left is ValueUnit.NUMBER and right is ValueUnit.RATIO else left
    if node.operator == "*" and left in _FACTORS:
        return right
    if node.operator == "/" and left is right:
        return ValueUnit.RATIO
    verb = "multiplied by" if node.operator == "*" else "divided by"
    raise ExpressionError(f"{left.noun} {verb} {right.noun} has no meaning here", node.column)
