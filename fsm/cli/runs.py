"""Lists the runs that were kept under names, and shows one: its figures, its report, or all of it in the dashboard."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.inputs import require_writable
from fsm.cli.invocation import invocation
from fsm.cli.names import a_run
from fsm.cli.options import command, current
from fsm.cli.summary import amount, print_summary, ratio

if TYPE_CHECKING:
    from fsm.backtest.runs import NamedRun

COLUMNS = ("run", "made (UTC)", "trades", "net PnL", "return", "drawdown", "profit factor", "from", "to", "rules")
RIGHT = ("trades", "net PnL", "return", "drawdown", "profit factor")


@command()
def runs() -> None:
    """List the backtests that were kept with --name, the newest first."""
    from fsm.backtest.runs import RUNS, named_runs

    found = named_runs()
    if current().json:
        output.document({"folder": str(RUNS), "runs": [_document(run) for run in found]})
        return
    if not found:
        output.line(f"No run is kept in {RUNS} yet: `{invocation()} backtest --name NAME` keeps one.")
        return
    _print_fitting(found)
    for run in found:
        if run.problem:
            output.line(f"{run.name}: {run.problem}")


def _document(run: NamedRun) -> dict[str, object]:
    made = datetime.fromtimestamp(run.made_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "name": run.name,
        "database": str(run.path),
        "made": made,
        "finished": run.summary is not None,
        "problem": run.problem or None,
        "summary": run.summary,
    }


def _print_fitting(found: Iterable[NamedRun]) -> None:
    """The first columns, as many as the terminal has room for."""
    rows = [_cells(run) for run in found]
    widths = [max(len(name), *(len(row[index]) for row in rows)) for index, name in enumerate(COLUMNS)]
    count = 1
    while count < len(COLUMNS) and sum(widths[: count + 1]) + 2 * count <= output.width():
        count += 1
    output.table(COLUMNS[:count], [row[:count] for row in rows], right=RIGHT)


def _cells(run: NamedRun) -> tuple[str, ...]:
    made = datetime.fromtimestamp(run.made_s, tz=UTC).strftime("%Y-%m-%d %H:%M")
    if run.summary is None:
        return (run.name, made, "unfinished", *[""] * (len(COLUMNS) - 3))
    summary = run.summary
    return (
        run.name,
        made,
        f"{summary['trades']:,}",
        amount(summary["net_pnl_usdt"]),
        f"{summary['return_pct']:+.2f} %",
        f"{summary['max_drawdown_pct']:.2f} %",
        ratio(summary["profit_factor"]),
        summary["from"][:10],
        summary["to"][:10],
        summary["rules_hash"][:8],
    )


@command()
@click.argument("run", shell_complete=a_run)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="port of the dashboard (default: a free one)")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html", help="write its report, and end"
)
def show(run: str, port: int, report: Path | None) -> None:
    """Show a kept run in the dashboard, until Ctrl-C. RUN is a name that `runs` lists, or the file of a database.

    With --json its summary is printed instead.
    """
    from fsm.backtest.kept_run import NotARun, read_kept_run
    from fsm.backtest.runs import RunNameError, find_run
    from store.database import open_store

    try:
        path = find_run(run)
        with open_store(path, mode="read") as store:
            summary = read_kept_run(store).summary
    except RunNameError as error:
        raise CommandError(str(error)) from error
    except NotARun as error:
        raise CommandError(error.message, error.hint) from error
    if report is not None:
        _write(path, report, run)
    if current().json:
        output.document({"name": run, "database": str(path), "summary": summary})
    elif report is None:
        print_summary(summary)
        _serve(path, port)
    else:
        output.line(f"The report is in {report}.")


def _write(path: Path, report: Path, name: str) -> None:
    from fsm.backtest.report.page import write_report

    require_writable(report)
    write_report(path, report, name=name)


def _serve(path: Path, port: int) -> None:
    """In the dashboard, for this machine alone and without a token: what is over can be read, and not acted on."""
    from web.app import create_app
    from web.server import CannotServe, WebServer

    try:
        server = WebServer.on(create_app(path, token=None), host="127.0.0.1", port=port, token=None)
        ended = threading.Event()
        with suppress(ValueError):  # only a main thread may; elsewhere nobody sits at a terminal
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda *_: ended.set())
        with server:
            output.line()
            output.line(f"The dashboard is at {server.url}")
            output.line(f"Ctrl-C ends it. `{invocation()} replay {shlex.quote(str(path))}` decides it all again.")
            ended.wait()
    except CannotServe as error:
        raise CommandError(str(error), error.hint, exits=Exit.REFUSED, code="CANNOT_SERVE") from error
