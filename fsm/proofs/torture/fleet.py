"""Runs many seeds, in one process or several, until they are done or the time is up."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from fsm.proofs.torture.broken import ALL
from fsm.proofs.torture.checkers import Violation
from fsm.proofs.torture.market import Market, market_of
from fsm.proofs.torture.plan import Plan, plan_of
from fsm.proofs.torture.run import Outcome, run
from fsm.proofs.torture.shrinking import shrink
from fsm.proofs.torture.soak import Gauge

DAY_S = 86_400


class SeedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run. ``variant`` is the name of a broken engine, ``data`` are folders of candles, ``given`` those
    that were named."""

    seeds: tuple[int, ...]
    days: int
    symbols: int
    data: tuple[str, ...]
    given: tuple[str, ...] = ()
    variant: str | None = None
    jobs: int = 1
    minutes: float | None = None
    shrinks: bool = True
    client: str = "port"


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A failing seed, made small: what did not hold, what was done to the bot, and how to see it again."""

    seed: int
    claim: str
    found: str
    at_ms: int
    disturbances: tuple[str, ...]
    steps: tuple[str, ...]
    command: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of all seeds. ``cases`` are runs; ``speed`` simulated time over CPU time, of one core;
    ``gauge`` the (day, MB, open files) of the longest run."""

    cases: int
    violations: tuple[Story, ...]
    seconds: float
    cpu_seconds: float
    simulated_days: float
    speed: float
    transitions: int
    trades: int
    writes: int
    starts: int
    checks: dict[str, int]
    faults: dict[str, int]
    calls: int
    hashes: dict[str, str]
    gauge: tuple[tuple[int, float, int], ...]


def run_all(order: SeedOrder, on_outcome: Callable[[Outcome, int], None]) -> Summary:
    """Every seed, each told to ``on_outcome`` with the number done; a violation ends nothing but its own run."""
    began_s = time.monotonic()
    outcomes: list[Outcome] = []
    stories: list[Story] = []
    for outcome, story in _outcomes(order, began_s):
        outcomes.append(outcome)
        if story is not None:
            stories.append(story)
        on_outcome(outcome, len(outcomes))
    return _summed(outcomes, stories, time.monotonic() - began_s)


def _outcomes(order: SeedOrder, began_s: float) -> Iterator[tuple[Outcome, Story | None]]:
    """With a time limit, several processes take the seeds in turns of one each, so that none is begun too late."""
    if order.jobs <= 1:
        yield from (_one((seed, order)) for seed in _in_time(order, began_s))
        return
    with multiprocessing.get_context("spawn").Pool(order.jobs) as pool:
        seeds = _in_time(order, began_s)
        while batch := list(islice(seeds, order.jobs if order.minutes is not None else len(order.seeds))):
            yield from pool.imap_unordered(_one, [(seed, order) for seed in batch])


def _in_time(order: SeedOrder, began_s: float) -> Iterator[int]:
    for seed in order.seeds:
        if order.minutes is not None and time.monotonic() - began_s >= order.minutes * 60:
            return
        yield seed


def _one(task: tuple[int, SeedOrder]) -> tuple[Outcome, Story | None]:
    seed, order = task
    market = market_of(tuple(map(Path, order.data)), order.symbols)
    plan = plan_of(seed, market.symbols, market.first_ms, market.last_ms, order.days, order.client)
    gauge = Gauge()
    outcome = msgspec.structs.replace(_run(plan, market, order, gauge), gauge=tuple(gauge.rows))
    if not outcome.violations:
        return outcome, None
    if not order.shrinks:
        return outcome, _story(plan, outcome, order)
    small, found = shrink(plan, outcome, lambda smaller: _run(smaller, market, order, None))
    return outcome, _story(small, found, order)


def _run(plan: Plan, market: Market, order: SeedOrder, gauge: Gauge | None) -> Outcome:
    variant = ALL[order.variant] if order.variant else None
    if gauge is None:
        return run(plan, market, variant=variant)
    return run(plan, market, variant=variant, on_step=gauge.look)


def _story(plan: Plan, outcome: Outcome, order: SeedOrder) -> Story:
    violation: Violation = outcome.violations[0]
    variant = f" --variant {order.variant}" if order.variant else ""
    client = "" if order.client == "port" else f" --client {order.client}"
    data = "".join(f" --data {folder}" for folder in order.given)
    command = (
        f"python -m fsm torture --seeds {plan.seed}..{plan.seed} --days {order.days} --symbols {order.symbols}"
        f"{client}{variant}{data}"
    )
    return Story(
        seed=plan.seed,
        claim=violation.claim,
        found=violation.found,
        at_ms=violation.at_ms,
        disturbances=tuple(f"{each.at_ms} {each.sentence()}" for each in plan.disturbances),
        steps=outcome.steps,
        command=command,
    )


def _summed(outcomes: list[Outcome], stories: list[Story], seconds: float) -> Summary:
    checks: dict[str, int] = {}
    for outcome in outcomes:
        for claim, count in outcome.checks.items():
            checks[claim] = checks.get(claim, 0) + count
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
    days, cpu_s = sum(one.simulated_days for one in outcomes), sum(one.seconds for one in outcomes)
    return Summary(
        cases=len(outcomes),
        violations=tuple(stories),
        seconds=round(seconds, 1),
        cpu_seconds=round(cpu_s, 1),
        simulated_days=round(days, 1),
        speed=round(days * DAY_S / cpu_s) if cpu_s else 0.0,
        transitions=sum(one.transitions for one in outcomes),
        trades=sum(one.trades for one in outcomes),
        writes=sum(one.writes for one in outcomes),
        starts=sum(one.starts for one in outcomes),
        checks=dict(sorted(checks.items())),
        faults=dict(sorted(faults.items())),
        calls=sum(one.calls for one in outcomes),
        hashes={str(one.seed): one.journal_hash for one in outcomes},
        gauge=max((one.gauge for one in outcomes), key=len, default=()),
    )
