"""Shows that the verdict on luck keeps its word: strategies of dice, with and without an edge that is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from fsm.optimise.luck import SIGNIFICANT, deflated, shape_of

Floats = npt.NDArray[np.float64]

DICE = 13.5
"""Kurtosis of what dice make: 9 of the market's days (Student's t with 5 degrees of freedom), times 1.5 as one of three
days is spent out of it."""


class Verdict(msgspec.Struct, frozen=True):
    """On the best variant of a search."""

    best: int
    probability: float
    significant: bool


def dice(seed: int, *, days: int, variants: int, edge: float = 0.0) -> Floats:
    """Daily returns of strategies that are long, short or out at random in one market with fat tails; a row each.

    ``edge``: a Sharpe ratio of a day that the first one has beside its luck.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    market = 0.02 * chance.standard_t(5, days)
    returns: Floats = chance.integers(-1, 2, (variants, days)) * market
    if edge:
        returns[0] += edge * returns[0].std(ddof=1)
    return returns


def verdict(returns: Floats) -> Verdict:
    """What a search over these variants says of the best of them."""
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    best = int(ratios.argmax())
    shape = shape_of(returns[best])
    assert shape is not None, "dice are rolled for more than a month"
    probability = deflated(shape, len(returns), float(ratios.var(ddof=1)))
    return Verdict(best, probability, probability >= SIGNIFICANT)


def share_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Between which shares the true one lies: the exact interval of Clopper and Pearson (Biometrika 26, 1934)."""
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else _solved(lambda share: 1 - _at_most(hits - 1, count, share), tail)
    high = 1.0 if hits == count else _solved(lambda share: -_at_most(hits, count, share), -tail)
    return low, high


def _at_most(hits: int, count: int, share: float) -> float:
    """The probability of so many hits or fewer."""
    if share <= 0.0 or share >= 1.0:
        return 1.0 if share <= 0.0 or hits >= count else 0.0
    return math.fsum(
        math.exp(
            math.lgamma(count + 1) - math.lgamma(hit + 1) - math.lgamma(count - hit + 1)
            + hit * math.log(share) + (count - hit) * math.log1p(-share)
        )
        for hit in range(hits + 1)
    )  # fmt: skip


def _solved(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
