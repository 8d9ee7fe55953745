"""Runs the engine over recorded candles and prints what would have come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
from fsm.cli.errors import CommandError
from fsm.cli.inputs import read_inputs, require_writable
from fsm.cli.next_steps import print_next_steps
from fsm.cli.options import command, current
from fsm.cli.progress import reporting
from fsm.cli.summary import print_summary
from fsm.cli.times import Time

if TYPE_CHECKING:
    from fsm.backtest.result import Result


@command()
@candle_options
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="first candle to trade at; earlier ones warm up")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="end; a date means the end of that day")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html", help="write a report")
@click.option("--name", metavar="NAME", help="keep the run in var/runs under this name, for `runs` and `show`")
@click.option("--every-candle", is_flag=True, help="ask the engine at every candle; same journal, slower")
@click.option("--native", is_flag=True, help="use the exchange's own 4h and 1d candles")
def backtest(
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    report: Path | None,
    name: str | None,
    every_candle: bool,
    native: bool,
) -> None:
    """Run the engine over recorded candles. With --name or --db the journal is kept, for show, why and replay."""
    from fsm.backtest.run import Request, run_backtest

    options = current()
    inputs = read_inputs(options, needs_keys=False)
    kept = options.db if name is None else _named(name, options.db)
    for wanted in filter(None, (report, kept)):
        require_writable(wanted)
    folders, instead = chosen(data)
    request = Request(
        config=inputs.config,
        rules=inputs.rules,
        data=folders,
        instead=instead,
        symbols=symbols,
        from_ms=from_ms,
        to_ms=to_ms,
        every_candle=every_candle,
        native=native,
    )
    told = reporting(json=options.json, logs=False)
    with _database(kept, report, is_named=name is not None) as database, told as progress:
        result = run_backtest(replace(request, db=database), progress=progress)
        if report is not None and database is not None:
            _write_report(result, database, report, name or "")
    if options.json:
        output.document(result.to_json())
    else:
        print_summary(result.to_json())
        _print_where(kept, report, name)


def _named(name: str, database: Path | None) -> Path:
    """Where a run of this name is kept, which must be free. Raises CommandError."""
    from fsm.backtest.runs import RunNameError, run_path

    if database is not None:
        raise CommandError("--name and --db both say where the run is kept", "give one of them")
    try:
        path = run_path(name)
    except RunNameError as error:
        raise CommandError(str(error)) from error
    if path.exists():
        raise CommandError(f"a run called {name} is kept already", f"give another name, or remove {path}")
    return path


@contextmanager
def _database(wanted: Path | None, report: Path | None, *, is_named: bool) -> Iterator[Path | None]:
    """Where the journal is written. A report is made from it, so where nobody keeps it, it lies aside until then.

    A named run that does not end leaves nothing behind: its name is free again.
    """
    if wanted is not None:
        try:
            yield wanted
        except BaseException:
            if is_named:
                from fsm.backtest.runs import remove_run

                remove_run(wanted)
            raise
    elif report is None:
        yield None
    else:
        with TemporaryDirectory() as aside:
            yield Path(aside) / "backtest.sqlite"


def _write_report(result: Result, database: Path, path: Path, name: str) -> None:
    from fsm.backtest.report.page import write_report

    since = perf_counter()
    write_report(database, path, name=name)
    result.seconds["report"] = round(result.seconds.get("report", 0.0) + perf_counter() - since, 3)


def _print_where(database: Path | None, report: Path | None, name: str | None) -> None:
    if report is not None:
        output.line()
        output.line(f"The report is in {report}.")
    if database is None:
        output.line()
        output.line("The journal was not kept. With --name NAME it is, and show, audit, why and replay work on it.")
        return
    print_next_steps(database, name)
