"""Whether the bot protects what is open, judged from outside, and ends one that has not for too long.

For whoever starts it again: a container's health check, a timer of the service manager. A bot that hangs cannot say so
itself; positions keep their stops at the exchange, and a start looks after them before anything else.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fsm.cli.errors import CommandError, Exit

PULSE_S_MAX = 60.0
"""A running bot leaves a pulse every second of real time; so long without one is no busy moment."""
LOOK_S_MAX = 120.0
"""Positions are looked at every few seconds; an exchange that does not answer for so long is told as well."""
GRACE_S = 25.0
"""Time to end by itself, longer than a bot takes that can (its grace period in docker-compose.yml is 30 s)."""


class Fault(NamedTuple):
    """Why it does not protect: ``lasting_s`` since when, where that is known and a new start may mend it."""

    code: str
    message: str
    hint: str
    lasting_s: float | None = None


def fault(path: Path, *, now_ms: int) -> Fault | None:
    """The first reason why nobody can rely on the bot of this database; None when it protects."""
    return next(_faults(path, now_ms), None)


def require_alive(path: Path) -> None:
    """Raises CommandError with exit 3 unless it runs and leaves its pulse."""
    found = next((each for each in _faults(path, _now_ms()) if each.code in ("NOT_RUNNING", "NO_PULSE")), None)
    if found is not None:
        raise CommandError(found.message, found.hint, exits=Exit.REFUSED, code=found.code)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _faults(path: Path, now_ms: int) -> Iterator[Fault]:
    from store import queries
    from store.database import open_store
    from store.lock import holder
    from web import documents

    with open_store(path, mode="read") as store:
        health, held = documents.health(store), queries.positions(store)
    if holder(path) is None:
        yield Fault("NOT_RUNNING", f"no bot runs on {path}", "start one with `run`")
    if health.wall_ms is None:
        yield Fault("NO_PULSE", f"the bot on {path} has never left a pulse", "it is starting; its log says how far")
        return
    pulse_s = (now_ms - health.wall_ms) / 1000
    if pulse_s > PULSE_S_MAX:
        said = f"the bot on {path} left its last pulse {pulse_s:.0f} s ago"
        yield Fault(
            "NO_PULSE", said, "stops and targets rest at the exchange; look into its log, and restart it", pulse_s
        )
    for position in held:
        seen = health.stops.get(position.symbol)
        look_s = None if seen is None else (now_ms - seen.verified_wall_ms) / 1000
        if position.protected_ms is None:
            said = f"{position.symbol} has no confirmed stop"
            yield Fault("NO_STOP", said, "the bot closes it after the deadline; if not, close it by hand", look_s)
        elif look_s is not None and look_s > LOOK_S_MAX:
            said = f"the stop of {position.symbol} was last read back {look_s:.0f} s ago"
            yield Fault("STOP_NOT_SEEN", said, "does the exchange answer? `doctor` says", look_s)


def require_protecting(path: Path, *, end_after_s: float | None) -> None:
    """Raises CommandError with exit 3 unless it protects; ends it where it has not for ``end_after_s``."""
    found = fault(path, now_ms=_now_ms())
    if found is None:
        return
    told = ""
    if end_after_s is not None and found.lasting_s is not None and found.lasting_s > end_after_s:
        told = _end(path)
    raise CommandError(found.message + told, found.hint, exits=Exit.REFUSED, code=found.code)


def _end(path: Path) -> str:
    """Ask it to end, then end it: the lock says which process it is, and that it still is."""
    from store.lock import holder

    pid = holder(path)
    if not pid:
        return ""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until, waiting = time.monotonic() + GRACE_S, threading.Event()
    while holder(path) == pid and time.monotonic() < until:
        waiting.wait(0.2)
    if holder(path) != pid:
        return f"; process {pid} was ended"
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return f"; process {pid} did not end and was killed"
