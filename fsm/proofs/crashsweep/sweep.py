"""Kills the daemon at every call of a trade's life, starts it again, and checks what must hold."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, localcontext
from pathlib import Path

import msgspec

from fsm.core.model.money import MONEY
from fsm.proofs.crashsweep.full_disk import ROOM_AGAIN_S, Full
from fsm.proofs.crashsweep.invariants import CLAIMS, Ending, ending, violations
from fsm.proofs.crashsweep.points import Death, Fate, Kind, Point, Reaper, Side
from fsm.proofs.crashsweep.scripts import ALL, SCRIPTS, Script, play, stage
from fsm.proofs.crashsweep.stage import CrashingBot
from fsm.proofs.torture.bot_process import quiet_logs
from store.database import open_store

AFTER_FIRST_MAX = 60
"""A second death comes at one of so many calls after the first: a start takes some forty."""

STORY_ROWS = 40
_ROWS = "SELECT id, run_id, symbol, source, dest, trigger, reason FROM transitions ORDER BY id"
VIOLATIONS_MAX = 100
"""After so many the sweep ends: they have few causes."""

Progress = Callable[[str, int, int], None]
"""Told the phase, how many cases of it are done, and how many there are."""


class Case(msgspec.Struct, frozen=True):
    """One play: which script, and where the bot dies in it."""

    script: str
    deaths: tuple[Death | Full, ...] = ()
    client: str = "port"

    def __str__(self) -> str:
        return ":".join((self.script, *map(str, self.deaths)))

    @classmethod
    def parse(cls, text: str) -> Case:
        """The reverse of ``str``; raises ValueError."""
        name, *deaths = text.split(":")
        if name not in ALL:
            raise ValueError(f"there is no script {name!r}; there are {', '.join(SCRIPTS)}")
        return cls(name, tuple(Full.parse(text) or Death.parse(text) for text in deaths))


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that did not hold: in which case, the story of it, and how to see it again."""

    claim: str
    means: str
    found: str
    case: str
    story: tuple[str, ...]
    reproduce: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How much was tried, and what was wrong with it. ``possible`` counts the single deaths that there are."""

    cases: int
    points: int
    possible: int
    deaths: int
    missed_entries: int
    by_script: dict[str, int]
    by_kind: dict[str, int]
    violations: tuple[Violation, ...]
    seed: int
    seconds: float
    cpu_seconds: float


class Played(msgspec.Struct, frozen=True):
    """What came of one case."""

    case: Case
    found: tuple[tuple[str, str], ...]
    ending: Ending
    points: dict[int, Point]
    deaths: int
    story: tuple[str, ...]


def play_case(case: Case, calm: Ending | None) -> Played:
    """Play one case in a folder of its own that is gone afterwards."""
    reaper = Reaper(case.deaths)
    quiet_logs()  # all of them: where they go to a file, a full disk would be theirs, too
    with _folder() as folder, localcontext(MONEY):
        script = ALL[case.script]
        r = stage(script, folder / "crash.sqlite", reaper, case.client)
        wallet = r.venue.account().wallet_balance
        return _played(case, script, r, calm, wallet)


def _played(case: Case, script: Script, r: CrashingBot, calm: Ending | None, wallet: Decimal) -> Played:
    lived = False

    async def run(r: CrashingBot) -> None:
        nonlocal lived
        await play(script, r)
        lived = r.is_alive

    try:
        r.run(run)  # type: ignore[arg-type]  # a script of this stage
    finally:
        r.disk.mend()
    if not lived:
        r.failures.append(("STARTS_AGAIN", "no bot is alive at the end"))
    found = violations(r, calm, wallet, _ends(r))
    with open_store(r.db, mode="read") as store:
        seen = ending(store)
    story = tuple(_story(r)) if found else ()
    return Played(case, tuple(found), seen, r.reaper.points, _ends(r), story)


def _ends(r: CrashingBot) -> int:
    return len(r.reaper.died_at) + r.disk.fills + r.ended_unwritten


def _story(r: CrashingBot) -> Iterator[str]:
    """What happened, in the order in which it did."""
    for point, death in r.reaper.died_at:
        under_way = {Fate.LOST: "is lost", Fate.EXECUTED: "is carried out", Fate.LATE: "arrives after the next start"}
        yield f"died {death.side.value} call {death.number} ({point.kind.value} {point.what}); "
        yield f"what was under way {under_way[death.fate]}"
    with open_store(r.db, mode="read") as store:
        rows = list(store.connection.execute(_ROWS))
    for number, run, symbol, source, dest, trigger, reason in rows[-STORY_ROWS:]:
        yield f"{run} row {number}: {symbol} {source} → {dest}, {trigger} {reason}"
    for order in (*r.venue.state.orders, *r.venue.state.algos):
        what = f"{order.side.value} {order.type.value} {order.client_id}"
        yield f"exchange: {order.symbol} {what} {order.status.value}"


@contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="crashsweep-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def cases_of(script: str, points: Sequence[Point]) -> list[Case]:
    """Every single death of a script: both sides of every call, and each fate of what is then under way."""
    return [
        Case(script, (Death(point.number, side, fate),))
        for point in points
        for side in Side
        for fate in (Fate if side in point.carries else (Fate.LOST,))
    ]


def full_disks_of(script: str, points: Sequence[Point]) -> list[Case]:
    """Every commit of a script finds the disk full, and for how long goes by turns."""
    commits = [point.number for point in points if point.kind is Kind.COMMIT]
    lasting = itertools.cycle(ROOM_AGAIN_S)
    return [Case(script, (Full(number, seconds),)) for number, seconds in zip(commits, lasting, strict=False)]


def doubled(case: Case, chance: random.Random) -> Case:
    """The same death and a second one, somewhere in or after the start that follows it."""
    second = Death(chance.randint(1, AFTER_FIRST_MAX), chance.choice(list(Side)), chance.choice(list(Fate)))
    return Case(case.script, (*case.deaths, second))


def sweep(
    *,
    scripts: Sequence[str] = tuple(SCRIPTS),
    sample: int | None = None,
    doubles: int = 0,
    seed: int = 0,
    where: str = "",
    client: str = "port",
    full_disk: bool = False,
    on_progress: Progress = lambda phase, done, total: None,
    violations_max: int = VIOLATIONS_MAX,
) -> Report:
    """Play every single death of these scripts, or ``sample`` of them by seed, and ``doubles`` double ones.

    ``where`` leaves only deaths at calls whose name contains it; ``client`` "real": through the real client.
    ``full_disk``: the disk is full at every commit instead.
    """
    began = time.monotonic(), time.process_time()
    chance = random.Random(seed)  # noqa: S311 - which cases are tried is no secret
    calm = {name: play_case(Case(name, client=client), None) for name in scripts}
    points = {name: [p for p in calm[name].points.values() if where in p.what] for name in scripts}
    cases = full_disks_of if full_disk else cases_of
    every = [case for name in scripts for case in cases(name, points[name])]
    chosen = every if sample is None or sample >= len(every) else chance.sample(every, sample)
    chosen = [*chosen, *(doubled(chance.choice(every), chance) for _ in range(doubles if every else 0))]
    played = list(calm.values())
    found = sum(len(done.found) for done in played)
    for case in chosen:
        if found >= violations_max:
            break
        played.append(play_case(msgspec.structs.replace(case, client=client), calm[case.script].ending))
        found += len(played[-1].found)
        on_progress("deaths", len(played) - len(calm), len(chosen))
    return _report(played, [*calm.values()], possible=len(every), seed=seed, began=began)


def sweep_one(case: Case) -> Report:
    """Play one case, and its script undisturbed to compare it with."""
    began = time.monotonic(), time.process_time()
    calm = play_case(Case(case.script, client=case.client), None)
    possible = len(cases_of(case.script, list(calm.points.values())))
    played = [calm, play_case(case, calm.ending)] if case.deaths else [calm]
    return _report(played, [calm], possible=possible, seed=0, began=began)


def _report(
    played: list[Played], calm: list[Played], *, possible: int, seed: int, began: tuple[float, float]
) -> Report:
    points = [point for each in calm for point in each.points.values()]
    return Report(
        cases=len(played),
        points=len(points),
        possible=possible,
        deaths=sum(done.deaths for done in played),
        missed_entries=sum(bool(done.ending.missed) and not done.ending.trades for done in played),
        by_script=dict(Counter(done.case.script for done in played)),
        by_kind=dict(sorted(Counter(point.kind.value for point in points).items())),
        violations=tuple(each for done in played for each in _violations(done)),
        seed=seed,
        seconds=round(time.monotonic() - began[0], 2),
        cpu_seconds=round(time.process_time() - began[1], 2),
    )


def _violations(done: Played) -> list[Violation]:
    return [
        Violation(
            claim=claim,
            means=CLAIMS[claim],
            found=found,
            case=str(done.case),
            story=done.story,
            reproduce=f"python -m fsm crashsweep --case {done.case}"
            + ("" if done.case.client == "port" else f" --client {done.case.client}"),
        )
        for claim, found in done.found
    ]
