"""What the yardsticks stand on: measured processes, peers in environments of their own, an earlier version, candles."""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from exchange.sim.playback.symbols import shipped_folder

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
WORK = ROOT / "var" / "bench"
EARLIER = "cc75b7b"
HOUR_MS = 3_600_000
YEAR = 8_760

Candles = npt.NDArray[np.float64]
"""Rows of open time in ms, open, high, low, close, volume."""


class Failed(Exception):
    """A process ended otherwise than it should; the text is the end of what it said."""


@dataclass(frozen=True)
class Used:
    """What one process and its children took, and what it printed."""

    cpu_s: float
    peak_mb: float
    out: str


def run(command: list[str], *, tree: Path = ROOT, cpu: int | None = None) -> Used:
    """Run a process with ``tree`` before everything else that Python looks at. Raises Failed."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = {**kept, "PYTHONPATH": str(tree), "PYTHONPYCACHEPREFIX": str(WORK / "compiled")}
    pinned = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=said, preexec_fn=pinned)
        assert process.stdout is not None
        out = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            words = said.read().decode(errors="replace")[-300:].strip()
            raise Failed(f"{' '.join(command[1:4])}: exit {process.returncode}: {words}")
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out)


def in_turn(jobs: dict[str, Any], rounds: int, *, first_counts: bool = False) -> dict[str, Used]:
    """Run jobs A B C, A B C, … and give the median of each; one run before compiles, and does not count."""
    found: dict[str, list[Used]] = {name: [] for name in jobs}
    for number in range(first_counts, rounds + 1):
        for name, job in jobs.items():
            used = job()
            if number:
                found[name].append(used)
    return {
        name: Used(
            statistics.median(each.cpu_s for each in runs),
            statistics.median(each.peak_mb for each in runs),
            runs[-1].out,
        )
        for name, runs in found.items()
    }


PACKAGES = {
    "backtesting.py": ("peer_backtesting.py", ["backtesting", "TA-Lib"]),
    "backtrader": ("peer_backtrader.py", ["backtrader", "pandas"]),
    "raptorbt": ("peer_raptorbt.py", ["raptorbt", "TA-Lib", "numpy"]),
}


def installed(name: str) -> list[str] | None:
    """The command of a peer, in an environment of its own that is made where there is none; None where it cannot be."""
    script, packages = PACKAGES[name]
    python = WORK / "environments" / name / "bin" / "python"
    ready = python.parent / "ready"
    if not ready.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], capture_output=True, check=False)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q", *packages]
        if made.returncode or subprocess.run(pip, capture_output=True, check=False).returncode:
            return None
        ready.touch()
    return [str(python), "-W", "ignore", str(PEERS / script)]


def earlier_tree() -> Path | None:
    """The version that the targets are held against, as the repository has it; None where there is no such history."""
    tree = WORK / EARLIER
    if not (tree / "setup.cfg").exists():
        tree.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
        if archive.returncode:
            return None
        subprocess.run(["tar", "x"], cwd=tree, input=archive.stdout, check=True)
    return tree


def folder_of_candles(given: Path | None) -> Path:
    """The long candle files where they are at hand, else the shipped ones."""
    beside = (folder / "shared" / "data" / "klines" for folder in ROOT.parents)
    return given or next((folder for folder in beside if folder.is_dir()), shipped_folder())


def read(folder: Path, symbol: str) -> Candles:
    with gzip.open(folder / f"{symbol}-1h.csv.gz", "rt") as file:
        next(file)
        return np.array([line.split(",") for line in file], dtype=np.float64)


def chained(raw: Candles, count: int) -> Candles:
    """So many hours out of the same bars again and again, each relative to the close before, without their drift."""
    moves = raw[1:, 1:5] / raw[:-1, 4:5]
    moves /= np.exp(np.log(moves[:, 3]).mean())
    places = np.arange(count) % len(moves)
    close = raw[-1, 4] * np.exp(np.cumsum(np.log(moves[places, 3])))
    before = np.concatenate([[raw[-1, 4]], close[:-1]])
    prices = np.round(before[:, None] * moves[places], 1)
    prices[:, 1] = prices.max(axis=1)
    prices[:, 2] = prices.min(axis=1)
    times = raw[-1, 0] - HOUR_MS * np.arange(count - 1, -1, -1, dtype=np.float64)
    return np.column_stack([times, prices, raw[1:, 5][places]])


def write(folder: Path, candles: dict[str, Candles]) -> Path:
    """Candle files of ours, and the same for the peers as ``SYMBOL.npy``."""
    folder.mkdir(parents=True, exist_ok=True)
    for symbol, rows in candles.items():
        lines = (f"{int(row[0])},{','.join(f'{price:.10g}' for price in row[1:])}\n" for row in rows.tolist())
        with gzip.open(folder / f"{symbol}-1h.csv.gz", "wt", compresslevel=1) as file:
            file.write("open_time_ms,open,high,low,close,volume\n")
            file.writelines(lines)
        np.save(folder / f"{symbol}.npy", rows)
    return folder


def result_of(used: Used) -> dict[str, Any]:
    """What a peer told."""
    told = [line for line in used.out.splitlines() if line.startswith("RESULT ")]
    found: dict[str, Any] = json.loads(told[-1][len("RESULT ") :])
    return found
