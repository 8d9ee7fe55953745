"""Proves that conditions can never hold together, by the intervals that they leave to what they compare.

Each comparison is brought into the form *expression within an interval*, where an expression is a sum of parts with
factors (``a > 1.02 * b`` becomes ``a - 1.02 * b`` above 0), the conditions are spread out into alternatives, and an
alternative is impossible when two of its intervals for the same expression do not meet, or leave the expression
nothing of what it can be at all, or when its inequalities, with what each part can be, have no solution (linear.py).
``min``, ``max`` and ``abs`` are spread out into their cases. What is proved is true; what is not proved may still be
true: products of two parts, for instance, are not related to the parts.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from rules.language.linear import Inequality, exact, may_hold
from rules.language.reach import ANYTHING, Domain, Interval, cases, cases_in, reach
from rules.language.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or

ALTERNATIVES_MAX = 4096
CASES_MAX = 16
"""Of one comparison; with more of them it is looked at only as it stands."""
SOLVED_MAX = 64
"""Of so many alternatives the inequalities are solved, which takes a millisecond each; then nothing more is proved."""
ROUNDING = 1e-12
"""What is left of sums that cancel out, as 0.1 + 0.2 - 0.3."""

Sum = tuple[tuple[Node, float], ...]

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class TooComplex(Exception):
    """More alternatives than are worth looking at."""


@dataclass(frozen=True, slots=True)
class _Fact:
    """One comparison in the common form; the empty sum stands for 0."""

    subject: Sum
    interval: Interval


Alternative = tuple[_Fact, ...]
Witness = Mapping[Sum, Interval]


def possible(conditions: Sequence[Node], domain: Domain) -> Witness | None:
    """One way in which all conditions may hold, or None if that is impossible. Raises TooComplex."""
    reached: dict[Sum, Interval] = {}
    solved = 0
    for alternative in _alternatives(And(tuple(conditions)), wanted=True):
        intervals: dict[Sum, Interval] = {}
        for fact in alternative:
            if fact.subject not in reached:
                reached[fact.subject] = _reach_of(fact.subject, domain)
            start = intervals.get(fact.subject) or reached[fact.subject]
            intervals[fact.subject] = start.meet(fact.interval)
            if intervals[fact.subject].is_empty:
                break
        else:
            solved += 1
            if solved > SOLVED_MAX or may_hold(_inequalities(intervals, domain)):
                return intervals
    return None


def _inequalities(intervals: Witness, domain: Domain) -> Iterator[Inequality]:
    """The intervals of the sums, and what each of their parts can be."""
    parts = {part: index for index, part in enumerate({part for subject in intervals for part, _ in subject})}
    bounded = dict(intervals)
    for part in parts:
        bounded.setdefault(((part, 1.0),), reach(part, domain))
    for subject, interval in bounded.items():
        if interval == ANYTHING:
            continue
        factors: dict[Hashable, Fraction] = {parts[part]: exact(factor) for part, factor in subject}
        if math.isfinite(interval.upper):
            yield factors, exact(interval.upper), interval.upper_open
        if math.isfinite(interval.lower):
            opposite: dict[Hashable, Fraction] = {part: -factor for part, factor in factors.items()}
            yield opposite, -exact(interval.lower), interval.lower_open


def implies(premises: Sequence[Node], conclusion: Node, domain: Domain) -> bool:
    """Whether it is proved that the conclusion holds whenever the premises do. Raises TooComplex."""
    return possible([*premises, Not(conclusion)], domain) is None


def describe(witness: Witness) -> str:
    """A witness in words, as in ``adx_4h from 20 to 25``."""
    return " and ".join(f"{_sum_text(subject)} {interval}" for subject, interval in witness.items() if subject)


def _reach_of(subject: Sum, domain: Domain) -> Interval:
    """What the expression can be at all; the empty sum is 0."""
    found = Interval(0.0, 0.0)
    for part, factor in subject:
        found = found.plus(reach(part, domain).times(Interval(factor, factor)))
    return found


def single_bound(node: Comparison) -> tuple[Node, float] | None:
    """The one value that a comparison with a number is about, and that number as it stands beside it."""
    fact = _fact(node.left, node.operator, node.right)
    if len(fact.subject) != 1:
        return None
    ends = (fact.interval.lower, fact.interval.upper)
    return fact.subject[0][0], next(end for end in ends if math.isfinite(end))


def _alternatives(node: Node, *, wanted: bool) -> list[Alternative]:
    """All ways in which the condition holds (or fails, if that is wanted)."""
    match node:
        case Comparison():
            operator = node.operator if wanted else _OPPOSITE[node.operator]
            return _compared(node.left, operator, node.right)
        case Name():
            interval = Interval(lower=0.0, lower_open=True) if wanted else Interval(0.0, 0.0)
            return [(_Fact(((node, 1.0),), interval),)]
        case Not(operand=operand):
            return _alternatives(operand, wanted=not wanted)
        case And(operands=operands) | Or(operands=operands):
            parts = [_alternatives(operand, wanted=wanted) for operand in operands]
            return _crossed(parts) if isinstance(node, And) is wanted else _joined(parts)
    raise TypeError(f"{type(node).__name__} yields no condition")


def _compared(left: Node, operator: str, right: Node) -> list[Alternative]:
    """The comparison as it stands, and with it each way in which its min, max and abs may come out."""
    whole = _fact(left, operator, right)
    if not 1 < cases_in(left) * cases_in(right) <= CASES_MAX:
        return [(whole,)]
    ways = product(cases(left), cases(right))
    found: list[Alternative] = []
    for (one, over_one), (other, over_other) in ways:
        sides = (_fact(part.left, part.operator, part.right) for part in (*over_one, *over_other))
        found.append((whole, _fact(one, operator, other), *sides))
    return found


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
    constant = constant if abs(constant) > ROUNDING else 0.0
    ordered = sorted(
        ((part, factor) for part, factor in factors.items() if abs(factor) > ROUNDING),
        key=lambda item: text_of(item[0]),
    )
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
        case Arithmetic(operator="*", left=left, right=right):
            for one, by in _parts(left, factor):
                yield from (_product(one, other, by * more) for other, more in _parts(right, 1.0))
        case Arithmetic(operator="/", left=left, right=right):
            yield from (_quotient(part, right, by) for part, by in _parts(left, factor))
        case _:
            yield node, factor


def _product(one: Node | None, other: Node | None, factor: float) -> tuple[Node | None, float]:
    if one is None or other is None:
        return one or other, factor
    first, second = sorted((one, other), key=text_of)
    return Arithmetic("*", first, second), factor


def _quotient(part: Node | None, by: Node, factor: float) -> tuple[Node | None, float]:
    divisor = list(_parts(by, 1.0))
    if all(name is None for name, _ in divisor) and (number := sum(value for _, value in divisor)):
        return part, factor / number
    return (None, factor) if part == by else (Arithmetic("/", part or Number(1.0), by), factor)


def _sum_text(subject: Sum) -> str:
    words = []
    for index, (part, factor) in enumerate(subject):
        size = "" if abs(factor) == 1.0 else f"{abs(factor):g} * "
        sign = "- " if factor < 0 else "+ " if index else ""
        words.append(f"{sign}{size}{text_of(part)}")
    return " ".join(words)


def text_of(node: Node) -> str:
    """A part of a sum as one would write it."""
    match node:
        case Number(value=value):
            return f"{value:g}"
        case Name():
            return node.key
        case Negative(operand=operand):
            return f"-{text_of(operand)}"
        case Arithmetic():
            return f"({text_of(node.left)} {node.operator} {text_of(node.right)})"
        case Call():
            return f"{node.function}({', '.join(text_of(argument) for argument in node.arguments)})"
    raise TypeError(f"{type(node).__name__} is no part of a sum")
