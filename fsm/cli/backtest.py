"""Runs the engine over recorded candles and prints what would have come of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
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
@click.option("--every-candle", is_flag=True, help="ask the engine at every candle; same journal, slower")
@click.option("--native", is_flag=True, help="use the exchange's own 4h and 1d candles")
def backtest(
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    report: Path | None,
    every_candle: bool,
    native: bool,
) -> None:
    """Run the engine over recorded candles. With --db the whole journal is kept, for audit, why and replay."""
    from fsm.backtest.run import Request, run_backtest

    options = current()
    inputs = read_inputs(options, needs_keys=False)
    for wanted in filter(None, (report, options.db)):
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
        db=options.db,
        every_candle=every_candle,
        native=native,
    )
    with reporting(json=options.json) as progress:
        result = run_backtest(request, progress=progress)
    if report is not None:
        _write_report(result, report)
    if options.json:
        output.document(result.to_json())
    else:
        print_summary(result.to_json())
        _print_where(options.db, report)


def _write_report(result: Result, path: Path) -> None:
    from fsm.backtest.report import write_report

    write_report(result, path)


def _print_where(database: Path | None, report: Path | None) -> None:
    if report is not None:
        output.line()
        output.line(f"The report is in {report}.")
    if database is not None:
        print_next_steps(database)
        return
    output.line()
    output.paragraph("The journal was not kept. With --db OUT.sqlite it is, and audit, why and replay work on it.")
