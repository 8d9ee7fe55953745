"""`worker`: does what the dashboard asks for that takes long, in a process of its own that knows no key."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import click

from fsm.cli import output
from fsm.cli.candle_options import chosen, data_option
from fsm.cli.options import command, current

if TYPE_CHECKING:
    from store.inbox import Inbox
    from store.views import CommandRow

POLL_S = 1.0
LOWEST_PRIORITY = 19
WHY_MAX = 500


@command()
@click.option("--once", is_flag=True, help="do what waits, and end")
@data_option
def worker(once: bool, data: tuple[Path, ...]) -> None:
    """Do the jobs that the dashboard starts (web.jobs in config.yaml): backtests, searches, what rules would have done.

    It reads the database, needs no key of the exchange, and never trades. What it makes is kept in runs/ and studies/
    beside the database. Ctrl-C ends it; what it was doing is begun again by the next one.
    """
    from store.database import open_store
    from store.inbox import Inbox

    with suppress(OSError):  # some systems have no priorities
        os.nice(LOWEST_PRIORITY)
    db = current().database_path()
    folders, instead = chosen(data)
    done = 0
    with suppress(KeyboardInterrupt):
        while True:
            with open_store(db, mode="post") as store:
                job = Inbox(store).take_job(time.time_ns() // 1_000_000)
                if job is not None:
                    _do(Inbox(store), job, db, folders, instead)
                    done += 1
                    continue
            if once:
                break
            time.sleep(POLL_S)
    if current().json:
        output.document({"done": done})
    else:
        output.line(f"{output.counted(done, 'job')} done")


def _do(inbox: Inbox, job: CommandRow, db: Path, folders: tuple[Path, ...], instead: tuple[Path, ...]) -> None:
    from fsm.backtest.what_if import WhatIfError
    from fsm.journal.engine_journal import to_json
    from fsm.optimise.jobs import JobError, carried_out_job
    from rules.load import SourceError
    from store.jobs import BACKTEST, STUDY, read_job
    from store.rules_edits import WHAT_IF

    try:
        if job.kind.startswith(f"{WHAT_IF} "):
            found = _what_if(job, db, (*folders, *instead))
        elif job.kind.startswith((f"{BACKTEST} ", f"{STUDY} ")):
            found = to_json(carried_out_job(db, read_job(job.kind), folders, instead))
        else:
            raise JobError(f"no worker of this release does {job.kind[:40]!r}")
    except (WhatIfError, JobError, SourceError, ValueError, IndexError) as error:
        _finish(inbox, job, "refused", str(error)[:WHY_MAX])
    else:
        _finish(inbox, job, "done", found)


def _what_if(job: CommandRow, db: Path, folders: tuple[Path, ...]) -> str:
    from fsm.backtest.what_if import what_if
    from fsm.journal.engine_journal import to_json
    from rules.load import parse_rules
    from store.rules_edits import text_in

    rules = parse_rules(text_in(job.kind.split(" ")[3]), "the rules")
    with TemporaryDirectory() as scratch:
        return to_json(what_if(db, rules, folders, Path(scratch)))


def _finish(inbox: Inbox, job: CommandRow, state: Literal["done", "refused"], detail: str) -> None:
    guard = "JOB" if state == "refused" else None
    inbox.finish(job.id, state, guard=guard, detail=detail, at_ms=time.time_ns() // 1_000_000)
    output.line(f"job {job.id}: {state}")
