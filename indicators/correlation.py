"""How much the prices of symbols move together: the correlation of their hourly returns over the last thirty days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

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


class _Known(NamedTuple):
    """Closes as columns."""

    open_ms: npt.NDArray[np.int64]
    close: npt.NDArray[np.float64]

    @classmethod
    def of(cls, closes: Closes) -> _Known:
        count = len(closes)
        return cls(np.fromiter(closes.keys(), np.int64, count), np.fromiter(closes.values(), np.float64, count))

    @property
    def newest_ms(self) -> int:
        return int(self.open_ms.max(initial=0))


def read_on(timeframes: Iterable[Timeframe]) -> Timeframe:
    """The candles whose returns are compared: the shortest of an hour or more that are read, else the longest."""
    ordered = sorted(timeframes, key=lambda timeframe: timeframe.ms)
    return next((timeframe for timeframe in ordered if timeframe.ms >= Timeframe.H1.ms), ordered[-1])


def correlation(one: Closes, other: Closes, step_ms: int) -> Decimal:
    """Pearson's, of the returns that both have, in hundredths; 1 where they are too few or nothing moved."""
    first, second = _Known.of(one), _Known.of(other)
    end_ms = max(first.newest_ms, second.newest_ms)
    ours, theirs = _returns(first, end_ms, step_ms), _returns(second, end_ms, step_ms)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if int(both.sum()) < RETURNS_MIN:
        return ONE
    ours, theirs = ours[both] - ours[both].mean(), theirs[both] - theirs[both].mean()
    scale = float(np.sqrt((ours * ours).sum() * (theirs * theirs).sum()))
    if scale == 0.0:
        return ONE
    return Decimal(round(float((ours * theirs).sum()) / scale * 100)) / 100


def mean_correlation(closes: Iterable[Closes], step_ms: int, returns: int = RETURNS) -> Decimal | None:
    """The mean over all pairs of symbols, in hundredths; None for fewer than two symbols with enough returns.

    ``closes`` are read one by one, and not kept.
    """
    known = [*islice((_Known.of(each) for each in closes if len(each) > RETURNS_MIN), COMPARED_MAX)]
    if len(known) < 2:
        return None
    end_ms = max(each.newest_ms for each in known)
    rows = np.empty((len(known), returns))
    for number in range(len(known)):
        rows[number] = _returns(known.pop(0), end_ms, step_ms, returns)
    if (gaps := np.isnan(rows).any(axis=0)).any():
        rows = rows[:, ~gaps]
    if rows.shape[1] < RETURNS_MIN:
        return None
    if not (moves := np.array([row.std() > 0 for row in rows])).all():
        rows = rows[moves]
    if len(rows) < 2:
        return None
    matrix: npt.NDArray[np.float64] = np.asarray(np.corrcoef(rows))
    pairs = matrix[np.triu_indices(len(rows), 1)]
    return Decimal(round(float(pairs.mean()) * 100)) / 100


def independent(positions: int, mean: Decimal) -> Decimal:
    """How many independent positions as many alike ones of one direction are, at this mean correlation."""
    shared = 1 + (positions - 1) * max(mean, Decimal(0))
    return round(positions / shared, 2)


def _returns(closes: _Known, end_ms: int, step_ms: int, count: int = RETURNS) -> npt.NDArray[np.float64]:
    """The newest returns up to the candle that opened at an instant; NaN where one of its two candles is missing."""
    places, rest = np.divmod(closes.open_ms - (end_ms - count * step_ms), step_ms)
    there = (rest == 0) & (places >= 0) & (places <= count)
    prices = np.full(count + 1, np.nan)
    prices[places[there]] = closes.close[there]
    with np.errstate(all="ignore"):
        returns: npt.NDArray[np.float64] = np.diff(np.log(prices))
    return np.where(np.isfinite(returns), returns, np.nan)
