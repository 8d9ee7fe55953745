"""Asks commands of ours about the running bot's database, each in a process of its own with the lowest priority.

What takes seconds of computing must not take them from the loop that trades.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

LASTS_S_MAX = 900.0
"""A year of five symbols is compared within a minute; what takes longer is given up."""

LOWEST_PRIORITY = 19
ANSWERED = (0, 4)
"""Codes with which a command ends that has an answer: fine, and something is not as it should be."""

NOT_ITS_BUSINESS = ("BINANCE_", "TG_", "SIM_", "PAPER_", "DASHBOARD_", "PING_", "ALERT_", "ESCALATION_")

Ask = Callable[[Sequence[str]], Awaitable[Any]]
"""Takes a command line and gives its JSON document. Raises NoAnswer."""


def give_way(pid: int) -> None:
    """The lowest priority for a process that leads a session. Linux may share processors between sessions first (its
    autogroups), and then what a session's processes have counts among themselves alone: so the session gets it too."""
    with suppress(OSError):  # it has ended already, or this system has no priorities
        os.setpriority(os.PRIO_PROCESS, pid, LOWEST_PRIORITY)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(LOWEST_PRIORITY), "ascii")


class NoAnswer(Exception):
    """A command of ours ended without one; the message has its own words."""


class OwnCommands:
    """Commands on one database."""

    def __init__(self, db: Path) -> None:
        self._db = db

    async def ask(self, args: Sequence[str]) -> Any:
        """The JSON document of ``fsm ARGS --json``. Raises NoAnswer."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fsm", *args, "--json", "--db", str(self._db),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={name: text for name, text in os.environ.items() if not name.startswith(NOT_ITS_BUSINESS)},
            start_new_session=True,
        )  # fmt: skip
        give_way(process.pid)
        try:
            async with asyncio.timeout(LASTS_S_MAX):
                answer, complaint = await process.communicate()
        except TimeoutError as error:
            raise NoAnswer(f"`{' '.join(args)}` took longer than {LASTS_S_MAX:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()  # the loop may be closed next, and whoever waits for the process wants it open
        if process.returncode not in ANSWERED:
            told = complaint.decode(errors="replace").strip().splitlines()
            raise NoAnswer(f"`{' '.join(args)}` ended with {process.returncode}: {told[-1] if told else 'no word'}")
        try:
            return msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            raise NoAnswer(f"`{' '.join(args)}` answered no JSON document: {error}") from error
