"""A sequential test on R: after each trade, whether the newest ones are worse than the backtest's by more than chance.

At every trade the mean of all trades since the test began, and of the newest 8, 16, 32 …, is held against the mean of
the backtest: T = (promised − live) / (s · √(1/m + 1/w)), where the backtest has m trades with standard deviation s and
w live ones are looked at. It alarms when the largest T passes a threshold. This is a window-limited scan for a change
(T. L. Lai, "Sequential changepoint detection in quality control and dynamical systems", J. R. Stat. Soc. B 57 (1995),
613-658); the threshold comes from a block bootstrap (H. R. Künsch, Ann. Statist. 17 (1989), 1217-1241) in which the
backtest itself is drawn anew too, because its mean is as uncertain as that of the live trades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

TRADES_MIN = 20
"""A backtest with fewer trades promises nothing."""

LIVE_MIN = 8
"""The fewest live trades that are held against it."""

ROUND_YEARS = 3.0
"""A round without an alarm ends after so many years' trades, and the next begins: thresholds are for a round."""

ROUND_TRADES_MAX = 2_000
PATHS = 1_000
"""Lives that are drawn to find a threshold."""

CAUTION = 2 / 3
"""Thresholds are for this part of the rate that is stated: a backtest of some hundred trades does not know its own tail
well enough, and measured rates lie above what the bootstrap is set to (docs/drift.md)."""

_PATHS_AT_ONCE = 200
_SEED = 20261129

Floats = NDArray[np.float64]


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest says of a strategy: R of its closed trades in the order of their ends, and how many a year."""

    strategy: str
    r: tuple[float, ...]
    trades_a_year: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.r))

    @property
    def deviation(self) -> float:
        return float(np.std(self.r, ddof=1))

    @property
    def is_enough(self) -> bool:
        return len(self.r) >= TRADES_MIN and self.deviation > 0

    @property
    def round_trades(self) -> int:
        """How many live trades a round has."""
        return max(4 * LIVE_MIN, min(ROUND_TRADES_MAX, round(ROUND_YEARS * self.trades_a_year)))


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where the test stands after a trade: the largest T, and the newest ``trades`` whose ``mean`` it belongs to."""

    statistic: float
    trades: int
    mean: float


def threshold(promise: Promise, alarms_a_year: float, *, paths: int = PATHS) -> float:
    """What T passes in so many rounds that a strategy which has not changed alarms so often a year."""
    rng = np.random.default_rng(_SEED)
    pool, length = np.array(promise.r), promise.round_trades
    highest = [
        _highest(rng, pool, length, count)
        for count in (min(_PATHS_AT_ONCE, paths - done) for done in range(0, paths, _PATHS_AT_ONCE))
    ]
    years = length / promise.trades_a_year
    return float(np.quantile(np.concatenate(highest), math.exp(-CAUTION * alarms_a_year * years)))


def _highest(rng: np.random.Generator, pool: Floats, length: int, count: int) -> Floats:
    """The largest T of so many rounds in which nothing has changed."""
    promised, live = _blocks(rng, pool, len(pool), count), _blocks(rng, pool, length, count)
    spread = promised.std(axis=1, ddof=1)
    found = scan(live, promised.mean(axis=1), np.where(spread > 0, spread, np.inf), len(pool))
    return np.asarray(found.max(axis=1), dtype=np.float64)


def _blocks(rng: np.random.Generator, pool: Floats, length: int, count: int) -> Floats:
    """Rows of trades drawn in blocks, as they followed one another: trades of one day are not independent."""
    block = max(1, round(math.sqrt(len(pool))))
    starts = rng.integers(0, len(pool), size=(count, -(-length // block)))
    drawn: Floats = pool[(starts[..., None] + np.arange(block)) % len(pool)]
    return drawn.reshape(count, -1)[:, :length]


def scan(live: Floats, mean: Floats, deviation: Floats, promised: int) -> Floats:
    """T after each trade of each row; minus infinity before there are enough."""
    rows, length = live.shape
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(live, axis=1)], axis=1)
    best = np.full((rows, length), -np.inf)
    for window in windows(length):
        means = (sums[:, window:] - sums[:, :-window]) / window
        found = _t(means, mean, deviation, promised, np.full(means.shape[1], float(window)))
        np.maximum(best[:, window - 1 :], found, out=best[:, window - 1 :])
    if length >= LIVE_MIN:
        counts = np.arange(LIVE_MIN, length + 1, dtype=np.float64)
        found = _t(sums[:, LIVE_MIN:] / counts, mean, deviation, promised, counts)
        np.maximum(best[:, LIVE_MIN - 1 :], found, out=best[:, LIVE_MIN - 1 :])
    return best


def windows(length: int) -> list[int]:
    """How many of the newest trades are looked at, beside all of them."""
    return [LIVE_MIN * 2**power for power in range(12) if LIVE_MIN * 2**power <= length]


def _t(means: Floats, mean: Floats, deviation: Floats, promised: int, counts: Floats) -> Floats:
    error = deviation[:, None] * np.sqrt(1 / promised + 1 / counts)[None, :]
    return np.asarray((mean[:, None] - means) / error, dtype=np.float64)


def first_alarm(promise: Promise, live: Sequence[float], passed: float) -> int | None:
    """The number (from 0) of the live trade of a round after which T is above the threshold; None: it is not."""
    found = _of(promise, live)
    above = np.flatnonzero(found > passed)
    return int(above[0]) if above.size else None


def stands(promise: Promise, live: Sequence[float]) -> Found | None:
    """Where the test stands now; None with too few live trades."""
    if len(live) < LIVE_MIN:
        return None
    values = np.array(live)
    counts = [*windows(len(live)), len(live)]
    of_count = {count: float(values[-count:].mean()) for count in counts}
    t = {count: (promise.mean - of_count[count]) / _error(promise, count) for count in counts}
    count = max(t, key=lambda number: t[number])
    return Found(statistic=t[count], trades=count, mean=of_count[count])


def _error(promise: Promise, count: int) -> float:
    return promise.deviation * math.sqrt(1 / len(promise.r) + 1 / count)


def _of(promise: Promise, live: Sequence[float]) -> Floats:
    if len(live) == 0:
        return np.array([])
    values: Any = np.array([live], dtype=np.float64)
    return np.asarray(
        scan(values, np.array([promise.mean]), np.array([promise.deviation]), len(promise.r))[0], dtype=np.float64
    )
