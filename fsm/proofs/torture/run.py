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

from fsm.core.model.money import MONEY
from fsm.proofs.testkit.breaking import BrokenEngine, broken
from fsm.proofs.testkit.virtual_time import run_virtually
from fsm.proofs.torture.bot_process import quiet_logs
from fsm.proofs.torture.checkers import Violation
from fsm.proofs.torture.ending import come_to_rest, examine
from fsm.proofs.torture.market import Market
from fsm.proofs.torture.plan import DAY_MS, Plan
from fsm.proofs.torture.world import TortureRun
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
    variant: BrokenEngine | None = None,
    on_step: Callable[[TortureRun], None] = lambda world: None,
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
        world = TortureRun(plan, market, Path(), on_step)
        run_virtually(_live(world))
        if not world.failed:
            examine(world, replays=variant is None)
        return _outcome(world, time.process_time() - began_s)


async def _live(world: TortureRun) -> None:
    try:
        await world.play()
        if not world.failed:
            await come_to_rest(world)
    finally:
        await world.bot.kill()
        world.close()


def _outcome(world: TortureRun, seconds: float) -> Outcome:
    with open_store(world.bot.db, mode="read") as store:
        execute = store.connection.execute
        heads = execute("SELECT * FROM chain_heads ORDER BY 1").fetchall()
        ((transitions,),) = execute("SELECT count(*) FROM transitions")
        ((trades,),) = execute("SELECT count(*) FROM trades WHERE status = 'CLOSED'")
    return Outcome(
        seed=world.plan.seed,
        journal_hash=hashlib.sha256(repr(heads).encode()).hexdigest()[:16],
        violations=tuple(world.checker.violations),
        transitions=transitions,
        trades=trades,
        writes=world.front.writes,
        calls=world.front.calls,
        faults=dict(world.faults.fired + world.done),
        starts=world.bot.starts,
        deaths=world.deaths,
        checks=dict(sorted(world.checker.counts.items())),
        simulated_days=(world.venue.now_ms - world.plan.start_ms) / DAY_MS,
        seconds=round(seconds, 3),
        steps=tuple(world.checker.recent),
        log=tuple(f"{at_ms} {text}" for at_ms, text in world.log[-LOG_KEPT:]),
    )
