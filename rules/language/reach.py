"""Interval arithmetic: what an expression can come to, given what its names can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod

from rules.language.syntax import Arithmetic, Call, Comparison, Name, Negative, Node, Number, walk

Domain = Callable[[Node], "Interval"]
End = tuple[float, bool]
"""A number, and whether it does not belong to the interval that it ends."""
Case = tuple[Node, tuple[Comparison, ...]]
"""An expression without min, max and abs, and what must hold for it to stand for one with them."""


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

    def plus(self, other: Interval) -> Interval:
        """Sums of a number of each."""
        lower_open, upper_open = self.lower_open or other.lower_open, self.upper_open or other.upper_open
        return Interval(self.lower + other.lower, self.upper + other.upper, lower_open, upper_open)

    def times(self, other: Interval) -> Interval:
        """Products of a number of each."""
        corners = [_corner(one, another) for one in self._ends for another in other._ends]
        lower, upper = min(corners), max(corners, key=lambda end: (end[0], not end[1]))
        return Interval(lower[0], upper[0], lower[1], upper[1])

    @property
    def inverse(self) -> Interval:
        """What 1 can be, divided by any of them but 0."""
        if self.lower >= 0:
            endless = self.upper in (0.0, math.inf)  # nothing is divided by 0: what is left then is no number at all
            return Interval(0.0 if endless else 1 / self.upper, _over(self.lower), endless)
        return ANYTHING

    @property
    def _ends(self) -> tuple[End, End]:
        return (self.lower, self.lower_open), (self.upper, self.upper_open)

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
POSITIVE = Interval(lower=0.0, lower_open=True)


def reach(node: Node, domain: Domain) -> Interval:
    """What the expression can be at all, each name by itself."""
    match node:
        case Number(value=value):
            return Interval(value, value)
        case Name():
            return domain(node)
        case Negative(operand=operand):
            return _negative(reach(operand, domain))
        case Arithmetic(operator=operator, left=left, right=right):
            one, other = reach(left, domain), reach(right, domain)
            if operator in "+-":
                return one.plus(other if operator == "+" else _negative(other))
            return one.times(other if operator == "*" else other.inverse)
        case Call(function="abs", arguments=(operand,)):
            inner = reach(operand, domain)
            return _highest(inner, _negative(inner))
        case Call(function=function, arguments=arguments):
            inners = [reach(argument, domain) for argument in arguments]
            return (
                reduce(_highest, inners) if function == "max" else _negative(reduce(_highest, map(_negative, inners)))
            )
    return ANYTHING


def cases(node: Node) -> list[Case]:
    """Each way in which the min, max and abs of an expression may come out."""
    match node:
        case Negative(operand=operand):
            return [(Negative(inner), over) for inner, over in cases(operand)]
        case Arithmetic(operator=operator, left=left, right=right):
            return [
                (Arithmetic(operator, one, other), (*over_one, *over_other))
                for (one, over_one), (other, over_other) in product(cases(left), cases(right))
            ]
        case Call(function="abs", arguments=(operand,)):
            return [
                (one, (*over, Comparison(operator, inner, Number(0.0))))
                for inner, over in cases(operand)
                for one, operator in ((inner, ">="), (Negative(inner), "<="))
            ]
        case Call(function=function, arguments=arguments):
            return list(_of_several(function, arguments))
    return [(node, ())]


def cases_in(node: Node) -> int:
    """How many ``cases`` there would be."""
    calls = (part for part in walk(node) if isinstance(part, Call))
    return prod(2 if call.function == "abs" else len(call.arguments) for call in calls)


def _of_several(function: str, arguments: tuple[Node, ...]) -> Iterator[Case]:
    operator = ">=" if function == "max" else "<="
    for chosen in product(*(cases(argument) for argument in arguments)):
        over = tuple(comparison for _, comparisons in chosen for comparison in comparisons)
        for index, (node, _) in enumerate(chosen):
            others = (other for place, (other, _) in enumerate(chosen) if place != index)
            yield node, (*over, *(Comparison(operator, node, other) for other in others))


def _corner(one: End, other: End) -> End:
    """The product of two ends; 0 is reached as soon as one of them is a 0 that is."""
    zeros = [is_open for value, is_open in (one, other) if value == 0]
    if zeros:
        return 0.0, all(zeros)
    return one[0] * other[0], one[1] or other[1]


def _negative(interval: Interval) -> Interval:
    return Interval(-interval.upper, -interval.lower, interval.upper_open, interval.lower_open)


def _highest(one: Interval, other: Interval) -> Interval:
    """The greater of a number of each."""
    lower, lower_open = max((one.lower, one.lower_open), (other.lower, other.lower_open))
    upper, upper_closed = max((one.upper, not one.upper_open), (other.upper, not other.upper_open))
    return Interval(lower, upper, lower_open, not upper_closed)


def _over(number: float) -> float:
    return math.inf if number == 0 else 1 / number
