"""Measures the test of drift by simulation: false alarms a year, and trades until a worse strategy is noticed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from fsm.backtest.drift.sequential import Floats, Promise, first_alarm, threshold

YEARS = 1_000
LIVES_WORSE = 200
TRADES_MOST = 20_000
"""After so many live trades a life in which nothing was noticed is given up."""

_PATHS = 400
_SEED = 7

Draw = Callable[[np.random.Generator, int], Floats]


class Kind(NamedTuple):
    """A made-up strategy: what its trades come to, how many the backtest has, and how many a year brings."""

    name: str
    draw: Draw
    promised: int
    a_year: int


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``interval``: of the false alarms a year, 95 %, Poisson. Trades until noticed: median and 90 %, None
    where more than ``TRADES_MOST``; ``halved``: every trade makes half of the expectancy less, ``reversed``: twice."""

    name: str
    expectancy: float
    deviation: float
    promised: int
    a_year: int
    level: float
    years: float
    alarms: int
    interval: tuple[float, float]
    halved: tuple[int | None, int | None]
    reversed: tuple[int | None, int | None]

    @property
    def false_alarms_a_year(self) -> float:
        return self.alarms / self.years


def _fixed(win: float, chance: float, loss: float) -> Draw:
    return lambda rng, count: np.where(rng.random(count) < chance, win, -loss)


def _trend(rng: np.random.Generator, count: int) -> Floats:
    return np.where(rng.random(count) < 0.36, rng.exponential(2.6, count), -1.0)


def _heavy(rng: np.random.Generator, count: int) -> Floats:
    return np.where(rng.random(count) < 0.3, rng.pareto(2.5, count) * 3.2, -0.4 - 0.8 * rng.random(count))


def _clustered(rng: np.random.Generator, count: int) -> Floats:
    """Three symbols at a time, which mostly end alike."""
    groups = np.repeat(rng.random(-(-count // 3)) < 0.45, 3)[:count]
    won = np.where(rng.random(count) < 0.6, groups, rng.random(count) < 0.45)
    return np.where(won, 2.0, -1.0)


_REVERTS = _fixed(0.7, 0.72, 1.1)
_TWO_TO_ONE = _fixed(2.0, 0.45, 1.0)
KINDS = (
    Kind("two to one", _TWO_TO_ONE, 60, 30),
    Kind("two to one", _TWO_TO_ONE, 300, 100),
    Kind("two to one", _TWO_TO_ONE, 1_000, 300),
    Kind("many small wins", _REVERTS, 60, 30),
    Kind("many small wins", _REVERTS, 300, 100),
    Kind("few large wins", _trend, 60, 30),
    Kind("few large wins", _trend, 300, 100),
    Kind("heavy tail", _heavy, 300, 100),
    Kind("three at a time, alike", _clustered, 60, 30),
    Kind("three at a time, alike", _clustered, 300, 100),
)


def measure(kind: Kind, *, level: float, years: float = YEARS, lives: int = LIVES_WORSE) -> Rates:
    """Each life has a backtest of its own: how far that is from the truth is part of what is measured."""
    rng = np.random.default_rng(_SEED)
    truth = kind.draw(rng, 1_000_000)
    expectancy = float(truth.mean())
    alarms, lived = _unchanged(rng, kind, level, years)
    halved, reversed_ = ([_noticed(rng, kind, level, share * expectancy) for _ in range(lives)] for share in (0.5, 2.0))
    return Rates(
        name=kind.name,
        expectancy=expectancy,
        deviation=float(truth.std()),
        promised=kind.promised,
        a_year=kind.a_year,
        level=level,
        years=lived,
        alarms=alarms,
        interval=poisson_interval(alarms, lived),
        halved=_median_and_most(halved),
        reversed=_median_and_most(reversed_),
    )


def _promise(rng: np.random.Generator, kind: Kind) -> Promise:
    while True:
        r = tuple(map(float, kind.draw(rng, kind.promised)))
        found = Promise(strategy=kind.name, r=r, trades_a_year=kind.a_year)
        if found.is_enough:
            return found


def _unchanged(rng: np.random.Generator, kind: Kind, level: float, years: float) -> tuple[int, float]:
    """How often lives in which nothing changed alarm, and how long they lasted together: until then, or a round."""
    alarms, lived = 0, 0.0
    while lived < years:
        promise = _promise(rng, kind)
        passed = threshold(promise, level, paths=_PATHS)
        live = kind.draw(rng, promise.round_trades)
        at = first_alarm(promise, live.tolist(), passed)
        alarms += at is not None
        lived += (promise.round_trades if at is None else at + 1) / kind.a_year
    return alarms, lived


def _noticed(rng: np.random.Generator, kind: Kind, level: float, worse: float) -> int | None:
    """After how many trades that make so much less each there is an alarm, through as many rounds as it takes."""
    promise = _promise(rng, kind)
    passed, trades = threshold(promise, level, paths=_PATHS), 0
    while trades < TRADES_MOST:
        live = kind.draw(rng, promise.round_trades) - worse
        at = first_alarm(promise, live.tolist(), passed)
        if at is not None:
            return trades + at + 1
        trades += promise.round_trades
    return None


def _median_and_most(found: list[int | None]) -> tuple[int | None, int | None]:
    ordered = sorted(TRADES_MOST + 1 if each is None else each for each in found)
    at = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.9))
    median, most = (None if each > TRADES_MOST else each for each in at)
    return median, most


def poisson_interval(count: int, years: float) -> tuple[float, float]:
    """Of a rate a year, 95 % (Byar's approximation)."""
    low = 0.0 if count == 0 else count * (1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3
    more = count + 1
    high = more * (1 - 1 / (9 * more) + 1.96 / (3 * math.sqrt(more))) ** 3
    return low / years, high / years


HEAD = (
    "| trades of the strategy | expectancy, deviation (R) | in the backtest | a year | false alarms a year (95 %) |"
    " halved: median, 90 % | reversed: median, 90 % |",
    "|---|---|---|---|---|---|---|",
)


def table(*, level: float, years: float = YEARS, lives: int = LIVES_WORSE) -> Iterator[str]:
    """The table of the page on drift, line by line, as it is measured."""
    yield from HEAD
    for kind in KINDS:
        yield row(measure(kind, level=level, years=years, lives=lives))


def row(found: Rates) -> str:
    low, high = found.interval
    return (
        f"| {found.name} | {found.expectancy:+.2f}, {found.deviation:.2f} | {found.promised:,} | {found.a_year} |"
        f" {found.false_alarms_a_year:.3f} ({low:.3f} to {high:.3f}) | {_counts(found.halved)} |"
        f" {_counts(found.reversed)} |"
    )


def _counts(found: tuple[int | None, int | None]) -> str:
    return ", ".join("–" if each is None else f"{each:,}" for each in found)
