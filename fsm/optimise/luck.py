"""How much of the best result luck alone would give: the deflated Sharpe ratio, and the probability of overfitting.

All Sharpe ratios in here are of one day, without a risk-free rate. Sources:

* D. H. Bailey, M. López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012: the probabilistic
  Sharpe ratio, equation (9).
* The same, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and Non-Normality",
  Journal of Portfolio Management 40(5), 2014: the expected maximum, and the ratio that is deflated by it.
* D. H. Bailey, J. Borwein, M. López de Prado, Q. J. Zhu, "The Probability of Backtest Overfitting", Journal of
  Computational Finance 20(4), 2017: combinatorially symmetric cross-validation.
"""

from __future__ import annotations

import math
from itertools import combinations
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NORMAL = NormalDist()
EULER = 0.5772156649015329
SIGNIFICANT = 0.95
"""A result is called significant where luck alone would give it less often than one time in twenty."""

ROUNDS = 50
"""More than it takes until an edge that depends on itself stands still."""

TRADES_MIN = 30
"""Fewer trades say nothing, however many days they are spread over."""

DAYS_MIN = 30
"""Fewer days say nothing about skewness and tails."""

BLOCKS = (16, 14, 12, 10, 8, 6)
BLOCK_DAYS_MIN = 5


class Shape(msgspec.Struct, frozen=True):
    """Days, and the Sharpe ratio, skewness and kurtosis (3 for a normal distribution) of their returns."""

    days: int
    sharpe: float
    skewness: float
    kurtosis: float


def shape_of(returns: Floats) -> Shape | None:
    """None where there are too few days, or nothing ever happened."""
    days = len(returns)
    if days < DAYS_MIN:
        return None
    mean = float(returns.mean())
    apart = returns - mean
    spread = math.sqrt(float((apart**2).mean()))
    if spread <= 1e-12:
        return None
    return Shape(
        days=days,
        sharpe=mean / (spread * math.sqrt(days / (days - 1))),
        skewness=float((apart**3).mean()) / spread**3,
        kurtosis=float((apart**4).mean()) / spread**4,
    )


def deviation(shape: Shape) -> float:
    """Standard deviation of an estimated Sharpe ratio."""
    inner = 1 - shape.skewness * shape.sharpe + (shape.kurtosis - 1) / 4 * shape.sharpe**2
    return math.sqrt(max(inner, 0.0) / (shape.days - 1))


def probabilistic(shape: Shape, benchmark: float = 0.0) -> float:
    """The probability that the true Sharpe ratio is above a benchmark."""
    spread = deviation(shape)
    if spread == 0.0:
        return float(shape.sharpe > benchmark)
    return NORMAL.cdf((shape.sharpe - benchmark) / spread)


def expected_maximum(trials: int, variance: float) -> float:
    """The Sharpe ratio that the best of so many trials has on average where none has any edge."""
    if trials < 2:
        return 0.0
    first, second = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER) * first + EULER * second)


def deflated(shape: Shape, trials: int, variance: float) -> float:
    """The probability that the true Sharpe ratio is above what the best of so many trials has by luck."""
    return probabilistic(shape, expected_maximum(trials, variance))


def edge_found(days: int, trials: int, variance: float, *, kurtosis: float = 3.0, power: float = 0.9) -> float:
    """The true Sharpe ratio of a day at which one variant among others without any is called significant this often.

    The deflated ratio asks for ``expected_maximum`` and 1.645 deviations more; an estimate lies another 1.282
    deviations below the truth in one of ten cases. The edge itself widens both: it is one of the trials, and the
    deviation of a Sharpe ratio grows with it.
    """
    above, edge = NORMAL.inv_cdf(SIGNIFICANT) + NORMAL.inv_cdf(power), 0.0
    for _ in range(ROUNDS):
        spread = math.sqrt((1 + (kurtosis - 1) / 4 * edge**2) / (days - 1))
        edge = expected_maximum(trials, variance + edge**2 / max(trials, 1)) + above * spread
    return edge


def sharpes(returns: Floats) -> Floats:
    """Of each column; 0 where nothing ever happened."""
    spread = returns.std(axis=0, ddof=1)
    quiet = spread <= 1e-12
    found: Floats = np.where(quiet, 0.0, returns.mean(axis=0) / np.where(quiet, 1.0, spread))
    return found


class Overfitting(msgspec.Struct, frozen=True):
    """``probability`` that what is best in one half of the time is worse than the median in the other half.

    ``loss``: how often its Sharpe ratio there was below 0. ``slope``: of the Sharpe ratio there over the one before.
    """

    blocks: int
    splits: int
    probability: float
    loss: float
    slope: float | None


def overfitting(returns: Floats) -> Overfitting | None:
    """From daily returns, one column a variant. None where there are too few days or variants."""
    days, variants = returns.shape
    blocks = next((count for count in BLOCKS if days >= count * BLOCK_DAYS_MIN), None)
    if blocks is None or variants < 2:
        return None
    length = days // blocks
    cut = returns[days - blocks * length :].reshape(blocks, length, variants)
    sums, squares, half = cut.sum(axis=1), (cut**2).sum(axis=1), blocks // 2
    total, total_squares = sums.sum(axis=0), squares.sum(axis=0)
    inside, outside, places = [], [], []
    for chosen in combinations(range(blocks), half):
        some, some_squares = sums[list(chosen)].sum(axis=0), squares[list(chosen)].sum(axis=0)
        before = _ratios(some, some_squares, half * length)
        after = _ratios(total - some, total_squares - some_squares, half * length)
        best = int(before.argmax())
        worse, equal = int((after < after[best]).sum()), int((after == after[best]).sum())
        places.append((worse + (equal + 1) / 2) / (variants + 1))
        inside.append(float(before[best]))
        outside.append(float(after[best]))
    return Overfitting(
        blocks=blocks,
        splits=len(places),
        probability=sum(1 for place in places if place <= 0.5) / len(places),
        loss=sum(1 for ratio in outside if ratio < 0) / len(outside),
        slope=_slope(inside, outside),
    )


def _ratios(sums: Floats, squares: Floats, days: int) -> Floats:
    mean = sums / days
    variance = np.maximum(squares - days * mean**2, 0.0) / (days - 1)
    quiet = variance <= 1e-24
    found: Floats = np.where(quiet, 0.0, mean / np.sqrt(np.where(quiet, 1.0, variance)))
    return found


def _slope(across: list[float], up: list[float]) -> float | None:
    x, y = np.array(across), np.array(up)
    spread = float(((x - x.mean()) ** 2).sum())
    return None if spread <= 1e-18 else float(((x - x.mean()) * (y - y.mean())).sum()) / spread
