"""How much the prices of symbols move together: the correlation of their hourly returns over the last thirty days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from indicators.candle import Timeframe

RETURNS = 720
"""As many of the newest returns count: thirty days of hours."""

RETURNS_MIN = 100
"""Fewer say nothing: two symbols then count as if they moved as one."""

COMPARED_MAX = 50
"""So many symbols are enough for a mean, and more would keep a bot of hundreds busy."""

Closes = Mapping[int, float]
"""Open time of a candle → its close, without candles that stand for missing ones."""

ONE = Decimal(1)


def read_on(timeframes: Iterable[Timeframe]) -> Timeframe:
    """The candles whose returns are compared: the shortest of an hour or more that are read, else the longest."""
    ordered = sorted(timeframes, key=lambda timeframe: timeframe.ms)
    return next((timeframe for timeframe in ordered if timeframe.ms >= Timeframe.H1.ms), ordered[-1])


def correlation(one: Closes, other: Closes, step_ms: int) -> Decimal:
    """Pearson's, of the returns that both have, in hundredths; 1 where they are too few or nothing moved."""
    end_ms = max((*one, *other), default=0)
    ours, theirs = _returns(one, end_ms, step_ms), _returns(other, end_ms, step_ms)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if int(both.sum()) < RETURNS_MIN:
        return ONE
    ours, theirs = ours[both] - ours[both].mean(), theirs[both] - theirs[both].mean()
    scale = float(np.sqrt((ours * ours).sum() * (theirs * theirs).sum()))
    if scale == 0.0:
        return ONE
    return Decimal(round(float((ours * theirs).sum()) / scale * 100)) / 100


def mean_correlation(closes: Iterable[Closes], step_ms: int, returns: int = RETURNS) -> Decimal | None:
    """The mean over all pairs of symbols, in hundredths; None for fewer than two symbols with enough returns."""
    known = [each for each in closes if len(each) > RETURNS_MIN][:COMPARED_MAX]
    if len(known) < 2:
        return None
    end_ms = max(max(each) for each in known)
    rows = np.stack([_returns(each, end_ms, step_ms, returns) for each in known])
    rows = rows[:, ~np.isnan(rows).any(axis=0)]
    moving = rows[rows.std(axis=1) > 0] if rows.shape[1] >= RETURNS_MIN else rows[:0]
    if len(moving) < 2:
        return None
    matrix: npt.NDArray[np.float64] = np.asarray(np.corrcoef(moving))
    pairs = matrix[np.triu_indices(len(moving), 1)]
    return Decimal(round(float(pairs.mean()) * 100)) / 100


def independent(positions: int, mean: Decimal) -> Decimal:
    """How many independent positions as many alike ones of one direction are, at this mean correlation."""
    shared = 1 + (positions - 1) * max(mean, Decimal(0))
    return round(positions / shared, 2)


def _returns(closes: Closes, end_ms: int, step_ms: int, count: int = RETURNS) -> npt.NDArray[np.float64]:
    """The newest returns up to the candle that opened at an instant; NaN where one of its two candles is missing."""
    opens = range(end_ms - count * step_ms, end_ms + 1, step_ms)
    prices = np.array([closes.get(open_ms, np.nan) for open_ms in opens])
    with np.errstate(all="ignore"):
        returns: npt.NDArray[np.float64] = np.diff(np.log(prices))
    return np.where(np.isfinite(returns), returns, np.nan)
