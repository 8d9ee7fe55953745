"""The dashboard of a running bot is a process of its own: it goes with the bot, and comes back when it was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from exchange.sim.server.launch import launched
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import RULES, jump
from tests.integration.stories import BTC, CONFIG, NOON_MS, write_market

PATIENCE_S = 120.0
TOKEN = "a-token-that-nobody-guesses-7Q"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc")


def windows_of(pid: int) -> list[int]:
    """Processes that serve a dashboard and were started by this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):  # no process, or one that has just gone
            continue
        if parent == pid and b"fsm.cli.window_process" in words:
            found.append(int(entry.name))
    return found


def status(port: int) -> int | None:
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"http://127.0.0.1:{port}/api/summary", headers=headers, timeout=5).status_code
    except httpx.HTTPError:
        return None


def told_to(pid: int) -> bytes:
    """What stands in its command line and its environment."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_window_comes_back_when_killed_and_goes_when_the_bot_is_killed(tmp_path: Path) -> None:
    write_market(tmp_path, [jump(BTC)])
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text(RULES)
    port = free_port()

    async def play() -> None:
        with launched("--data", str(tmp_path), "--start", str(NOON_MS), "--speed", "0") as exchange:
            bot = RealBot(
                exchange,
                tmp_path,
                config=tmp_path / "config.yaml",
                rules=tmp_path / "rules.yaml",
                options=("--port", str(port)),
                environment={"DASHBOARD_TOKEN": TOKEN},
            )
            try:
                bot.spawn()
                await bot.until(bot.is_ready, "get ready")
                await bot.until(lambda: status(port) == 200, "serve its dashboard")
                (first,) = windows_of(bot.pid)
                told = told_to(first)
                assert not [secret for secret in ("BINANCE_", exchange.api_secret, TOKEN) if secret.encode() in told]
                os.kill(first, signal.SIGKILL)
                await bot.until(lambda: windows_of(bot.pid) not in ([], [first]), "start another window")
                await bot.until(lambda: status(port) == 200, "serve its dashboard again, at the same address")
                (before,) = windows_of(bot.pid)
                bot.kill()
                bot.spawn()
                await bot.until(lambda: len(windows_of(bot.pid)) == 1, "start a window after a kill -9")
                await bot.until(lambda: not is_there(before), "be rid of the window of the bot that was killed")
                await bot.until(lambda: status(port) == 200, "serve its dashboard after a kill -9")
                (last,) = windows_of(bot.pid)
                bot.send(signal.SIGTERM)
                assert bot.ended(PATIENCE_S) == 0
                assert not is_there(last)
            finally:
                await bot.close()

    asyncio.run(play())
