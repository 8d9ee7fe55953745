"""Shows that a daemon and a backtest do the same over the same candles, or where they differ."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options
from fsm.cli.errors import CommandError, Exit, VerificationFailed
from fsm.cli.inputs import named_symbols, read_inputs
from fsm.cli.options import command, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from fsm.proofs.parity.comparison import Compared, Difference
    from fsm.proofs.parity.explained import Explained
    from fsm.proofs.parity.run import Report

SHOWN_MAX = 20
"""Differences that are listed for a person; --json has all of them."""


@command()
@candle_options
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="when both begin; earlier candles warm up")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="end; a date means the end of that day")
@click.option("--no-stream", is_flag=True, help="the daemon hears nothing and finds every change by polling")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="keep both databases here"
)
@click.option("--left", type=click.Path(path_type=Path), metavar="A.sqlite", help="compare this database …")
@click.option("--right", type=click.Path(path_type=Path), metavar="B.sqlite", help="… with this one, and run nothing")
def parity(
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    no_stream: bool,
    keep: Path | None,
    left: Path | None,
    right: Path | None,
) -> None:
    """Run a daemon on a simulator (HTTP, WebSocket, stepped clock) and a backtest, and compare every transition.

    Symbol, trigger, states, reason, candle, prices and quantities must be the same. Exit code 4 if any differs.
    Each trade that differs comes with its cause, as far as both journals show it (A is the daemon or --left).
    Without --data the shipped candles are played.
    """
    if left is not None or right is not None:
        if left is None or right is None:
            raise click.UsageError("--left and --right go together")
        _compare(left, right, to_ms)
        return
    if from_ms is None or to_ms is None:
        raise click.UsageError("say when: --from DATE --to DATE")
    with TemporaryDirectory() as scratch:
        report = _run(data, symbols, (from_ms, to_ms), keep or Path(scratch), stream=not no_stream)
    if current().json:
        output.document(report)
    else:
        _print(report, keep)
    if report.differences:
        raise VerificationFailed


def _run(
    data: tuple[Path, ...], symbols: tuple[str, ...], span_ms: tuple[int, int], folder: Path, *, stream: bool
) -> Report:
    from exchange.sim.playback.symbols import shipped_folder
    from exchange.sim.server.launch import LaunchError
    from fsm.proofs.parity.run import Request, run_parity
    from fsm.proofs.parity.stepped import NotAnswered

    options = current()
    inputs = read_inputs(options, needs_keys=False)
    entry = inputs.rules.for_symbol("").entry_timeframe
    request = Request(
        config=inputs.config,
        rules=inputs.rules,
        data=data or (shipped_folder(),),
        symbols=tuple(sorted(symbols or named_symbols(inputs.config))),
        from_ms=entry.floor(span_ms[0]),
        to_ms=entry.floor(span_ms[1]),
        folder=folder,
        stream=stream,
    )
    try:
        with reporting(json=options.json, level="warning") as progress:
            return run_parity(request, progress=progress)
    except LaunchError as error:
        raise CommandError(
            str(error), "--from must lie inside the data of every symbol, and --symbols must be among them"
        ) from error
    except NotAnswered as error:
        raise CommandError(str(error), "the log says why", exits=Exit.VERIFICATION, code="NOT_ANSWERED") from error


def _compare(left: Path, right: Path, before_ms: int | None) -> None:
    from fsm.backtest.comparing.side import CannotCompare
    from fsm.proofs.parity.comparison import compare
    from fsm.proofs.parity.explained import explained
    from store.database import open_store

    with open_store(left, mode="read") as ours, open_store(right, mode="read") as theirs:
        compared, differences = compare(ours, theirs, before_ms=before_ms)
        try:
            trades = explained(ours, theirs, before_ms=before_ms)
        except CannotCompare as error:
            raise CommandError(str(error), error.hint) from error
    unexplained = sum(1 for found in trades if not found.is_explained)
    if current().json:
        told = {"compared": compared, "differences": differences, "trades": trades, "unexplained": unexplained}
        output.document(told)
    else:
        _print_differences(compared, differences, str(left), str(right))
        _print_causes(trades, unexplained)
    if differences:
        raise VerificationFailed


def _print(report: Report, keep: Path | None) -> None:
    how = "told by the stream" if report.stream else "by polling alone"
    seconds = ", ".join(f"{name} {spent:.0f} s" for name, spent in report.seconds.items())
    output.line(f"{', '.join(report.symbols)}: {report.hours:,} hours, {report.trades} trades, {how} ({seconds})")
    _print_differences(report.compared, report.differences, "daemon", "backtest")
    _print_causes(report.causes, sum(1 for found in report.causes if not found.is_explained))
    if keep is not None:
        output.line(f"The databases are {keep / 'daemon.sqlite'} and {keep / 'backtest.sqlite'}.")


def _print_differences(compared: int, differences: list[Difference], left: str, right: str) -> None:
    output.line(f"compared: {compared}, different: {len(differences)}")
    for found in differences[:SHOWN_MAX]:
        output.heading(f"{found.symbol}, transition {found.number}")
        output.pairs(((left, _row(found.left)), (right, _row(found.right))))
    if len(differences) > SHOWN_MAX:
        output.line(f"… and {len(differences) - SHOWN_MAX} more")


def _print_causes(trades: list[Explained], unexplained: int) -> None:
    if not trades:
        return
    output.heading(f"Why: {output.counted(len(trades), 'trade')}, {unexplained} unexplained")
    for found in trades[:SHOWN_MAX]:
        when = "" if found.candle_ms is None else f" {shown(found.candle_ms)}"
        output.line(f"{found.symbol}{when}: {found.cause}: {found.told}.")
    if len(trades) > SHOWN_MAX:
        output.line(f"… and {len(trades) - SHOWN_MAX} more; --json has all")


def _row(row: Compared | None) -> str:
    if row is None:
        return "nothing any more"
    prices = "/".join("-" if price is None else f"{price.normalize():f}" for price in row.prices)
    candle = "" if row.candle_ms is None else f", candle {shown(row.candle_ms)}, prices {prices}"
    amounts = "/".join(f"{amount.normalize():f}" for amount in row.quantities)
    quantities = f", quantities {amounts}" if amounts else ""
    return f"{row.source} → {row.dest} +{row.trigger} {row.reason}{candle}{quantities}"
