"""The whole bot as a process, steered from a phone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import queries
from tests.integration.messenger_server import CHAT, TOKEN, MessengerServer, messenger_server
from tests.integration.walking import Walk, walk

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
CONFIG = "version: 1\nsymbols: {BTCUSDT: {}, XRPUSDT: {}}\nsimulation: {speed: 1000}\n"


@contextmanager
def running(folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    given = {"TG_BOT_TOKEN": TOKEN, "TG_CHAT_ID": CHAT, "TG_BASE_URL": url, "BINANCE_ENV": "sim"}
    with (folder / "log.jsonl").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fsm", "run", "--log", "text", "--no-web", "--rules", str(ROOT / "rules.yaml")],
            cwd=folder,
            env={**os.environ, **given, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def until(process: subprocess.Popen[str], pattern: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(pattern, line):
            return
    raise AssertionError(f"{pattern!r} never came")


def awaited(what: Callable[[], str | None]) -> str:
    """What comes within patience."""
    end = time.monotonic() + PATIENCE_S
    waiting = threading.Event()
    while time.monotonic() < end:
        if found := what():
            return found
        waiting.wait(0.05)
    raise AssertionError("it never came")


def answer(server: MessengerServer, pattern: str, after: int = 0) -> str:
    """The first text in the chat that matches, of those after the first so many."""
    return awaited(lambda: next((text for text in server.texts[after:] if re.search(pattern, text)), None))


@pytest.fixture
def server() -> Iterator[MessengerServer]:
    with messenger_server() as found:
        yield found


def test_a_trade_is_told_asked_about_and_closed_from_the_phone(server: MessengerServer, tmp_path: Path) -> None:
    """Before an exchange whose clock stands: the trade does not end before it is asked about."""

    def write(text: str) -> int:
        server.write(text, sent_s=int(time.time()))
        return len(server.texts)

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        opened = answer(server, r"stop \S+ \(\S+ %\) confirmed")
        symbol = opened.partition(":")[0]
        write("/status")
        assert f"{symbol} " in answer(server, "^sim, ")
        write("/limits")
        limits = answer(server, "of .* USDT lost")
        assert limits.startswith("day: ")
        assert re.search(r"(?m)^positions: \d of 3$", limits)
        before = write(f"/why {symbol}")
        assert "at the close of " in answer(server, f"^{symbol}: ", before)
        before = write("/flatten")
        asked = answer(server, "closes at the market", before)
        assert f"{symbol} " in asked
        before = write(f"/confirm {asked.partition('/confirm ')[2][:4]}")
        answer(server, "was handed over", before)
        told = answer(server, "^flatten all: ", before)
        assert "flatten all: done. Flat: " in told
        assert queries.positions(walking.bot.store) == []
        assert {row.state for row in queries.symbols(walking.bot.store)} == {"HALT"}
        before = write("/resume")
        assert "resume all: done. Cleared the halt for OPERATOR" in answer(server, "^resume all", before)
        walking.bot.send(signal.SIGTERM)
        assert walking.bot.ended(PATIENCE_S) == 0
        log = walking.bot.log.read_text("utf-8")
        assert TOKEN not in log
        assert CHAT not in log

    given = {"TG_BOT_TOKEN": TOKEN, "TG_CHAT_ID": CHAT, "TG_BASE_URL": server.url}
    walk(tmp_path, story, environment=given)


def test_r79_the_end_of_a_bot_without_a_journal_is_told_at_once(server: MessengerServer, tmp_path: Path) -> None:
    """No alert can be kept any more, so this one goes out past the outbox."""
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
    with running(tmp_path, server.url) as process:
        until(process, "Trading on sim")
        shutil.rmtree(tmp_path / "var")
        assert "docs/restoring.md" in answer(server, "The bot has ended: .*was removed")
        assert process.wait(PATIENCE_S) == 1
