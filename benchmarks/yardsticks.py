"""Our speed beside other engines' and an earlier version's: one table, made in one call, each ratio beside its target.

Only ratios within one call mean something: processor time (user and system) of whole processes, in turn, pinned to one
core. The common task stands in benchmarks/task and benchmarks/peers. A peer that cannot be installed is left out, and
the table says so.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from benchmarks._clones import BASES, clone_name
from benchmarks._ground import (
    EARLIER,
    PACKAGES,
    PEERS,
    ROOT,
    WORK,
    YEAR,
    Candles,
    Failed,
    Used,
    chained,
    earlier_tree,
    folder_of_candles,
    in_turn,
    installed,
    read,
    result_of,
    run,
    write,
)

TASK = Path(__file__).parent / "task"
HOUR_MS = 3_600_000
FIRST_DECIDED = 250
"""Trades are compared from this candle on: before, our indicators are still warming up."""
YARDSTICK = "backtesting.py"
NEWER = "stop_depth_share"
TRADES = 60


class Row(NamedTuple):
    """One line of the table. ``ratio`` None: a figure of which no ratio is asked."""

    what: str
    measured: str
    ratio: float | None
    target: str


class Bench:
    """One call: where everything is, and how processes are run."""

    def __init__(self, candles: Path | None, rounds: int, cpu: int | None) -> None:
        self.folder = folder_of_candles(candles)
        self.rounds = rounds
        self.cpu = cpu
        self.scratch = Path(tempfile.mkdtemp(prefix="yardsticks"))
        self.raw = {name: read(self.folder, name) for name in BASES if (self.folder / f"{name}-1h.csv.gz").exists()}
        self.common = write(self.scratch / "common", {"BTCUSDT": self.raw["BTCUSDT"][-3 * YEAR :]})
        self.earlier = earlier_tree()
        self.peers = {name: installed(name) for name in PACKAGES}
        self.bare: Used | None = None

    def run(self, command: list[str], tree: Path = ROOT) -> Used:
        return run(command, tree=tree, cpu=self.cpu)

    def peer(self, command: list[str]) -> Used:
        return run([*command, str(self.common / "BTCUSDT.npy")], tree=PEERS, cpu=self.cpu)

    def fsm(self, *arguments: str, tree: Path = ROOT, clones: int = 0) -> Used:
        starts = [str(ROOT / "benchmarks" / "_clones.py"), str(clones)] if clones else ["-m", "fsm"]
        return self.run([sys.executable, *starts, *arguments], tree)

    def files(self, rules: str, tree: Path) -> list[str]:
        """The common task's files, without what the earlier version does not know."""
        config = TASK / "config.yaml"
        if tree != ROOT:
            lines = config.read_text().splitlines(keepends=True)
            config = self.scratch / "config.yaml"
            config.write_text("".join(line for line in lines if NEWER not in line))
        return ["--config", str(config), "--rules", str(TASK / rules)]

    def backtest(
        self, data: Path, *further: str, rules: str = "rules.yaml", db: str = "", tree: Path = ROOT, clones: int = 0
    ) -> Used:
        """The common task, or other rules in its place."""
        kept: list[str] = []
        if db:
            kept = ["--db", str(self.scratch / db)]
            for beside in ("", "-wal", "-shm"):
                (self.scratch / f"{db}{beside}").unlink(missing_ok=True)
        files = self.files(rules, tree)
        if rules == "shipped":
            files = ["--config", str(tree / "config.yaml"), "--rules", str(tree / "rules.yaml")]
            further = ("--symbols", "BTCUSDT", *further)
        arguments = ("--json", *files, *kept, "backtest", "--data", str(data), *further)
        return self.fsm(*arguments, tree=tree, clones=clones)


