"""Shows how far long work has got, on stderr: bars on a terminal, a log line for each finished phase elsewhere."""

from __future__ import annotations

import json as json_form
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fsm.cli.logs import configure_logs, pass_on_logs

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Report = Callable[[str, int, int], None]
"""Takes the phase, how much of it is done, and how much there is (0: nobody knows)."""


@contextmanager
def reporting(*, json: bool, level: str | None = None, logs: bool = True) -> Iterator[Report]:
    """What to tell the progress of a piece of work. Bars go only where a person sees them.

    ``level`` is for what the work itself logs, such as ``warning`` where a whole bot is part of it; without ``logs`` it
    logs nothing, and what makes logs is loaded only if a library does.
    """
    if logs:
        configure_logs(json=json, level=level)
    else:
        pass_on_logs(json=json)
    if json or not sys.stderr.isatty():
        yield _logged()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _drawn(bars)


def _drawn(bars: Progress) -> Report:
    tasks: dict[str, TaskID] = {}

    def report(phase: str, done: int, total: int) -> None:
        if phase not in tasks:
            tasks[phase] = bars.add_task(phase, total=total or None)
        bars.update(tasks[phase], completed=done, total=total or None)

    return report


def _logged() -> Report:
    finished: set[str] = set()

    def report(phase: str, done: int, total: int) -> None:
        if 0 < total <= done and phase not in finished:
            finished.add(phase)
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            told = {"reason": "PHASE", "phase": phase, "steps": total, "event": "phase_finished", "level": "info"}
            click.echo(json_form.dumps({**told, "timestamp": now}), err=True)

    return report
