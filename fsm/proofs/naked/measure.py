"""Measures the rows of the menu one after the other, or several at once, and says which bound did not hold."""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import localcontext
from pathlib import Path

import msgspec

from exchange.sim.core.nakedness import Ending
from fsm.core.model.money import MONEY
from fsm.proofs.naked.broken_bots import VARIANTS
from fsm.proofs.naked.fault_catalog import ROWS
from fsm.proofs.naked.scene import Scene
from fsm.proofs.naked.tally import ENTERED_UNPROVED_MAX, SAME_FORM_MAX, STOPS_REFUSED_MAX, STUCK_S_MAX, Sample, Tally
from fsm.proofs.testkit.breaking import BrokenEngine, broken
from fsm.proofs.testkit.virtual_time import run_virtually
from fsm.proofs.torture.bot_process import quiet_logs

SYMBOLS = 20
"""So many positions at a time make a thousand cheap, and struggle with each other for the account's one pause."""

ROUNDS_FACTOR = 4
"""How many more rounds than necessary are played where entries are blocked in between."""

IN_TIME_SHARE_MIN = 0.99
FEWER_COLLECTIONS = (20_000, 20, 20)


class MeasureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured: so many positions of each of these rows."""

    positions: int
    rows: tuple[str, ...]
    seed: int = 1
    jobs: int = 1
    symbols: int = SYMBOLS
    variant: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Times are milliseconds; ``closest_ms`` is how far the worst stretch stayed under its own bound.
    ``named``: positions that are somebody else's; their time is that until the alert which says so.

    ``in_time_pct`` None: the fault does not end before the deadline. ``speed`` is market time over processor time.
    """

    row: str
    says: str
    positions: int
    worst_ms: float
    p99_ms: float
    allowed_ms: float
    closest_ms: float
    protected: int
    closed: int
    named: int
    struck_naked: int
    struck_covered: int
    in_time_pct: float | None
    same_form_max: int
    stuck_s_max: float
    requests: int
    cpu_seconds: float
    simulated_seconds: float
    violations: tuple[str, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All rows. ``cases`` are positions."""

    cases: int
    violations: tuple[str, ...]
    seconds: float
    rows: tuple[Result, ...]


def measure(order: MeasureOrder, on_result: Callable[[Result, int], None]) -> Summary:
    """Every row, each told to ``on_result`` with the number done."""
    began_s = time.monotonic()
    results: list[Result] = []
    for result in _results(order):
        results.append(result)
        on_result(result, len(results))
    results.sort(key=lambda result: order.rows.index(result.row))
    return Summary(
        cases=sum(result.positions for result in results),
        violations=tuple(f"{result.row}: {text}" for result in results for text in result.violations),
        seconds=round(time.monotonic() - began_s, 1),
        rows=tuple(results),
    )


def _results(order: MeasureOrder) -> Iterator[Result]:
    if order.jobs <= 1:
        yield from (one(order, name) for name in order.rows)
        return
    with multiprocessing.get_context("spawn").Pool(order.jobs) as pool:
        yield from pool.imap_unordered(_task, [(order, name) for name in order.rows])


def _task(task: tuple[MeasureOrder, str]) -> Result:
    return one(*task)


def one(order: MeasureOrder, name: str) -> Result:
    """One row, in a process that does nothing else meanwhile."""
    quiet_logs()
    gc.set_threshold(*FEWER_COLLECTIONS)
    row = next(row for row in ROWS if row.name == name)
    began_s = time.process_time()
    rounds_max = ROUNDS_FACTOR * -(-order.positions // order.symbols)
    with tempfile.TemporaryDirectory(prefix="naked-") as folder, localcontext(MONEY), broken(_broken(order)):
        scene: Scene | None = None

        async def play() -> tuple[Scene, float]:
            nonlocal scene
            scene = Scene(row, Path(folder), symbols=order.symbols, seed=order.seed)
            try:
                await scene.play(order.positions, rounds_max)
                return scene, scene.now_s()
            finally:
                await scene.end()

        played, simulated_s = run_virtually(play())
    return _result(played, simulated_s, time.process_time() - began_s, order)


def _broken(order: MeasureOrder) -> BrokenEngine | None:
    return VARIANTS[order.variant].variant if order.variant else None


def _result(scene: Scene, simulated_s: float, cpu_s: float, order: MeasureOrder) -> Result:
    tally, samples = scene.tally, scene.tally.samples
    times = sorted(sample.naked_ms for sample in samples) or [0.0]
    asked = [sample.in_time for sample in samples if sample.in_time is not None]
    share = sum(asked) / len(asked) if asked else None
    return Result(
        row=scene.row.name,
        says=scene.row.says,
        positions=tally.positions,
        worst_ms=round(times[-1]),
        p99_ms=round(times[min(len(times) - 1, int(len(times) * 0.99))]),
        allowed_ms=round(max((sample.allowed_ms for sample in samples), default=0.0)),
        closest_ms=round(min((sample.allowed_ms - sample.naked_ms for sample in samples), default=0.0)),
        protected=sum(sample.ending is Ending.PROTECTED for sample in samples),
        closed=sum(sample.ending is Ending.CLOSED for sample in samples),
        named=sum(sample.ending is None for sample in samples),
        struck_naked=tally.struck_naked,
        struck_covered=tally.struck_covered,
        in_time_pct=None if share is None else round(share * 100, 2),
        same_form_max=tally.same_form_max,
        stuck_s_max=round(tally.stuck_s_max, 1),
        requests=scene.requests,
        cpu_seconds=round(cpu_s, 1),
        simulated_seconds=round(simulated_s),
        violations=tuple(_violations(scene, tally, samples, share, order)),
    )


def _violations(
    scene: Scene, tally: Tally, samples: list[Sample], share: float | None, order: MeasureOrder
) -> Iterator[str]:
    too_long = [sample for sample in samples if sample.is_too_long]
    if too_long:
        worst = max(too_long, key=lambda sample: sample.naked_ms - sample.allowed_ms)
        yield (
            f"{len(too_long)} of {len(samples)} stretches were longer than they may be, the worst {worst.symbol} "
            f"({worst.cause}): {worst.naked_ms / 1000:.1f} s where {worst.allowed_ms / 1000:.1f} s are allowed"
        )
    if share is not None and share < IN_TIME_SHARE_MIN:
        yield f"only {share:.1%} were protected within 600 ms of the fault's end"
    if tally.late_first:
        worst_s = max(tally.late_first)
        yield f"{len(tally.late_first)} times the first request after a stated end was late, at worst {worst_s} s"
    if tally.touched:
        yield f"{len(tally.touched)} orders for a position that is somebody else's, the first {tally.touched[0]}"
    if scene.row.changes_form and tally.same_form_max > SAME_FORM_MAX:
        yield f"a close that did not close was sent {tally.same_form_max} times in the same form"
    if scene.row.rising and tally.stuck_s_max > STUCK_S_MAX:
        yield f"a trade went on for {tally.stuck_s_max:.0f} s after its position was gone"
    if scene.row.rising and tally.stops_refused_max > STOPS_REFUSED_MAX:
        yield f"the stop of a position that was gone was sent {tally.stops_refused_max} times"
    if scene.row.stays_halted:
        rounds = sum(count > 0 for count in tally.entered)
        if rounds > ENTERED_UNPROVED_MAX or sum(tally.entered[1:]) > 1:
            yield f"entries in {rounds} rounds ({tally.entered}) though no stop was ever confirmed"
    elif tally.positions < order.positions:
        yield f"only {tally.positions} of {order.positions} positions were opened"