def common_task(bench: Bench) -> Iterator[Row]:
    """The task itself, the shipped rules, and looking alone, against backtesting.py's whole process."""
    peer = bench.peers[YARDSTICK]
    jobs: dict[str, Callable[[], Used]] = {
        "common task, journal kept": lambda: bench.backtest(bench.common, db="ours.sqlite"),
        "shipped rules on the same candles, journal kept": lambda: bench.backtest(
            bench.common, rules="shipped", db="shipped.sqlite"
        ),
        "a setup that never holds, no journal": lambda: bench.backtest(bench.common, rules="rules_none.yaml"),
    }
    targets = ("<= 0.8", "<= 0.7", "<= 0.4")
    yardstick: dict[str, Callable[[], Used]] = {} if peer is None else {YARDSTICK: lambda: bench.peer(peer)}
    found = in_turn({**yardstick, **jobs}, bench.rounds)
    bench.bare = found["a setup that never holds, no journal"]
    whole = found[YARDSTICK].cpu_s if peer else None
    if whole:
        yield Row(f"{YARDSTICK}, whole process", f"{whole:.2f} s", None, "")
    for name, target in zip(jobs, targets, strict=True):
        used = found[name]
        yield Row(f"{name} / {YARDSTICK}", f"{used.cpu_s:.2f} s", used.cpu_s / whole if whole else None, target)
    yield Row("memory, 1 symbol x 3 years", f"{found['common task, journal kept'].peak_mb:.0f} MB", None, "<= 64 MB")


def growth(bench: Bench) -> Iterator[Row]:
    """Memory of fifty symbols, and the time of a candle over years and symbols."""
    raw = bench.raw["BTCUSDT"]
    years = {n: write(bench.scratch / f"{n}y", {"BTCUSDT": chained(raw, n * YEAR)}) for n in (1, 10)}
    names = {clone_name(n): bench.raw[BASES[n % len(bench.raw)]][-3 * YEAR :] for n in range(50)}
    crowd = write(bench.scratch / "crowd", names)
    jobs = {
        "1y": lambda: bench.backtest(years[1]),
        "10y": lambda: bench.backtest(years[10]),
        "1 symbol": lambda: bench.backtest(crowd, "--symbols", clone_name(0), clones=50),
        "50 symbols": lambda: bench.backtest(crowd, "--symbols", ",".join(names), clones=50),
    }
    found = in_turn(jobs, 1, first_counts=True)
    start_s = bench.bare.cpu_s if bench.bare else 0.0
    each = {name: _a_candle(used) for name, used in found.items()}
    yield Row("memory, 50 symbols x 3 years", f"{found['50 symbols'].peak_mb:.0f} MB", None, "<= 250 MB")
    for more, less in (("10y", "1y"), ("50 symbols", "1 symbol")):
        told = f"{each[more] * 1e6:.1f} / {each[less] * 1e6:.1f} us (a start alone: under {start_s:.2f} s)"
        yield Row(f"time of a candle, {more} / {less}", told, each[more] / each[less], "<= 1.05")


def _a_candle(used: Used) -> float:
    found = json.loads(used.out)
    seconds = found["seconds"]
    return float(sum(seconds[part] for part in ("load", "features", "run"))) / float(found["candles"])


