"""Inequalities that cannot hold at once are told from those that can, exactly."""

from __future__ import annotations

import random
from fractions import Fraction

from rules.language.linear import INEQUALITIES_MAX, Inequality, exact, may_hold


def at_most(most: float, *, strict: bool = False, **factors: float) -> Inequality:
    return {name: exact(factor) for name, factor in factors.items()}, exact(most), strict


def test_a_chain_that_closes_is_impossible_only_where_one_link_is_strict() -> None:
    chain = [at_most(0, a=1, b=-1), at_most(0, b=1, c=-1)]
    assert may_hold([*chain, at_most(0, c=1, a=-1)])
    assert not may_hold([*chain, at_most(0, c=1, a=-1, strict=True)])
    assert not may_hold([*chain, at_most(-0.001, c=1, a=-1)])


def test_what_is_written_as_a_decimal_is_meant_as_one() -> None:
    assert exact(0.1 + 0.2) == Fraction(3, 10)
    assert not may_hold([at_most(0, a=0.1 + 0.2, b=-0.3), at_most(0, a=-1, b=1, strict=True)])


def test_no_inequalities_that_a_point_meets_are_called_impossible() -> None:
    draw = random.Random(5)
    impossible = 0
    for _ in range(300):
        names = "abcd"[: draw.randint(1, 4)]
        point = {name: Fraction(draw.randint(-5, 5)) for name in names}
        found: list[Inequality] = []
        for _ in range(draw.randint(1, 7)):
            factors = {name: Fraction(draw.randint(-3, 3)) for name in names}
            factors = {name: factor for name, factor in factors.items() if factor}
            reached = sum((factor * point[name] for name, factor in factors.items()), Fraction(0))
            found.append((factors, reached + draw.choice((0, 1)), False))
        assert may_hold(found)
        impossible += not may_hold([(factors, most - 7, strict) for factors, most, strict in found])
    assert impossible > 30


def test_too_many_prove_nothing() -> None:
    many = [at_most(n, x=1, **{f"a{n}": 1}) for n in range(INEQUALITIES_MAX)]
    many += [at_most(-n, x=-1, **{f"b{n}": 1}) for n in range(INEQUALITIES_MAX)]
    many += [at_most(0, **{f"a{n}": -1, f"b{n}": -1}) for n in range(INEQUALITIES_MAX)]
    assert may_hold(many)
