"""Measures the window: filtered transitions over a long journal, requests a second beside a busy writer, reconnects.

The journal is made of a backtest's last step, repeated; ROWS sets how often (1,000,000 takes some minutes to write).
The writer's own numbers are the time of a commit without and with the load, and how late its loop was meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_folder
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-that-nobody-guesses-7Q"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
FILTERS = (
    "symbol=BTCUSDT",
    "symbol=ETHUSDT&trigger=signal",
    "state=PROTECTED",
    "trigger=protect",
    "symbol=ETHUSDT&state=HALT",
)


def journal_of(path: Path, rows: int) -> None:
    """A backtest's journal, made longer with its own steps."""
    backtest = [
        sys.executable,
        "-m",
        "fsm",
        "backtest",
        "--data",
        str(shipped_folder()),
        "--symbols",
        "BTCUSDT,ETHUSDT",
    ]
    span = ["--from", "2024-11-01", "--to", "2024-12-01", "--db", str(path), "--json"]
    subprocess.run([*backtest, *span], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open_store(path, mode="write", at_ms=1) as store:
        journal, made = Journal(store, run_id="bench001"), list(queries.each_transition(store))
        for start in range(len(made), rows, 5_000):
            batch = [
                replace(made[n % len(made)], id=0, at_ms=made[-1].at_ms + n, prev_hash="", hash="", run_id="")
                for n in range(start, min(start + 5_000, rows))
            ]
            journal.commit(Batch(transitions=batch))


@contextlib.contextmanager
def window(path: Path) -> Iterator[str]:
    """``python -m web`` in a process of its own."""
    environment = {"PATH": os.environ["PATH"], "DASHBOARD_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "web", "--db", str(path), "--port", "0"],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=1_000, method="inclusive")
    return {
        "p50_ms": round(cuts[499] * 1e3, 2),
        "p99_ms": round(cuts[989] * 1e3, 2),
        "max_ms": round(max(seconds) * 1e3, 2),
    }


def transitions(client: httpx.Client, times: int) -> dict[str, float]:
    """Pages of 100 under changing filters, every second one from a cursor in the middle."""
    taken, cursor = [], ""
    for number in range(times):
        wanted = FILTERS[number % len(FILTERS)]
        since = time.perf_counter()
        answer = client.get(
            f"/api/transitions?{wanted}&limit=100{f'&cursor={cursor}' if number % 2 and cursor else ''}"
        )
        taken.append(time.perf_counter() - since)
        cursor = answer.raise_for_status().json()["cursor"] or ""
    return percentiles(taken)


class Writer:
    """Commits a step every 20 ms on a loop of its own, and notes how long each took and how late it began."""

    def __init__(self, store: Store) -> None:
        self._journal = Journal(store, run_id="bench002")
        (row,) = queries.transitions(store, limit=1).rows
        self._row = replace(row, id=0, prev_hash="", hash="", run_id="")

    async def run(self, until: threading.Event) -> dict[str, dict[str, float]]:
        commits, lags = [], []
        while not until.is_set():
            due = time.perf_counter() + 0.02
            await asyncio.sleep(0.02)
            lags.append(time.perf_counter() - due)
            since = time.perf_counter()
            self._journal.commit(Batch(transitions=[self._row]))
            commits.append(time.perf_counter() - since)
        return {"commit": percentiles(commits), "loop_lag": percentiles(lags)}


def beside(store: Store, seconds: float, load: threading.Thread | None, stop: threading.Event) -> dict[str, object]:
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    if load is not None:
        load.start()
    found = asyncio.run(Writer(store).run(stop))
    timer.cancel()
    if load is not None:
        load.join()
    return dict(found)


def requests_beside(store: Store, url: str, seconds: float) -> dict[str, object]:
    """Four kinds of reads, one after the other, as fast as they are answered."""
    stop, answered = threading.Event(), []

    def ask() -> None:
        with httpx.Client(base_url=url, headers=HEADERS, timeout=30) as client:
            while not stop.is_set():
                for path in ("/api/summary", "/api/positions", "/api/transitions?limit=30", "/api/machine"):
                    answered.append(client.get(path).status_code)

    found = beside(store, seconds, threading.Thread(target=ask), stop)
    return {"requests_per_s": round(len(answered) / seconds, 1), "all_200": set(answered) == {200}, **found}


def reconnects_beside(store: Store, url: str, count: int) -> dict[str, object]:
    """Streams that are opened, hear their first event and are left, ``count`` times."""
    stop = threading.Event()
    taken: list[float] = []

    def reconnect() -> None:
        try:
            again()
        finally:
            stop.set()

    def again() -> None:
        with httpx.Client(base_url=url, headers=HEADERS, timeout=30) as client:
            for _ in range(count):
                since = time.perf_counter()
                with client.stream("GET", "/api/events") as stream:
                    stream.raise_for_status()
                    next(line for line in stream.iter_lines() if line.startswith("event"))
                taken.append(time.perf_counter() - since)

    found = beside(store, 3_600, threading.Thread(target=reconnect), stop)
    return {"reconnects": len(taken), "first_event": percentiles(taken), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--reconnects", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "long.sqlite"
        journal_of(path, options.rows)
        with window(path) as url, open_store(path, mode="write", at_ms=1) as store:
            with httpx.Client(
                base_url=url, headers=HEADERS, timeout=30, transport=httpx.HTTPTransport(retries=20)
            ) as client:
                pages = transitions(client, 500)
            stop = threading.Event()
            alone = beside(store, 5, None, stop)
            busy = requests_beside(store, url, 10)
            streams = reconnects_beside(store, url, options.reconnects)
    result = {
        "rows": options.rows,
        "pages": pages,
        "writer_alone": alone,
        "beside_reads": busy,
        "beside_streams": streams,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