def starts(bench: Bench) -> Iterator[Row]:
    """What passes before anything is done, against the earlier version."""
    if bench.earlier is None:
        yield Row(f"{EARLIER} is not in this repository's history", "-", None, "")
        return
    for tree, db in ((ROOT, "ours.sqlite"), (bench.earlier, "earlier.sqlite")):
        bench.backtest(bench.common, db=db, tree=tree)
    databases = {ROOT: "ours.sqlite", bench.earlier: "earlier.sqlite"}
    jobs: dict[str, Callable[[], Used]] = {}
    for tree, db in databases.items():
        path = str(bench.scratch / db)
        jobs[f"start {tree}"] = lambda tree=tree: _start(bench, tree)  # type: ignore[misc]
        jobs[f"why {tree}"] = lambda tree=tree, path=path: bench.fsm("--db", path, "why", "BTCUSDT", tree=tree)  # type: ignore[misc]
        jobs[f"status {tree}"] = lambda tree=tree, path=path: bench.fsm("--db", path, "status", tree=tree)  # type: ignore[misc]
        jobs[f"replay {tree}"] = lambda tree=tree, path=path: bench.fsm("replay", path, tree=tree)  # type: ignore[misc]
        jobs[f"verify {tree}"] = lambda tree=tree, path=path: bench.fsm("--db", path, "audit", "verify", tree=tree)  # type: ignore[misc]
    found = in_turn(jobs, bench.rounds)
    shown = {"start": "start before the first candle", "why": "why", "status": "status"}
    for name, words in shown.items():
        ours, before = found[f"{name} {ROOT}"].cpu_s, found[f"{name} {bench.earlier}"].cpu_s
        yield Row(f"{words} / {EARLIER}", f"{ours:.2f} / {before:.2f} s", ours / before, "<= 0.4")
    for name in ("replay", "verify"):
        rates = {tree: _rows(found[f"{name} {tree}"].out) / found[f"{name} {tree}"].cpu_s for tree in databases}
        ours_rate, before_rate = rates[ROOT], rates[bench.earlier]
        told = f"{ours_rate / 1000:.1f} / {before_rate / 1000:.1f} thousand rows/s"
        yield Row(f"{name}, whole command / {EARLIER}", told, ours_rate / before_rate, ">= 3")


def _start(bench: Bench, tree: Path) -> Used:
    """A backtest that ends where it would read its first candle: there is nothing for it to read."""
    empty = bench.scratch / "empty"
    empty.mkdir(exist_ok=True)
    given = ["--json", *bench.files("rules.yaml", tree), "backtest", "--data", str(empty)]
    return bench.run([sys.executable, "-c", _ENDS_AT_ONCE, *given], tree)


_ENDS_AT_ONCE = (
    "import sys, os, fsm.__main__, exchange.candle_files as files\n"
    "files.CandleFolders.__init__ = lambda *_, **__: os._exit(0)\n"
    "fsm.__main__.app(sys.argv[1:])\n"
)


def _rows(told: str) -> int:
    """Rows that a replay says it decided again, or a verification that it checked."""
    found = re.search(r"identical: (\d+)|(\d+) rows in", told)
    assert found is not None, told
    return int(found[1] or found[2])


def live(bench: Bench) -> Iterator[Row]:
    """The running bot: the close of an hour for 300 symbols, and what is ours of the way to a stop."""
    command = [sys.executable, "-m", "benchmarks.close_of_300", "--closes", "3", "--json"]
    found = {tree: json.loads(bench.run(command, tree).out) for tree in (ROOT, bench.earlier) if tree is not None}
    ours = float(found[ROOT]["processor_s_a_close"])
    before = float(found[bench.earlier]["processor_s_a_close"]) if bench.earlier else None
    told = f"{ours:.2f} / {before:.2f} s" if before else f"{ours:.2f} s"
    yield Row(
        f"processor time of a close of 300 symbols / {EARLIER}", told, ours / before if before else None, "<= 0.5"
    )
    command = [
        sys.executable,
        "-m",
        "benchmarks.time_to_protection",
        "--trades",
        str(TRADES),
        "--latency-ms",
        "0",
        "--json",
    ]
    share = json.loads(bench.run(command).out)
    bare = 2 * share["round_trip_p50_ms"]
    told = f"{share['p50_ms']:.1f} / {bare:.1f} ms, {share['processor_p50_ms']:.1f} ms of it processor"
    yield Row("fill to confirmed stop / two signed questions", told, share["p50_ms"] / bare, "<= 3")


