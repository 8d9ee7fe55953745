"""Says whether inequalities between sums can hold at once: Fourier and Motzkin's elimination, in exact fractions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

INEQUALITIES_MAX = 300
"""With more of them nothing is proved; a rules file gives twenty."""

DENOMINATOR_MAX = 10**9
"""Factors are floats that were written as decimals: what is beyond nine digits is rounding."""

Inequality = tuple[Mapping[Hashable, Fraction], Fraction, bool]
"""The sum of factors times unknowns is at most a number; or, where that is true, below it."""

_Row = tuple[dict[Hashable, int], Fraction, bool]
"""The same with whole factors that have no common divisor."""


@lru_cache(4096)
def exact(value: float) -> Fraction:
    """A float as the decimal that was meant."""
    return Fraction(value).limit_denominator(DENOMINATOR_MAX)


def may_hold(inequalities: Iterable[Inequality]) -> bool:
    """False only where it is proved that no numbers meet all of them."""
    left = _distinct([_whole(inequality) for inequality in inequalities])
    while True:
        if any(not factors and (most < 0 or (strict and most == 0)) for factors, most, strict in left):
            return False
        left = [inequality for inequality in left if inequality[0]]
        if not left:
            return True
        unknown = _cheapest(left)
        above = [one for one in left if one[0].get(unknown, 0) > 0]
        below = [one for one in left if one[0].get(unknown, 0) < 0]
        rest = [one for one in left if unknown not in one[0]]
        if len(rest) + len(above) * len(below) > INEQUALITIES_MAX:
            return True
        left = _distinct([*rest, *(_without(unknown, one, other) for one in above for other in below)])


def _whole(inequality: Inequality) -> _Row:
    factors, most, strict = inequality
    scale = lcm(*(factor.denominator for factor in factors.values()))
    return {name: int(factor * scale) for name, factor in factors.items()}, most * scale, strict


def _cheapest(rows: list[_Row]) -> Hashable:
    """The unknown whose elimination leaves the fewest."""
    counts: dict[Hashable, list[int]] = {}
    for factors, _, _ in rows:
        for unknown, factor in factors.items():
            counts.setdefault(unknown, [0, 0])[factor > 0] += 1
    return min(counts, key=lambda unknown: counts[unknown][0] * counts[unknown][1] - sum(counts[unknown]))


def _without(unknown: Hashable, above: _Row, below: _Row) -> _Row:
    """Both added up so that the unknown cancels out."""
    by, other = -below[0][unknown], above[0][unknown]
    factors = {name: factor * by for name, factor in above[0].items()}
    for name, factor in below[0].items():
        factors[name] = factors.get(name, 0) + factor * other
    kept = {name: factor for name, factor in factors.items() if factor}
    return kept, above[1] * by + below[1] * other, above[2] or below[2]


def _distinct(rows: list[_Row]) -> list[_Row]:
    """Each sum once, with the narrowest of its bounds."""
    found: dict[frozenset[tuple[Hashable, int]], _Row] = {}
    for factors, most, strict in rows:
        divisor = gcd(*factors.values()) or 1
        whole = {name: factor // divisor for name, factor in factors.items()}
        key, bound = frozenset(whole.items()), most / divisor if divisor > 1 else most
        known = found.get(key)
        if known is None or (bound, not strict) < (known[1], not known[2]):
            found[key] = (whole, bound, strict)
    return list(found.values())
