"""The live form of an expression: one number or one truth from one set of facts.

A value that is missing, not finite, or the result of a division by zero or an overflow is UNKNOWN, and so is all that
is calculated from it. arrays.py does the same operations in the same order over columns; the two agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite

from rules.language.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or
from rules.language.truth import Truth, all_of, any_of

Facts = Mapping[str, float | None]
Numeric = Callable[[Facts], float | None]
Logical = Callable[[Facts], Truth]

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_CHOICES: dict[str, Callable[[float, float], float]] = {
    "min": lambda first, second: first if first <= second else second,
    "max": lambda first, second: first if first >= second else second,
}


def known(value: float | None) -> float | None:
    """The value if it is a number one can count with, else None."""
    return value if value is not None and isfinite(value) else None


def numeric(node: Node) -> Numeric:
    """The function that calculates a number (its kind has been checked: it is no condition)."""
    match node:
        case Number(value=value):
            return lambda facts: value
        case Name():
            key = node.key
            return lambda facts: known(facts.get(key))
        case Negative():
            operand = numeric(node.operand)
            return lambda facts: None if (value := operand(facts)) is None else -value
        case Arithmetic():
            return _arithmetic(node.operator, numeric(node.left), numeric(node.right))
        case Call(function="abs"):
            argument = numeric(node.arguments[0])
            return lambda facts: None if (value := argument(facts)) is None else abs(value)
        case Call():
            return _extreme(_CHOICES[node.function], [numeric(argument) for argument in node.arguments])
    raise TypeError(f"{type(node).__name__} yields no number")


def logical(node: Node) -> Logical:
    """The function that tells whether a condition holds."""
    match node:
        case Name():
            key = node.key
            return lambda facts: Truth.UNKNOWN if (value := known(facts.get(key))) is None else Truth.of(value != 0)
        case Comparison():
            return _comparison(_COMPARISONS[node.operator], numeric(node.left), numeric(node.right))
        case And():
            every = [logical(operand) for operand in node.operands]
            return lambda facts: all_of(test(facts) for test in every)
        case Or():
            some = [logical(operand) for operand in node.operands]
            return lambda facts: any_of(test(facts) for test in some)
        case Not():
            test = logical(node.operand)
            return lambda facts: test(facts).negated
    raise TypeError(f"{type(node).__name__} yields no condition")


def _arithmetic(operator: str, left: Numeric, right: Numeric) -> Numeric:
    combine = _ARITHMETIC[operator]

    def calculate(facts: Facts) -> float | None:
        first, second = left(facts), right(facts)
        if first is None or second is None or (operator == "/" and second == 0):
            return None
        return known(combine(first, second))

    return calculate


def _extreme(choose: Callable[[float, float], float], arguments: list[Numeric]) -> Numeric:
    def calculate(facts: Facts) -> float | None:
        result = arguments[0](facts)
        for argument in arguments[1:]:
            value = argument(facts)
            if result is None or value is None:
                return None
            result = choose(result, value)
        return result

    return calculate


def _comparison(holds: Callable[[float, float], bool], left: Numeric, right: Numeric) -> Logical:
    def test(facts: Facts) -> Truth:
        first, second = left(facts), right(facts)
        return Truth.UNKNOWN if first is None or second is None else Truth.of(holds(first, second))

    return test
