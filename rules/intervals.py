"""Proves that conditions can never hold together, by the intervals that they leave to what they compare.

Each comparison is brought into the form *expression within an interval*, where an expression is a sum of parts with
factors (``a > 1.02 * b`` becomes ``a - 1.02 * b`` above 0), the conditions are spread out into alternatives, and an
alternative is impossible when two of its intervals for the same expression do not meet. What is proved is true; what
is not proved may still be true, as parts are not related to each other beyond that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rules.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or

ALTERNATIVES_MAX = 4096

Sum = tuple[tuple[Node, float], ...]
Domain = Callable[[Node], "Interval"]

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class TooComplex(Exception):
    """More alternatives than are worth looking at."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from ``lower`` to ``upper``; an ``open`` end does not belong to it."""

    lower: float = -math.inf
    upper: float = math.inf
    lower_open: bool = False
    upper_open: bool = False

    def meet(self, other: Interval) -> Interval:
        """What belongs to both."""
        lower, lower_open = max((self.lower, self.lower_open), (other.lower, other.lower_open))
        upper, upper_closed = min((self.upper, not self.upper_open), (other.upper, not other.upper_open))
        return Interval(lower, upper, lower_open, not upper_closed)

    @property
    def is_empty(self) -> bool:
        return self.lower > self.upper or (self.lower == self.upper and (self.lower_open or self.upper_open))

    def __str__(self) -> str:
        if self.lower == self.upper:
            return f"at {self.lower:g}"
        if self == ANYTHING:
            return "anywhere"
        if self.upper == math.inf:
            return f"{'above' if self.lower_open else 'at least'} {self.lower:g}"
        if self.lower == -math.inf:
            return f"{'below' if self.upper_open else 'at most'} {self.upper:g}"
        return f"from {self.lower:g} to {self.upper:g}"


ANYTHING = Interval()
NOT_NEGATIVE = Interval(lower=0.0)


@dataclass(frozen=True, slots=True)
class _Fact:
    """One comparison in the common form; the empty sum stands for 0."""

    subject: Sum
    interval: Interval


Alternative = tuple[_Fact, ...]
Witness = Mapping[Sum, Interval]


def possible(conditions: Sequence[Node], domain: Domain) -> Witness | None:
    """One way in which all conditions may hold, or None if that is impossible. Raises TooComplex."""
    for alternative in _alternatives(And(tuple(conditions)), wanted=True):
        intervals: dict[Sum, Interval] = {}
        for fact in alternative:
            start = intervals.get(fact.subject) or _domain_of(fact.subject, domain)
            intervals[fact.subject] = start.meet(fact.interval)
        if not any(interval.is_empty for interval in intervals.values()):
            return intervals
    return None


def implies(premises: Sequence[Node], conclusion: Node, domain: Domain) -> bool:
    """Whether it is proved that the conclusion holds whenever the premises do. Raises TooComplex."""
    return possible([*premises, Not(conclusion)], domain) is None


def describe(witness: Witness) -> str:
    """A witness in words, as in ``adx_4h from 20 to 25``."""
    return " and ".join(f"{_sum_text(subject)} {interval}" for subject, interval in witness.items() if subject)


def _domain_of(subject: Sum, domain: Domain) -> Interval:
    """What the expression can be at all; the empty sum is 0."""
    if not subject:
        return Interval(0.0, 0.0)
    if len(subject) == 1:
        part, factor = subject[0]
        assert factor == 1.0, "sums are scaled by their first factor"
        return NOT_NEGATIVE if isinstance(part, Call) and part.function == "abs" else domain(part)
    return ANYTHING


