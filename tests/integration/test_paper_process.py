"""BINANCE_ENV=paper as a process: an exchange that plays mainnet's public half, and a bot that has no key of it.

Where it connects to is written down by every process that it starts; what it asks is in the log of the exchange.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
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

from exchange.paper.mirror import MIRRORED
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.launch import Launched, launched
from tests.integration.watcher_server import watcher

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
SYMBOL = "BTCUSDT"
START_MS = 1_748_739_550_000  # 2025-06-01 00:59:10 UTC
CONFIG = f"version: 1\nsymbols: {{{SYMBOL}: {{}}}}\nmarket_data: {{history_candles: 400}}\n"
PUBLIC = MIRRORED | {"/fapi/v1/time"}
WITNESS = """
import os, socket
real = socket.socket.connect, socket.socket.connect_ex

def noted(which):
    def connect(self, address):
        if self.family != socket.AF_UNIX:
            with open(os.environ["CONNECTIONS"], "a") as file:
                file.write(f"{address[0]} {address[1]}\\n")
        return real[which](self, address)
    return connect

socket.socket.connect, socket.socket.connect_ex = noted(0), noted(1)
"""
"""What Python runs in every process that is started with it on the path."""

Found = TypeVar("Found")


def awaited(ask: Callable[[], Found], what: str) -> Found:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        if found := ask():
            return found
        threading.Event().wait(0.1)
    raise AssertionError(f"{what} took longer than {PATIENCE_S:.0f} s")


@contextmanager
def mainnet(port: int = 0, start_ms: int = START_MS) -> Iterator[Launched]:
    """It plays recorded candles in real time. Its keys are nobody's here."""
    options = ["--data", str(shipped_folder()), "--start", str(start_ms), "--symbols", f"{SYMBOL},ETHUSDT"]
    with launched(*options, "--speed", "1", "--port", str(port), "--seed", "7") as found:
        yield found


class Bot:
    """A folder with a bot in it."""

    def __init__(self, folder: Path, there: Launched) -> None:
        self.folder, self.rest, self.ws = folder, there.rest, there.ws
        shutil.copy(ROOT / "rules.yaml", folder / "rules.yaml")
        (folder / "config.yaml").write_text(CONFIG)
        (folder / ".env").write_text(f"BINANCE_ENV=paper\nPAPER_REST_URL={there.rest}\nPAPER_WS_URL={there.ws}\n")
        (folder / "witness").mkdir()
        (folder / "witness" / "sitecustomize.py").write_text(WITNESS)

    @property
    def environment(self) -> dict[str, str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith(("BINANCE_", "PAPER_", "SIM_"))}
        path = os.pathsep.join((str(self.folder / "witness"), str(ROOT)))
        return {**own, "PYTHONPATH": path, "CONNECTIONS": str(self.folder / "connections")}

    def fsm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fsm", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def asked(self, *arguments: str) -> Any:
        return json.loads(self.fsm(*arguments, "--json").stdout or "{}")

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "fsm", "run", "--no-web"]
        with (self.folder / "out").open("a") as out, (self.folder / "err").open("a") as err:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=err)
        try:
            awaited(lambda: "started" in self.events() or process.poll() is not None, "the start")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)

    def told(self) -> list[dict[str, Any]]:
        lines = (self.folder / "out").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self) -> set[str]:
        return {str(row.get("event")) for row in self.told()}

    @property
    def address(self) -> str:
        """The embedded exchange's."""
        return next(str(row["address"]) for row in reversed(self.told()) if row.get("event") == "started")

    @property
    def said(self) -> str:
        return (self.folder / "err").read_text()

    def connections(self) -> set[str]:
        return set((self.folder / "connections").read_text().splitlines())


def requests_of(there: Launched) -> list[dict[str, Any]]:
    found = httpx.get(f"{there.rest}/sim/v1/log", params={"limit": 100_000}).json()["requests"]
    return [dict(row) for row in found]


