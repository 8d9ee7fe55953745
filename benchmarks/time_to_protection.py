"""How long a position is without a stop: from the answer that shows its first fill to the look that shows its stop.

The real daemon with the real client and stream, over HTTP and WebSocket against a simulator process on loopback, with
its clock stepped. Three symbols in turn rise by one per cent in an hour, which the rules take for a signal, and fall
through their stop in the next, so each hour brings one trade. With latency every request is answered so much later.
Our own share is what is measured without latency; commits are the part of it that waits for the disk.

    python -m benchmarks.time_to_protection [--trades N] [--latency-ms MS] [--json]

Without --latency-ms both are measured: 50 ms, and bare loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import logging
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import httpx
import structlog

from exchange.sim.server.launch import launched
from fsm.bootstrap import Run
from fsm.config import load_config
from fsm.core.model.money import MONEY
from fsm.live.process.embedded import account_options
from fsm.live.trading.protection_timer import ProtectionTimes
from fsm.proofs.parity.run import stepped
from fsm.proofs.parity.stepped import Stepper, stepped_daemon
from fsm.proofs.testkit.scripted_market import LIVE_FROM, QUIET_HOURS, RULES, START_MS, Hour, adapted, quiet
from rules.load import parse_rules
from store.lock import ProcessLock

HOUR_MS = 3_600_000
ROOT = Path(__file__).parents[1]
PRICES = {"BTCUSDT": 60_000.0, "ETHUSDT": 3_000.0, "SOLUSDT": 150.0}
LATENCIES_MS = (50, 0)
SECTIONS: dict[str, dict[str, Any]] = {
    "simulation": {"balance_usdt": Decimal(100_000)},  # what a thousand losses leave must still buy two lots of SOL
    "risk": {"risk_per_trade_pct": Decimal("0.05")},  # a thousand losses in a row must not end it
    "limits": dict.fromkeys(("daily_loss_pct", "weekly_loss_pct", "monthly_loss_pct", "drawdown_pct"), Decimal(99)),
}


def cycle(price: float) -> list[Hour]:
    """A rise, a fall through the stop at its low, and the way back without another signal."""
    top, between = price * 1.01, price * 1.004
    return [
        (price, price * 1.0105, price * 0.999, top),
        (top, top, price * 0.998, between),
        (between, between, price * 0.9995, price),
    ]


def write_candles(folder: Path, trades: int) -> None:
    for offset, (symbol, price) in enumerate(PRICES.items()):
        hours = [*quiet(price, QUIET_HOURS + offset), *cycle(price) * (trades // len(PRICES) + 2)]
        rows = [
            f"{START_MS + number * HOUR_MS},{','.join(f'{value:.4f}' for value in hour)},1000"
            for number, hour in enumerate(hours)
        ]
        text = "\n".join(["open_time_ms,open,high,low,close,volume", *rows]) + "\n"
        (folder / f"{symbol}-1h.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


class Commits:
    """How much of the time until a stop was confirmed the journal was being written to."""

    def __init__(self) -> None:
        self._spans_s: list[tuple[float, float, float]] = []
        self.shares_ms: list[float] = []
        self.processor_ms: list[float] = []

    def timed(self, commit: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            began_s, processor_s = time.monotonic(), time.process_time()
            try:
                return commit(*arguments, **named)
            finally:
                self._spans_s.append((began_s, time.monotonic(), processor_s))

        return measured

    def confirmed(self, took_ms: float) -> None:
        """A stop was confirmed just now, so long after its first fill."""
        filled_s = time.monotonic() - took_ms / 1000
        since = [span for span in self._spans_s if span[0] >= filled_s]
        self.shares_ms.append(sum(end - begin for begin, end, _ in since) * 1000)
        self.processor_ms.append((time.process_time() - since[0][2]) * 1000)
        self._spans_s.clear()


class Times(ProtectionTimes):
    """Tells of each confirmation."""

    def __init__(self, heard: Callable[[float], None]) -> None:
        super().__init__()
        self._heard = heard

    def add(self, ms: float) -> None:
        self._heard(ms)
        super().add(ms)


async def measure(trades: int, latency_ms: int) -> dict[str, Any]:
    config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    deadline = {"deadline_ms": config.settings.protection.deadline_ms}
    config = stepped(adapted(config, tuple(PRICES), SECTIONS), tuple(PRICES))
    config = adapted(config, tuple(PRICES), {"protection": deadline})
    begin_ms = START_MS + LIVE_FROM * HOUR_MS
    first_ms = START_MS + QUIET_HOURS * HOUR_MS
    commits = Commits()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_candles(folder, trades)
        run = Run(
            config=config,
            rules=parse_rules(RULES, "rules of the small market"),
            db=folder / "daemon.sqlite",
            on_step=lambda step: None,
            times=Times(commits.confirmed),
        )
        options = ["--data", name, "--start", str(begin_ms), "--speed", "0", "--clock-slack-ms", "-1"]
        with ProcessLock(run.db).acquire(), launched(*options, *account_options(config.settings.simulation)) as sim:
            async with stepped_daemon(run, sim) as stepper:
                await _until(stepper, first_ms)
                if latency_ms:
                    async with httpx.AsyncClient(base_url=sim.rest, trust_env=False) as control:
                        rule = {"when": "before", "effect": {"latency_ms": latency_ms}}
                        (await control.post("/sim/v1/faults", json=rule)).raise_for_status()
                return {"latency_ms": latency_ms, **await _traded(stepper, commits, first_ms, trades)}


async def _until(stepper: Stepper, last_ms: int) -> None:
    """The quiet hours before the first trade."""
    close_ms = stepper.daemon.live.clock.now_ms() // HOUR_MS * HOUR_MS
    while close_ms < last_ms:
        close_ms += HOUR_MS
        await stepper.close(close_ms)


async def _traded(stepper: Stepper, commits: Commits, close_ms: int, trades: int) -> dict[str, Any]:
    live = stepper.daemon.live
    live.journal.journal.commit = commits.timed(live.journal.journal.commit)  # type: ignore[method-assign]
    times, began_s, round_trips = live.times.times_ms, time.monotonic(), list[float]()
    last_ms = close_ms + (trades // len(PRICES) + 1) * len(cycle(1.0)) * HOUR_MS
    while len(times) < trades:
        close_ms += HOUR_MS
        if close_ms > last_ms:
            raise SystemExit(f"the candles are over after {len(times)} of {trades} trades: some signals were not taken")
        await stepper.close(close_ms)
        asked_s = time.monotonic()
        await live.exchange.symbol_config(next(iter(PRICES)))
        round_trips.append((time.monotonic() - asked_s) * 1000)
    found, shares = sorted(times), sorted(commits.shares_ms)
    return {
        "trades": len(found),
        **{name: round(_at(found, share), 1) for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0))},
        "late": live.times.late,
        "round_trip_p50_ms": round(_at(sorted(round_trips), 0.5), 1),
        "processor_p50_ms": round(_at(sorted(commits.processor_ms), 0.5), 1),
        "commits_p50_ms": round(_at(shares, 0.5), 1),
        "commits_p99_ms": round(_at(shares, 0.99), 1),
        "seconds": round(time.monotonic() - began_s),
    }


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description="time from the first fill to the confirmed stop")
    parser.add_argument("--trades", type=int, default=1_000)
    parser.add_argument("--latency-ms", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    for latency_ms in LATENCIES_MS if arguments.latency_ms is None else (arguments.latency_ms,):
        with localcontext(MONEY):
            figures = asyncio.run(measure(arguments.trades, latency_ms))
        if arguments.json:
            print(json.dumps(figures))
            continue
        target = f" (2.5 round trips + 10 ms: {2.5 * latency_ms + 10:.0f})" if latency_ms else " (our own share)"
        print(
            f"{figures['trades']} trades, {latency_ms} ms of latency{target}: p50 {figures['p50_ms']} ms, p99"
            f" {figures['p99_ms']} ms, max {figures['max_ms']} ms, past the deadline {figures['late']};"
            f" commits in it p50 {figures['commits_p50_ms']} ms, p99 {figures['commits_p99_ms']} ms; processor time"
            f" p50 {figures['processor_p50_ms']} ms; one signed question alone p50 {figures['round_trip_p50_ms']} ms"
            f" [{figures['seconds']} s]",
            flush=True,
        )


if __name__ == "__main__":
    main()
