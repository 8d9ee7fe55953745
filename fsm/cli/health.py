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
CLOCK_SET_MS = 5_000
"""A sign from further in the future was left before this machine's clock was set back."""
LOOK_S_MAX = 120.0
"""Positions are looked at every few seconds; an exchange that does not answer for so long is told as well."""
_ASK_DOCTOR = "does the exchange answer? `doctor` says"
GRACE_S = 25.0
"""Time to end by itself, longer than a bot takes that can (its grace period in docker-compose.yml is 30 s)."""


class Fault(NamedTuple):
    """Why it does not protect: ``lasting_s`` is for how long, where that is known and a new start may mend it."""

    code: str
    message: str
    hint: str
    lasting_s: float | None = None


def fault(path: Path, *, now_ms: int) -> Fault | None:
    """The first reason why nobody can rely on the bot of this database; None when it protects."""
    return next(_faults(path, now_ms), None)


def require_alive(path: Path) -> None:
    """Raises CommandError with exit 3 unless it runs and leaves its pulse."""
    lifeless = ("NOT_RUNNING", "NO_PULSE", "STARTING")
    found = next((each for each in _faults(path, _now_ms()) if each.code in lifeless), None)
    if found is not None:
        raise CommandError(found.message, found.hint, exits=Exit.REFUSED, code=found.code)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _faults(path: Path, now_ms: int) -> Iterator[Fault]:
    from store import queries
    from store.database import open_store
    from store.lock import holder, touched_ms
    from web import documents

    with open_store(path, mode="read") as store:
        health, held = documents.health(store), queries.positions(store)
    if holder(path) is None:
        yield Fault("NOT_RUNNING", f"no bot runs on {path}", "start one with `run`")
    pulse_ms, touched = health.wall_ms, touched_ms(path) or 0
    # A start touches its lock until it is over. The pulse is then that of the bot before, or there is none.
    started_ms = touched if touched <= now_ms + CLOCK_SET_MS else 0
    lasting_s = (now_ms - max(started_ms, pulse_ms or 0)) / 1000
    said = "it has never left a pulse" if pulse_ms is None else f"its last pulse {(now_ms - pulse_ms) / 1000:.0f} s ago"
    if lasting_s > PULSE_S_MAX:
        hint = "stops and targets rest at the exchange; look into its log, and restart it"
        yield Fault("NO_PULSE", f"the bot on {path} gives no sign of life: {said}", hint, lasting_s)
    elif started_ms > (pulse_ms or 0):
        hint = "it waits for the exchange, or reads candles: its log says how far"
        yield Fault("STARTING", f"the bot on {path} is starting, and manages nothing yet: {said}", hint)
        return
    is_answered = health.equity_age_ms is not None and health.equity_age_ms / 1000 <= LOOK_S_MAX
    for position in held:
        seen = health.stops.get(position.symbol)
        look_s = None if seen is None else (now_ms - seen.verified_wall_ms) / 1000
        # An exchange that answers nothing is no reason to begin again: a start needs the same answers.
        hangs = look_s if is_answered else None
        if position.protected_ms is None:
            said = f"{position.symbol} has no confirmed stop"
            yield Fault("NO_STOP", said, "the bot closes it after the deadline; if not, close it by hand", hangs)
        elif look_s is None:
            yield Fault("STOP_NOT_SEEN", f"the stop of {position.symbol} was never read back", _ASK_DOCTOR)
        elif look_s > LOOK_S_MAX:
            said = f"the stop of {position.symbol} was last read back {look_s:.0f} s ago"
            yield Fault("STOP_NOT_SEEN", said, _ASK_DOCTOR, hangs)


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
