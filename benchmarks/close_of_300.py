"""What an hour's close of three hundred symbols costs one daemon process: time, memory, stalls of its event loop.

The daemon is the whole product, started as `run` starts it, on a simulator process whose clock is stepped: a minute a
second until the daemon has started (so that rate limits pass), then from close to close. Symbols are clones of the
shipped ones under invented names, each shifted in time. A probe sleeps 5 ms over and over and notes how much later it
wakes; what falls into the close's one transaction (decisions, rows, commit) is listed by itself.

    python -m benchmarks.close_of_300 [--symbols N] [--closes N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gzip
import json
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import structlog

from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder
from exchange.sim.server.launch import launched
from fsm.bootstrap import Run, run_daemon
from fsm.config import load_config
from fsm.journal.writer import JournalWriter
from fsm.live.trading.schedule import Schedule
from rules.load import load_rules

ROOT = Path(__file__).parents[1]
ORIGINALS = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
HOURS = 24 * 260
"""Enough for the 200 daily candles that the rules want, and some."""

HISTORY = 250
HOUR_MS = 3_600_000
AFTER_MS = 5_000
PROBE_S = 0.005
IDLE_S = 10.0


def write_crowd(folder: Path, number: int) -> list[str]:
    """Candles, filters and brackets of so many symbols; the n-th clone of one begins n hours later in its history."""
    rows = {row["symbol"]: row for row in shipped_exchange_info()["symbols"]}  # type: ignore[attr-defined]
    tables = {row["symbol"]: row for row in json.loads((shipped_folder() / "brackets.json").read_text())}
    series = {}
    for name in ORIGINALS:
        text = gzip.decompress((shipped_folder() / f"{name}-1h.csv.gz").read_bytes()).decode()
        series[name] = [line.split(",", 1) for line in text.splitlines()[1:]]
    names = {f"C{index:03}{ORIGINALS[index % 5]}": (ORIGINALS[index % 5], index // 5) for index in range(number)}
    for name, (original, shift) in names.items():
        times = [line[0] for line in series[original][:HOURS]]
        values = [line[1] for line in series[original][shift : shift + HOURS]]
        lines = ["open_time_ms,open,high,low,close,volume", *map(",".join, zip(times, values, strict=True))]
        (folder / f"{name}-1h.csv.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 1, mtime=0))
    info = {"symbols": [{**rows[original], "symbol": name} for name, (original, _) in names.items()]}
    (folder / "symbols.json").write_text(json.dumps(info))
    brackets = [{**tables[original], "symbol": name} for name, (original, _) in names.items()]
    (folder / "brackets.json").write_text(json.dumps(brackets))
    return list(names)


class Measured:
    """Notes when closes, their parts and stalls were."""

    def __init__(self, closes: int) -> None:
        self._wanted = closes
        self.closes_s: list[float] = []
        self.decided_s: list[float] = []
        self.written: list[tuple[float, float]] = []
        self.lags: list[tuple[float, float]] = []
        self.busy_s = 0.0
        self.idle_ms: list[float] = []

    async def probe(self) -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(PROBE_S)
            self.lags.append((began_s, max(time.monotonic() - began_s - PROBE_S, 0.0)))

    async def probe_idle(self) -> None:
        """What the same probe finds on this machine in a process that does nothing else."""
        try:
            async with asyncio.timeout(IDLE_S):
                await self.probe()
        except TimeoutError:
            self.idle_ms = [lag_s * 1000 for _, lag_s in self.lags]
            self.lags.clear()

    def around_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        async def measured(schedule: Schedule, close_ms: int) -> None:
            began_s, processor_s = time.monotonic(), time.process_time()
            await close(schedule, close_ms)
            self.closes_s.append(time.monotonic() - began_s)
            self.busy_s += time.process_time() - processor_s
            if len(self.closes_s) >= self._wanted:
                os.kill(os.getpid(), signal.SIGTERM)

        return measured

    def around_writing(self, together: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def measured(journal: JournalWriter) -> Iterator[None]:
            began_s = time.monotonic()
            with together(journal):
                yield
                self.decided_s.append(time.monotonic() - began_s)
            self.written.append((began_s, time.monotonic()))

        return measured

    def stalls_ms(self) -> tuple[list[float], list[float]]:
        """(outside, inside) of the transactions of closes, sorted; only from the first close on."""
        if not self.written:
            return [], []
        outside, inside = [], []
        for began_s, lag_s in self.lags:
            if began_s >= self.written[0][0] - self.closes_s[0]:
                ended_s = began_s + PROBE_S + lag_s
                hit = any(begin < ended_s and end > began_s for begin, end in self.written)
                (inside if hit else outside).append(lag_s * 1000)
        return sorted(outside), sorted(inside)

    def figures(self) -> dict[str, Any]:
        outside, inside = self.stalls_ms()
        commits = [end - begin - decided for (begin, end), decided in zip(self.written, self.decided_s, strict=False)]
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return {
            "closes": len(self.closes_s),
            "close_s": [round(value, 2) for value in self.closes_s],
            "processor_s_a_close": round(self.busy_s / len(self.closes_s), 2),
            "transaction_ms": [round((end - begin) * 1000) for begin, end in self.written],
            "commit_ms": [round(value * 1000, 1) for value in commits],
            "idle_stall_p999_ms": round(_at(sorted(self.idle_ms), 0.999), 1),
            "stall_p50_ms": round(_at(outside, 0.5), 2),
            "stall_p99_ms": round(_at(outside, 0.99), 1),
            "stall_p999_ms": round(_at(outside, 0.999), 1),
            "stall_max_ms": round(_at(outside, 1.0), 1),
            "stall_in_transaction_max_ms": round(_at(inside, 1.0), 1),
            "memory_mb": round(resident / 2**20),
        }


def drive(url: str, measured: Measured, ready: threading.Event, closes: int) -> None:
    """Moves the clock: while the daemon starts, and then to each close once the one before is done."""
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as control:
        while not ready.wait(1.0):
            control.post("/sim/v1/advance", json={"ms": 60_000}).raise_for_status()
        for number in range(closes):
            now_ms = control.get("/sim/v1/clock").json()["serverTime"]
            due_ms = now_ms - now_ms % HOUR_MS + HOUR_MS + AFTER_MS
            control.post("/sim/v1/advance", json={"ms": due_ms - now_ms}).raise_for_status()
            while len(measured.closes_s) <= number:
                time.sleep(0.1)


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def measure(symbols: int, closes: int) -> dict[str, Any]:
    measured = Measured(closes)
    asyncio.run(measured.probe_idle())
    Schedule.close = measured.around_close(Schedule.close)  # type: ignore[method-assign]
    JournalWriter.together = measured.around_writing(JournalWriter.together)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = tuple(write_crowd(folder, symbols))
        first_ms = 1_704_067_200_000
        start_ms = first_ms + (HOURS - closes - 24) * HOUR_MS
        with launched("--data", name, "--start", str(start_ms), "--speed", "0", "--clock-slack-ms", "-1") as sim:
            given = {
                "BINANCE_ENV": "sim",
                "SIM_REST_URL": sim.rest,
                "BINANCE_API_KEY": sim.api_key,
                "BINANCE_API_SECRET": sim.api_secret,
            }
            config = load_config(ROOT / "config.yaml", None, given)
            settings = config.settings.with_symbols(names)
            market_data = msgspec.structs.replace(settings.market_data, history_candles=HISTORY)
            settings = msgspec.structs.replace(settings, market_data=market_data)
            ready = threading.Event()
            driver = threading.Thread(target=drive, args=(sim.rest, measured, ready, closes), daemon=True)
            driver.start()
            run_daemon(
                Run(
                    config=dataclasses.replace(config, settings=settings),
                    rules=load_rules(ROOT / "rules.yaml"),
                    db=folder / "daemon.sqlite",
                    on_step=lambda step: None,
                    on_ready=lambda network, address: ready.set(),
                    further=(measured.probe,),
                )
            )
    return {"symbols": symbols, **measured.figures()}


def main() -> None:
    parser = argparse.ArgumentParser(description="the close of an hour for many symbols in one process")
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--closes", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    figures = measure(arguments.symbols, arguments.closes)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<28} {value}")


if __name__ == "__main__":
    main()
