"""Suggests what to look at in a database: command lines with its own ids, symbols and times, ready to be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from fsm.cli import output
from fsm.cli.invocation import invocation
from fsm.cli.times import typed


def print_next_steps(path: Path, name: str | None = None) -> None:
    """Print the commands, each with what it shows. ``name``: that of a kept run."""
    output.heading("What to look at next")
    output.to_paste([*_of_the_run(name), *_steps(path)])


def _of_the_run(name: str | None) -> Iterator[tuple[str, str]]:
    if name is not None:
        yield f"{invocation()} show {name}", "the run in the dashboard"
        yield f"{invocation()} show {name} --report {name}.html", "its report, as one page"
        yield f"{invocation()} runs", "every run that is kept"


def _steps(path: Path) -> Iterator[tuple[str, str]]:
    from store import queries
    from store.database import open_store

    call, file = invocation(), shlex.quote(str(path))
    with open_store(path, mode="read") as store:
        signals = queries.transitions(store, queries.TransitionFilter(trigger="signal"), limit=1).rows
        decisions = queries.latest_decisions(store)
    yield f"{call} trades --db {file}", "every trade with its result"
    yield f"{call} audit --limit 20 --db {file}", "the newest transitions"
    for signal in signals:
        yield f"{call} audit --trade {signal.trade_id} --db {file}", "the life of the last trade"
        yield f"{call} audit show {signal.id} --db {file}", "everything behind its signal"
        yield f"{call} why {signal.symbol} --at {typed(signal.at_ms)} --db {file}", "why it traded then"
    for decision in decisions[:1]:
        yield f"{call} why {decision.symbol} --db {file}", "why it does what it does now"
    yield f"{call} audit verify --db {file}", "that nothing in the journal was changed"
    yield f"{call} replay {file}", "that every decision comes out the same again"