def _alternatives(node: Node, *, wanted: bool) -> list[Alternative]:
    """All ways in which the condition holds (or fails, if that is wanted)."""
    match node:
        case Comparison():
            operator = node.operator if wanted else _OPPOSITE[node.operator]
            return [(_fact(node.left, operator, node.right),)]
        case Name():
            interval = Interval(lower=0.0, lower_open=True) if wanted else Interval(0.0, 0.0)
            return [(_Fact(((node, 1.0),), interval),)]
        case Not(operand=operand):
            return _alternatives(operand, wanted=not wanted)
        case And(operands=operands) | Or(operands=operands):
            parts = [_alternatives(operand, wanted=wanted) for operand in operands]
            return _crossed(parts) if isinstance(node, And) is wanted else _joined(parts)
    raise TypeError(f"{type(node).__name__} yields no condition")


def _joined(parts: list[list[Alternative]]) -> list[Alternative]:
    return _limited([alternative for part in parts for alternative in part])


def _crossed(parts: list[list[Alternative]]) -> list[Alternative]:
    result: list[Alternative] = [()]
    for part in parts:
        if len(result) * len(part) > ALTERNATIVES_MAX:
            raise TooComplex
        result = [(*left, *right) for left in result for right in part]
    return result


def _limited(alternatives: list[Alternative]) -> list[Alternative]:
    if len(alternatives) > ALTERNATIVES_MAX:
        raise TooComplex
    return alternatives


def _fact(left: Node, operator: str, right: Node) -> _Fact:
    """``left operator right`` as: a sum of parts, of which the first has the factor 1, lies within an interval."""
    factors: dict[Node, float] = {}
    constant = 0.0
    for part, factor in (*_parts(left, 1.0), *_parts(right, -1.0)):
        if part is None:
            constant += factor
        else:
            factors[part] = factors.get(part, 0.0) + factor
    ordered = sorted(((part, factor) for part, factor in factors.items() if factor), key=lambda item: _text(item[0]))
    if not ordered:
        return _Fact((), _interval(operator, -constant))
    scale = ordered[0][1]
    subject = tuple((part, factor / scale) for part, factor in ordered)
    return _Fact(subject, _interval(operator if scale > 0 else _MIRRORED[operator], 0.0 - constant / scale))


def _interval(operator: str, bound: float) -> Interval:
    strict = operator in ("<", ">")
    if operator in (">", ">="):
        return Interval(lower=bound, lower_open=strict)
    return Interval(upper=bound, upper_open=strict)


def _parts(node: Node, factor: float) -> Iterator[tuple[Node | None, float]]:
    """The node as a sum: parts with factors, and None with the constants."""
    match node:
        case Number(value=value):
            yield None, factor * value
        case Negative(operand=operand):
            yield from _parts(operand, -factor)
        case Arithmetic(operator="+" | "-" as operator, left=left, right=right):
            yield from _parts(left, factor)
            yield from _parts(right, factor if operator == "+" else -factor)
        case Arithmetic(operator="*", left=Number(value=value), right=other):
            yield from _parts(other, factor * value)
        case Arithmetic(operator="*", left=other, right=Number(value=value)):
            yield from _parts(other, factor * value)
        case Arithmetic(operator="/", left=other, right=Number(value=value)) if value:
            yield from _parts(other, factor / value)
        case _:
            yield node, factor


def _sum_text(subject: Sum) -> str:
    words = []
    for index, (part, factor) in enumerate(subject):
        size = "" if abs(factor) == 1.0 else f"{abs(factor):g} * "
        sign = "- " if factor < 0 else "+ " if index else ""
        words.append(f"{sign}{size}{_text(part)}")
    return " ".join(words)


def _text(node: Node) -> str:
    match node:
        case Number(value=value):
            return f"{value:g}"
        case Name():
            return node.key
        case Negative(operand=operand):
            return f"-{_text(operand)}"
        case Arithmetic():
            return f"({_text(node.left)} {node.operator} {_text(node.right)})"
        case Call():
            return f"{node.function}({', '.join(_text(argument) for argument in node.arguments)})"
    raise TypeError(f"{type(node).__name__} is no part of a sum")
