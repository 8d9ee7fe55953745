"""What real terminals of 80 and 140 columns show; ``python -m tests.captures`` writes the page."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from uuid import uuid4

from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from tests.integration.scenarios.acting import BTC, TOP, rehearsal_with

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "terminal.md"
WIDTHS = (80, 140)
ROWS = 50
FALLS = (TOP, TOP, BTC * 0.998, TOP)
"""An hour that falls through the stop of the first trade and comes back."""

DATABASE = "sim.sqlite"

COMMANDS: dict[str, tuple[str, ...]] = {
    "What is open, and where is its stop?": ("positions",),
    "How do things stand?": ("status",),
    "What may still be lost?": ("limits",),
    "What has it done?": ("trades",),
    "Everything at once, as it changes": ("top", "--once"),
}

STYLE = re.compile(r"\x1b\[[0-9;]*m")
DIFFERS = (
    (re.compile(r"id [0-9a-f]{8}"), "id 0123abcd"),
    (re.compile(r"\b\d+ (?:s|min|h|d|days?|hours?|minutes?|seconds?) ago"), "a moment ago"),
)
"""What is another at each run."""

HEAD = """\
# The terminal

What commands show on a terminal of 80 and of 140 columns: taken from real ones by `python -m tests.captures`, and
compared by a test (with tmux as well), which also asks that no line is longer than the terminal is wide and no number
is broken. The database is that of a short run with an open trade; no bot is running any more.
"""


def recorded_run(folder: Path) -> Path:
    """A database with one trade that its stop has ended, and another that is open."""
    folder.mkdir(parents=True, exist_ok=True)
    bot = rehearsal_with(folder, [jump(BTC), *quiet(TOP, 2), FALLS, jump(TOP), *quiet(TOP * 1.01, 3)])

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(TO_SIGNAL + 4.5)

    bot.run(script)
    return folder / DATABASE


def captured(folder: Path, columns: int, *words: str) -> str:
    """What stands on a terminal of so many columns after the command, without colours."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "BINANCE_ENV")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fsm", *words, "--db", DATABASE],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # Linux says so that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return _settled(STYLE.sub("", shown.decode()).replace("\r\n", "\n"))


def in_tmux(folder: Path, columns: int, *words: str, typed: str = "") -> str:
    """The same, as tmux has it on its screen; ``typed`` is what is answered there."""
    command = shlex.join([sys.executable, "-m", "fsm", *words, "--db", DATABASE])
    server = f"fsm-{uuid4().hex}"  # one of its own: one that is just ending takes nobody in
    tmux = ["tmux", "-L", server, "-f", os.devnull]
    environment = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES", "BINANCE_ENV")}
    environment |= {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    keep = f"{command}; tmux -L {server} wait-for -S shown; exec sleep 600"
    size = ("-x", str(columns), "-y", str(ROWS))
    subprocess.run([*tmux, "new-session", "-d", *size, keep], cwd=folder, env=environment, check=True)
    try:
        if typed:
            subprocess.run([*tmux, "send-keys", typed, "Enter"], env=environment, check=True)
        subprocess.run([*tmux, "wait-for", "shown"], env=environment, check=True, timeout=120)
        done = subprocess.run(
            [*tmux, "capture-pane", "-p", "-S", "-"], env=environment, check=True, capture_output=True, text=True
        )
    finally:
        subprocess.run([*tmux, "kill-server"], env=environment, check=False, capture_output=True)
    return _settled(done.stdout)


def _settled(text: str) -> str:
    for pattern, instead in DIFFERS:
        text = pattern.sub(instead, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def page(folder: Path) -> str:
    parts = [HEAD]
    for question, words in COMMANDS.items():
        parts.append(f"## {question}\n")
        for columns in WIDTHS:
            parts.append(
                f"`{' '.join(words)}`, {columns} columns:\n\n```text\n{captured(folder, columns, *words)}\n```\n"
            )
    return "\n".join(parts)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PAGE.write_text(page(recorded_run(Path(temporary)).parent), "utf-8")
