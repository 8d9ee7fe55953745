"""Checks that rules decide without the future: everything is decided again on candles that end earlier."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
from fsm.cli.errors import VerificationFailed
from fsm.cli.inputs import read_inputs
from fsm.cli.options import command, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from fsm.backtest.lookahead import Looked

SHOWN_MAX = 30


@command()
@candle_options
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="first candle to trade at; earlier ones warm up")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="end; a date means the end of that day")
@click.option("--native", is_flag=True, help="use the exchange's own 4h and 1d candles")
@click.option(
    "--cuts", type=click.IntRange(0), default=200, help="decisions computed again for each symbol (default 200)"
)
@click.option("--runs", type=click.IntRange(0), default=4, help="backtests that end earlier (default 4)")
def lookahead(
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    native: bool,
    cuts: int,
    runs: int,
) -> None:
    """Decide everything again without the future, and say what comes out otherwise. Exit 4 where anything does.

    Every candle is fed as it closed, as to a running bot; columns are computed again up to decisions, and whole
    backtests run again on candles that end earlier.
    """
    from fsm.backtest.ground import Request, read_ground
    from fsm.backtest.lookahead import look

    options, since = current(), perf_counter()
    inputs = read_inputs(options, needs_keys=False)
    folders, instead = chosen(data)
    request = Request(
        config=inputs.config,
        rules=inputs.rules,
        data=folders,
        instead=instead,
        symbols=symbols,
        from_ms=from_ms,
        to_ms=to_ms,
        native=native,
    )
    with reporting(json=options.json, logs=False) as progress:
        found = look(request, read_ground(request), progress, cuts=cuts, runs=runs)
    if options.json:
        output.document(
            {
                "candles": found.candles,
                "facts": found.facts,
                "cuts": found.cuts,
                "runs": found.runs,
                "peeks": found.peeks,
                "seconds": round(perf_counter() - since, 3),
            }
        )
    else:
        _print(found)
    if found.peeks:
        raise VerificationFailed


def _print(found: Looked) -> None:
    output.line(
        f"{found.candles:,} candles were decided on one by one ({found.facts:,} facts), columns computed again at "
        f"{found.cuts:,} decisions, and {output.counted(found.runs, 'backtest')} run on candles that end earlier."
    )
    if not found.peeks:
        output.line("Nothing comes out otherwise: no look ahead.")
        return
    output.heading("What comes out otherwise without the future: it must not be traded")
    columns = ("candle (UTC)", "symbol", "what", "with the future", "without", "found")
    rows = [
        (shown(each.candle_ms), each.symbol, each.what, each.with_future, each.without, each.look)
        for each in found.peeks[:SHOWN_MAX]
    ]
    output.table(columns, rows)
    if len(found.peeks) > SHOWN_MAX:
        output.line(f"… and {len(found.peeks) - SHOWN_MAX} more; --json has all")
