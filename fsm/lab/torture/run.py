"""Runs one plan from its beginning to the examination of its books, and says what came of it."""

from __future__ import annotations

import gc
import hashlib
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from decimal import localcontext
from pathlib import Path

import msgspec

from fsm.core.arithmetic import MONEY
from fsm.lab.torture.ending import come_to_rest, examine
from fsm.lab.torture.invariants import Violation
from fsm.lab.torture.market import Market
from fsm.lab.torture.patient import quiet_logs
from fsm.lab.torture.plan import DAY_MS, Plan
from fsm.lab.torture.world import World
from fsm.lab.variants import Variant, broken
from fsm.live.virtual_time import run_virtually
from store.database import open_store

LOG_KEPT = 60
FEWER_COLLECTIONS = (20_000, 20, 20)
"""A run makes many small objects and few circles of them."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run. ``journal_hash`` stands for all rows of all chains; ``gauge`` are (day, MB, open files)."""

    seed: int
    journal_hash: str
    violations: tuple[Violation, ...]
    transitions: int
    trades: int
    writes: int
    starts: int
    deaths: int
    checks: dict[str, int]
    faults: dict[str, int]
    calls: int
    simulated_days: float
    seconds: float
    log: tuple[str, ...]
    steps: tuple[str, ...]
    gauge: tuple[tuple[int, float, int], ...] = ()


def run(
    plan: Plan,
    market: Market,
    *,
    variant: Variant | None = None,
    on_step: Callable[[World], None] = lambda world: None,
    folder: Path | None = None,
) -> Outcome:
    """One run in a folder of its own, which goes away with it unless one is given."""
    quiet_logs()
    gc.set_threshold(*FEWER_COLLECTIONS)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="torture-") as made:
            return run(plan, market, variant=variant, on_step=on_step, folder=Path(made))
    began_s = time.process_time()
    # Errors are journalled with the path in them: inside its folder it is the same one in every run.
    with localcontext(MONEY), broken(variant), chdir(folder):
        world = World(plan, market, Path(), on_step)
        run_virtually(_live(world))
        if not world.failed:
            examine(world, replays=variant is None)
        return _outcome(world, time.process_time() - began_s)


async def _live(world: World) -> None:
    try:
        await world.play()
        if not world.failed:
            await come_to_rest(world)
    finally:
        await world.patient.kill()
        world.close()


def _outcome(world: World, seconds: float) -> Outcome:
    with open_store(world.patient.db, mode="read") as store:
        execute = store.connection.execute
        heads = execute("SELECT * FROM chain_heads ORDER BY 1").fetchall()
        ((transitions,),) = execute("SELECT count(*) FROM transitions")
        ((trades,),) = execute("SELECT count(*) FROM trades WHERE status = 'CLOSED'")
    return Outcome(
        seed=world.plan.seed,
        journal_hash=hashlib.sha256(repr(heads).encode()).hexdigest()[:16],
        violations=tuple(world.watchman.violations),
        transitions=transitions,
        trades=trades,
        writes=world.front.writes,
        calls=world.front.calls,
        faults=dict(world.weather.fired + world.done),
        starts=world.patient.starts,
        deaths=world.deaths,
        checks=dict(sorted(world.watchman.counts.items())),
        simulated_days=(world.venue.now_ms - world.plan.start_ms) / DAY_MS,
        seconds=round(seconds, 3),
        steps=tuple(world.watchman.recent),
        log=tuple(f"{at_ms} {text}" for at_ms, text in world.log[-LOG_KEPT:]),
    )
