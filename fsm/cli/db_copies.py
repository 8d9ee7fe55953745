"""`db backup --every`: goes on making verified copies until it is told to end."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType

import click

from fsm.cli import output
from fsm.cli.errors import CommandError


def go_on_copying(source: Path, folder: Path, *, every_ms: int, keep: int, json: bool) -> None:
    """The first copy at once, then one each ``every_ms``; Ctrl-C and SIGTERM end it between two copies.

    Nothing that goes wrong with one copy ends it: a disk that was full for an hour must not end the backups.
    """
    from store.copies import keep_copies
    from store.errors import StoreError

    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file", "with --every, name a folder for the copies")
    folder.mkdir(parents=True, exist_ok=True)
    ended = _end_at_signals()
    while not ended.is_set():
        begun = time.monotonic()
        try:
            kept = keep_copies(source, folder, keep=keep, at_ms=time.time_ns() // 1_000_000)
        except (StoreError, OSError) as error:
            _tell_failure(error, json=json)
        else:
            copies = {"backup": str(kept.copy), "bytes": kept.bytes, "removed": [str(path) for path in kept.removed]}
            if json:
                output.document(copies)
            else:
                gone = f"; removed {', '.join(path.name for path in kept.removed)}" if kept.removed else ""
                output.line(f"{kept.copy} ({kept.bytes / 1e6:.1f} MB), verified{gone}")
        ended.wait(max(0.0, every_ms / 1000 - (time.monotonic() - begun)))


def _tell_failure(error: Exception, *, json: bool) -> None:
    message, hint = getattr(error, "message", str(error)), getattr(error, "hint", "free disk space and check the disk")
    if json:
        output.document({"error": {"code": type(error).__name__, "message": message, "hint": hint}})
    click.echo(f"error: no copy this time: {message}", err=True)
    click.echo(f"hint: {hint}", err=True)


def _end_at_signals() -> threading.Event:
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        ended.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, end)
    return ended