def agreement(bench: Bench) -> Iterator[str]:
    """Our trades beside the plain one's, one by one, and how many other engines make of the same task."""
    told = result_of(bench.peer([sys.executable, str(PEERS / "yardstick.py")]))
    candles: Candles = bench.raw["BTCUSDT"][-3 * YEAR :]
    from_ms = int(candles[FIRST_DECIDED, 0])
    last_ms = int(candles[-1, 0])
    theirs = {each[0]: each[1:] for each in told["each"] if each[0] >= from_ms}
    ours = {found[0]: found[1:] for found in _our_trades(bench.scratch / "ours.sqlite") if found[0] >= from_ms}
    same = [when for when in theirs if when in ours and _alike(theirs[when], ours[when])]
    ended = [when for when in ours if ours[when][2] + HOUR_MS > last_ms]
    differing = sorted({*theirs, *ours} - {*same, *ended})
    yield f"trades of the plain yardstick after the warm-up: {len(theirs)}"
    yield f"ours alike in hour, side, price and reason: {len(same)}"
    yield f"closed at the end of the data by ours alone: {len(ended)}; others: {len(differing)}"
    for when in differing[:5]:
        at = f"{datetime.fromtimestamp(when / 1000, UTC):%Y-%m-%d %H:%M}"
        yield f"  {at}: {theirs.get(when)} and ours {ours.get(when)}"
    for name, command in bench.peers.items():
        if command is None:
            yield f"{name} could not be installed and is left out"
            continue
        try:
            used = bench.peer(command)
        except Failed as error:
            yield f"{name} does not run here: {error}"
            continue
        found = result_of(used)
        yield f"{name} {found['version']}: {found['trades']} trades, {used.cpu_s:.2f} s, {used.peak_mb:.0f} MB"


Trade = tuple[int, float, int, int, float, str]
"""Hour of the entry, its price, side, hour of the exit, its price, why."""

_REASONS = {"STOP_HIT": "stop", "TARGET_HIT": "target"}


def _our_trades(path: Path) -> Iterator[Trade]:
    with apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY) as connection:
        rows = connection.execute(
            "SELECT first_fill_ms, entry_price, side, closed_ms, exit_price, exit_reason FROM trades"
            " WHERE first_fill_ms IS NOT NULL"
        )
        for entered, entry, side, left, exit_price, reason in rows:
            hours = (entered - entered % HOUR_MS, left - left % HOUR_MS)
            why = _REASONS.get(str(reason), str(reason))
            yield hours[0], float(entry), 1 if side == "LONG" else -1, hours[1], float(exit_price), why


def _alike(theirs: Any, ours: Any) -> bool:
    """Price, side, hour, exit price to a tick, reason; an exit in the last moment of a bar is told in the next."""
    ticks = abs(theirs[3] - ours[3]) <= 0.11
    hours = 0 <= ours[2] - theirs[2] <= HOUR_MS
    return bool(theirs[0] == ours[0] and theirs[1] == ours[1] and hours and ticks and theirs[4] == ours[4])


def table(rows: list[Row]) -> Iterator[str]:
    yield "| what | measured | ratio | target |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {row.what} | {row.measured} | {'' if row.ratio is None else f'{row.ratio:.2f}'} | {row.target} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--candles", type=Path, help="folder of candle files; the long ones beside the repository, or shipped"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", type=int, default=0, help="core that everything is pinned to")
    parser.add_argument("--only", nargs="*", choices=[part.__name__ for part in PARTS], help="parts of the table")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.candles, arguments.rounds, arguments.cpu)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {commit.stdout.strip()}, {platform.processor() or platform.machine()}, Python"
        f" {platform.python_version()}, candles of {bench.folder}, {bench.rounds} rounds",
        flush=True,
    )
    rows: list[Row] = []
    for part in PARTS:
        if arguments.only is None or part.__name__ in arguments.only:
            for row in part(bench):
                rows.append(row)
                print(*row, sep="  ", flush=True)
    print()
    print("\n".join(table(rows)))
    if (bench.scratch / "ours.sqlite").exists():
        print()
        print("\n".join(agreement(bench)))


PARTS = (common_task, growth, starts, live)

if __name__ == "__main__":
    main()
