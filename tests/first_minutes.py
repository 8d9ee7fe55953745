"""The first ten minutes of ``run`` as terminals show them; ``python -m tests.first_minutes`` writes the page.

The process is the real one, before an emulator whose clock is moved hour by hour: what stands on the terminal does not
depend on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import sys
import tempfile
import termios
import threading
from datetime import UTC, datetime
from pathlib import Path

from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.launch import launched
from fsm.backtest.demo_start import worth_seeing
from fsm.backtest.run import Request
from fsm.config import load_config
from fsm.proofs.crashsweep.kill_loop import Hours, Plan
from fsm.proofs.crashsweep.real_bot import RealBot
from rules.load import load_rules
from tests.captures import ROWS, STYLE, WIDTHS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "first-minutes.md"
DAYS = 4
"""At ten hours a minute nine and a half minutes."""

WRITTEN_OVER = "\r\x1b[K"
DIFFERS = (
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:43509"),
    (re.compile(r"\S*bot\.sqlite"), "var/sim.sqlite"),
    (re.compile(r"\b[\d,]+ ms\b"), "90 ms"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "2368afd6c1d6cc28138d16e366cbca6bac2128902126118b141add8ca0513798"),
)
"""What is another at each run."""


def begin_ms() -> int:
    """Where ``make run`` begins."""
    config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    found = worth_seeing(
        Request(
            config=config,
            rules=load_rules(ROOT / "rules.yaml"),
            data=(shipped_folder(),),
            symbols=tuple(config.settings.symbols),
        )
    )
    assert found is not None
    return found


class OnTerminal(RealBot):
    """A bot whose words go to a terminal of so many columns."""

    columns = WIDTHS[0]
    shown = b""

    def spawn(self, stdout: int | None = None, stderr: int | None = None) -> None:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, self.columns, 0, 0))
        super().spawn(stdout=theirs, stderr=stderr)
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=(ours,))
        self._reader.start()

    def _read(self, ours: int) -> None:
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux says so that the other end is closed
                part = b""
            if not part:
                os.close(ours)
                return
            self.shown += part

    def lines(self) -> list[str]:
        """What stands there in the end: what was written over is gone."""
        self._reader.join()
        text = STYLE.sub("", self.shown.decode()).replace("\r\n", "\n")
        return [line.rpartition(WRITTEN_OVER)[2].rstrip() for line in text.strip("\n").split("\n")]


def recorded(columns: int, folder: Path) -> list[str]:
    """The lines of the first minutes on a terminal of so many columns."""
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_recorded(columns, folder))


async def _recorded(columns: int, folder: Path) -> list[str]:
    config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    symbols, start_ms = tuple(config.settings.symbols), begin_ms()
    balance = config.settings.simulation.balance_usdt
    plan = Plan(
        config=ROOT / "config.yaml", rules=ROOT / "rules.yaml", symbols=symbols, start_ms=start_ms, days=DAYS, kills=0,
        seed=1, balance=balance,
    )  # fmt: skip
    options = ["--data", str(shipped_folder()), "--start", str(start_ms), "--speed", "0", "--seed", "1"]
    options += ["--clock-slack-ms", "-1"]  # the clock jumps, and no request is late for that
    options += ["--symbols", ",".join(symbols), "--balance", str(balance)]
    with launched(*options) as exchange:
        bot = OnTerminal(
            exchange, folder, config=plan.config, rules=plan.rules, options=("--no-web", "--log", "text"),
            environment={"TERM": "xterm-256color", "COLUMNS": str(columns)},
        )  # fmt: skip
        bot.columns = columns
        try:
            await Hours(plan, bot, {}).play(lambda hour: None)
        finally:
            await bot.close()
    return bot.lines()


def settled(line: str) -> str:
    for pattern, instead in DIFFERS:
        line = pattern.sub(instead, line)
    return line


def page(folder: Path) -> str:
    began = datetime.fromtimestamp(begin_ms() / 1000, UTC)
    parts = [
        "# The first ten minutes\n",
        "What `make run` shows in its first ten minutes, which are four days of the shipped candles from "
        f"{began:%Y-%m-%d %H:%M} UTC on:\ntaken from real terminals by `python -m tests.first_minutes`. A test records "
        "it anew. No line is longer than the terminal\nis wide; a stop and a target are hit; and the screen alone says "
        "what was bought, where its stop is, what is at risk, and why.\n",
    ]
    for columns in WIDTHS:
        lines = [settled(line) for line in recorded(columns, folder / str(columns))]
        parts.append(f"## {columns} columns\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PAGE.write_text(page(Path(temporary)), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
