"""A real process, as on the testnet, whose machine's clock is set under it: what a user types tells that nothing ends
early, no close is missed and nothing is judged by the wrong time (R76)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.launch import Launched, launched
from fsm.cli.status import found
from store import queries
from store.database import open_store
from store.errors import StoreError
from tests.effort import sampled

ROOT = Path(__file__).parents[2]
LAUNCHER = Path(__file__).with_name("faked_clock.py")
PATIENCE_S = 120.0
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NINE_MS = 1_723_021_200_000
"""When the candle opens that closes at ten, on the seventh of August 2024."""

CONFIG = (
    "version: 1\nsymbols: {BTCUSDT: {}}\nlimits: {daily_loss_pct: 2.0}\nloops: {equity_interval_ms: 1000}\n"
    "market_data: {history_candles: 400}\n"
)
Found = TypeVar("Found")


class Machine:
    """The exchange, and beside it a machine whose clock is the exchange's until it is set."""

    def __init__(self, there: Launched, folder: Path) -> None:
        self.there, self.folder = there, folder
        self._file = folder / "offset"
        self._right_ms = self.exchange_ms() - time.time_ns() // 1_000_000
        self._asleep_ms = 0
        self.set(0)
        (folder / "config.yaml").write_text(CONFIG)

    def set(self, off_ms: int) -> None:
        """The machine's clock is so far from the exchange's from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self._right_ms + off_ms} {self._asleep_ms}")
        fresh.replace(self._file)

    def suspend(self, span_ms: int) -> None:
        """As a laptop's lid: the exchange's time goes on, and of this machine's clocks those that count through it."""
        answer = httpx.post(f"{self.there.rest}/sim/v1/advance", json={"ms": span_ms})
        assert answer.status_code == 200, answer.text
        self._asleep_ms += span_ms
        self.set(0)

    def exchange_ms(self) -> int:
        return int(httpx.get(f"{self.there.rest}/sim/v1/clock").json()["serverTime"])

    def lose(self) -> None:
        """A hand's trade of 170,000 USDT costs more than two percent of the account in fees and slippage."""
        order = {"symbol": "BTCUSDT", "type": "MARKET", "quantity": "3.000"}
        self._act({"action": "order", "params": {**order, "side": "BUY"}})
        self._act({"action": "order", "params": {**order, "side": "SELL", "reduceOnly": "true"}})

    def _act(self, deed: dict[str, Any]) -> None:
        answer = httpx.post(f"{self.there.rest}/sim/v1/account", json=deed)
        assert answer.status_code == 200, answer.text

    def fsm(self, *arguments: str) -> list[str]:
        rules = str(ROOT / "rules.yaml")
        return [sys.executable, str(LAUNCHER), self.there.rest, self.there.ws, str(self._file), *arguments,
                "--config", "config.yaml", "--rules", rules, "--db", "bot.sqlite"]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        keys = {"BINANCE_API_KEY": self.there.api_key, "BINANCE_API_SECRET": self.there.api_secret}
        return {**os.environ, **keys, "BINANCE_ENV": "testnet", "PYTHONPATH": str(ROOT)}

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "log.jsonl").open("a") as log:
            process = subprocess.Popen(
                self.fsm("run", "--no-web"), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        try:
            self.awaited(lambda: self.shown().get("account", {}).get("at_ms"), "the start")
            yield
            assert process.poll() is None, (self.folder / "log.jsonl").read_text()[-2000:]
        finally:
            process.kill()
            process.wait()

    def asked(self, *arguments: str) -> Any:
        """What a command says."""
        done = subprocess.run(
            self.fsm(*arguments, "--json"), cwd=self.folder, env=self.environment, capture_output=True, check=False
        )
        return json.loads(done.stdout) if done.stdout else None

    def status(self) -> Any:
        return self.asked("status") or {}

    def shown(self) -> Any:
        """The same, read here: a process for each of many questions would keep the bot from its work."""
        try:
            return found(self.folder / "bot.sqlite")
        except StoreError:
            return {}

    def events(self) -> list[str]:
        with open_store(self.folder / "bot.sqlite", mode="read") as store:
            return [reason for (reason,) in store.connection.execute("SELECT kind || ' ' || reason FROM system_events")]

    def steps_seen(self) -> int:
        return sum(event.startswith("CLOCK_STEPPED") for event in self.events())

    def awaited(self, what: Callable[[], Found], name: str) -> Found:
        end, waiting = time.monotonic() + PATIENCE_S, threading.Event()
        while time.monotonic() < end:
            found = what()
            if found:
                return found
            waiting.wait(0.2)
        raise AssertionError(f"{name} never came: {(self.folder / 'log.jsonl').read_text()[-2000:]}")

    def passes(self, seconds: float) -> None:
        """Until the exchange's clock shows so much later."""
        until_ms = self.exchange_ms() + int(seconds * 1000)
        self.awaited(lambda: self.exchange_ms() >= until_ms, "that time")


@contextmanager
def machine_at(start: str, folder: Path) -> Iterator[Machine]:
    with launched("--data", str(shipped_folder()), "--start", start, "--speed", "1", "--symbols", "BTCUSDT") as there:
        yield Machine(there, folder)


@pytest.mark.slow
def test_sixteen_hours_forward_for_eight_seconds_end_no_limit(tmp_path: Path) -> None:
    """At nine in the morning, with the day's limit hit."""
    with machine_at("2024-08-07T09:00:05", tmp_path) as machine, machine.running():
        machine.lose()
        machine.awaited(lambda: machine.shown()["account"]["halt_cause"] == "LIMIT_DAY", "LIMIT_DAY")
        machine.set(16 * HOUR_MS)
        machine.awaited(lambda: machine.steps_seen() == 1, "the step forward")
        machine.passes(8)
        machine.set(0)
        machine.awaited(lambda: machine.steps_seen() == 2, "the step back")
        machine.passes(4)
        assert machine.status()["account"]["halt_cause"] == "LIMIT_DAY"
        told = machine.events()
    assert not [event for event in told if "LIMIT_ENDED" in event]
    assert len([event for event in told if "PERIOD_DAY" in event]) == 1
    assert [event for event in told if event.startswith("CLOCK_STEPPED")] == ["CLOCK_STEPPED CLOCK"] * 2


def is_right(shown: Any, later_ms: int) -> bool:
    """Whether it has decided on what closed at ten, and measured how far its clock is off."""
    has_decided = any(symbol["decided_ms"] == NINE_MS for symbol in shown["symbols"])
    return has_decided and abs(shown["clock"]["offset_ms"] + later_ms) < 1_500


@pytest.mark.parametrize(
    ("at_start_ms", "later_ms"), sampled([(0, -HOUR_MS), (-50 * MINUTE_MS, -50 * MINUTE_MS)], often=1)
)
@pytest.mark.slow
def test_a_close_is_decided_on_whatever_the_machines_clock_shows(
    tmp_path: Path, at_start_ms: int, later_ms: int
) -> None:
    """A step back by an hour, or fifty minutes slow from the start: what just closed is decided on."""
    with machine_at("2024-08-07T09:59:40", tmp_path) as machine:
        machine.set(at_start_ms)
        with machine.running():
            machine.set(later_ms)
            machine.awaited(lambda: machine.exchange_ms() % HOUR_MS < 30 * MINUTE_MS, "ten o'clock")
            machine.awaited(lambda: is_right(machine.shown(), later_ms), "the candle of nine o'clock, and the clock")
            status = machine.status()
            (symbol,) = status["symbols"]
            assert symbol["decided_ms"] == NINE_MS
            assert symbol["reason"] != "CANDLE_AGE"
            doctor = {check["check"]: check for check in machine.asked("doctor")["checks"]}
            assert "behind" in doctor["clock"]["seen"]


def test_a_machine_that_was_suspended_says_for_how_long_and_is_right_at_once(tmp_path: Path) -> None:
    """Through a close: it was blind for as long as it had slept, without a word."""
    with machine_at("2024-08-07T09:50:00", tmp_path) as machine, machine.running():
        machine.suspend(20 * MINUTE_MS)
        machine.awaited(lambda: "SUSPENDED CLOCK" in machine.events(), "word of it")
        with open_store(machine.folder / "bot.sqlite", mode="read") as store:
            told = " ".join(row.text for row in queries.alerts(store, limit=50))
        assert "This machine was suspended for 20 min" in told
        machine.awaited(lambda: is_right(machine.shown(), 0), "the candle of nine o'clock, and the clock")
        assert abs(machine.status()["clock"]["offset_ms"]) < 1_500


def test_r82_a_flatten_that_waited_a_moment_is_carried_out_though_the_clock_was_set_meanwhile(tmp_path: Path) -> None:
    """It was left at a clock two hours slow, which is right again when the bot starts."""
    with machine_at("2024-08-07T09:00:05", tmp_path) as machine:
        with machine.running():
            pass
        machine.set(-2 * HOUR_MS)
        assert machine.asked("flatten")["command"]["state"] == "posted"
        machine.set(0)
        with machine.running():
            machine.awaited(lambda: machine.shown()["commands"][0].finished_ms, "the answer")
            (command,) = machine.asked("commands", "list")["commands"]
            assert (command["state"], command["guard"]) == ("done", None)
            assert machine.status()["account"]["halt_cause"] == "OPERATOR"