def test_it_trades_without_a_key_and_speaks_to_nobody_but_the_configured_host(tmp_path: Path) -> None:
    with mainnet() as there:
        bot = Bot(tmp_path, there)
        with bot.running() as process:
            assert process.poll() is None, bot.said
            status = awaited(lambda: bot.asked("status").get("account"), "the account")
            assert float(status["equity"]) == 10_000
            here = httpx.get(f"{bot.address}/fapi/v1/exchangeInfo").json()
            assert [row["symbol"] for row in here["symbols"]] == [SYMBOL, "ETHUSDT"]
            own = {f"127.0.0.1 {there.rest.rpartition(':')[2]}", f"127.0.0.1 {bot.address.rpartition(':')[2]}"}
        asked = requests_of(there)
        assert {row["method"] for row in asked} == {"GET"}
        assert {row["path"] for row in asked} <= PUBLIC
        assert not any({"signature", "timestamp", "recvWindow"} & set(row["params"]) for row in asked)
        assert there.api_key not in bot.said
        with httpx.Client() as client:
            streams = client.get(f"{there.rest}/sim/v1/streams").json()
    assert streams["listenKey"] is None, "nobody asked for a private stream there"
    assert bot.connections() == own
    assert (tmp_path / "var" / "paper.sqlite").exists()
    assert not (tmp_path / "var" / "sim.sqlite").exists()


def test_doctor_knows_paper_and_says_whose_brackets_these_are(tmp_path: Path) -> None:
    with mainnet() as there:
        done = Bot(tmp_path, there).fsm("doctor")
    assert done.returncode == 0, done.stdout
    assert "Ready to start on paper" in done.stdout
    assert "PROVED" in done.stdout
    assert "margin brackets" in done.stdout
    assert "2026-09-29" in done.stdout


@pytest.mark.slow
def test_an_exchange_that_is_away_is_away_for_the_bot_too_and_comes_back(tmp_path: Path) -> None:
    """Nothing is answered, the bot stays and blocks nothing by itself; when prices are there again it goes on."""
    with mainnet() as there:
        port, bot = int(there.rest.rpartition(":")[2]), Bot(tmp_path, there)
        running = bot.running()
        process = running.__enter__()
    try:
        awaited(lambda: "no prices for" in bot.said, "the outage")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{bot.address}/fapi/v1/time")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{bot.address}/fapi/v1/klines", params={"symbol": SYMBOL, "interval": "1h"})
        assert process.poll() is None
        with mainnet(port, START_MS + 120_000):
            awaited(lambda: "prices are known again" in bot.said, "the return")
            answer = awaited(lambda: _time_at(bot.address), "an answer")
            assert START_MS + 115_000 < answer < START_MS + 240_000
            awaited(lambda: "CLOSE" in bot.said, "the close that was missed")
        assert "ASGI" not in bot.said
    finally:
        running.__exit__(None, None, None)
    assert bot.fsm("audit", "verify", "--db", "var/paper.sqlite").returncode == 0


def _time_at(address: str) -> int | None:
    try:
        return int(httpx.get(f"{address}/fapi/v1/time").json()["serverTime"])
    except httpx.TransportError:
        return None


def test_an_exchange_that_does_not_serve_this_place_is_said_at_once_and_never_called_ready(tmp_path: Path) -> None:
    with mainnet() as there, watcher() as refusing:
        bot, refusing.status = Bot(tmp_path, there), 451
        env = f"BINANCE_ENV=paper\nPAPER_REST_URL={refusing.url}\nPAPER_WS_URL={refusing.url.replace('http', 'ws')}\n"
        (tmp_path / ".env").write_text(env)
        doctor, run = bot.fsm("doctor"), bot.fsm("run", "--no-web")
    assert doctor.returncode == run.returncode == 3
    assert "Ready" not in doctor.stdout
    (told,) = (line for line in doctor.stdout.splitlines() if line.startswith("fail"))
    assert f"{refusing.url} does not serve this place, and will not: 451" in told
    assert "does not serve this place" in run.stderr
    assert set(refusing.paths) == {"/fapi/v1/time"}
    assert len(refusing.paths) <= 4, "nobody insists"


def test_where_nobody_answers_the_start_is_refused_with_the_address(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from exchange.paper import serve
    from exchange.paper.__main__ import main

    with mainnet() as there:
        gone = there.rest
    patience_s, serve.PATIENCE_S = serve.PATIENCE_S, 0.0
    try:
        done = CliRunner().invoke(main, ["--rest", gone, "--ws", gone.replace("http", "ws")])
    finally:
        serve.PATIENCE_S = patience_s
    assert done.exit_code == 3
    assert f"{gone} does not answer" in done.output
