"""Measures how long positions can be without a stop, fault by fault, and says whether each bound held."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.options import command, current

if TYPE_CHECKING:
    from fsm.proofs.naked.measure import Result, Summary

POSITIONS = 1_000


@command()
@click.option("--positions", type=click.IntRange(1), default=POSITIONS, help=f"of each row (default {POSITIONS:,})")
@click.option("--only", "only", multiple=True, metavar="ROW", help="only this row; may be repeated")
@click.option("--seed", type=click.IntRange(0), default=1, help="chooses when what strikes (default 1)")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="processes (default 1)")
@click.option("--variant", metavar="NAME", help="measure this deliberately broken bot, on the row that catches it")
@click.option("--list", "listed", is_flag=True, help="list the rows")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write the result into this page of docs")
def naked(
    positions: int, only: tuple[str, ...], seed: int, jobs: int, variant: str | None, listed: bool, page: Path | None
) -> None:
    """Open thousands of positions, let each fault of the menu strike, and measure the time without a stop at the
    exchange itself; exit 4 where it was longer than it may be.
    """
    from fsm.proofs.naked.broken_bots import VARIANTS
    from fsm.proofs.naked.fault_catalog import ROWS
    from fsm.proofs.naked.measure import MeasureOrder, measure

    names = tuple(row.name for row in ROWS)
    if variant is not None and variant not in VARIANTS:
        raise CommandError(f"there is no variant {variant!r}", "`naked --list` names them")
    if listed:
        output.table(("row", "what goes wrong"), [(row.name, row.says) for row in ROWS])
        output.table(
            ("broken bot", "what is wrong with it", "caught by"),
            [(name, caught.variant.fault, caught.row) for name, caught in VARIANTS.items()],
        )
        return
    unknown = [name for name in only if name not in names]
    if unknown:
        raise CommandError(f"there is no row {unknown[0]!r}", "`naked --list` names them")
    order = MeasureOrder(
        positions=positions,
        rows=only or ((VARIANTS[variant].row,) if variant else names),
        seed=seed,
        jobs=jobs,
        variant=variant,
    )
    as_json = current().json
    summary = measure(order, lambda result, done: _tell(result, as_json=as_json))
    if page is not None and variant is None:
        from fsm.proofs.naked.page import write_page

        write_page(page, order, summary)
    if as_json:
        output.document(summary)
    else:
        _print(summary)
    if summary.violations:
        raise VerificationFailed


def _tell(result: Result, *, as_json: bool) -> None:
    """One line a row: on stderr where stdout is for a machine."""
    speed = result.simulated_seconds / max(result.cpu_seconds, 0.001)
    line = (
        f"{result.row:22} {result.positions:6,} positions  worst {result.worst_ms / 1000:7.2f} s  "
        f"p99 {result.p99_ms / 1000:7.2f} s  {result.protected:,} protected  {result.closed:,} closed  "
        f"struck {result.struck_naked:,} naked, {result.struck_covered:,} not  "
        f"{result.cpu_seconds:.1f} s ({speed:,.0f}×)  {'; '.join(result.violations) or 'held'}"
    )
    if as_json or sys.stderr.isatty():
        click.echo(line, err=True)
    else:
        output.line(line)


def _print(summary: Summary) -> None:
    output.pairs(
        (
            ("rows", f"{len(summary.rows):,}"),
            ("positions", f"{summary.cases:,}"),
            ("seconds", f"{summary.seconds:.0f}"),
            ("over their bounds", f"{sum(bool(row.violations) for row in summary.rows)} rows"),
        )
    )
    for text in summary.violations:
        output.line(text)
