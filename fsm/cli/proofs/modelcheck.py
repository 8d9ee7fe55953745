"""Explores the engine's states and says how many were tried and what was wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.options import command, current

if TYPE_CHECKING:
    from fsm.proofs.modelcheck.search import Report

DEPTH_MAX = 12
"""Each step deeper takes some seven times as long."""


@command()
@click.option("--depth", type=click.IntRange(1, DEPTH_MAX), help="choices from each starting point (default 4)")
@click.option("--variant", metavar="NAME", help="check this deliberately broken engine instead")
@click.option("--variants", "listed", is_flag=True, help="list the broken engines")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write the result into this page of docs")
def modelcheck(depth: int | None, variant: str | None, listed: bool, page: Path | None) -> None:
    """Explore the engine exhaustively on an abstract exchange; exit 4 where something that must hold does not."""
    from fsm.proofs.modelcheck.search import DEPTH_DEFAULT, check_variant
    from fsm.proofs.testkit.broken_engines import VARIANTS

    if listed:
        _list_variants()
        return
    if variant is not None and variant not in VARIANTS:
        raise CommandError(f"there is no variant {variant!r}", "`modelcheck --variants` lists them")
    report = check_variant(VARIANTS[variant] if variant else None, depth or DEPTH_DEFAULT)
    if page is not None and variant is None:
        from fsm.proofs.modelcheck.page import write_page
        from fsm.proofs.overview import write_overview

        write_page(page, report)
        write_overview(page)
    if current().json:
        output.document(report)
    else:
        _print(report)
    if report.violations:
        raise VerificationFailed


def _list_variants() -> None:
    from fsm.proofs.testkit.broken_engines import VARIANTS

    if current().json:
        output.document({"variants": {name: variant.fault for name, variant in VARIANTS.items()}})
    else:
        output.table(("variant", "what is wrong with it"), [(v.name, v.fault) for v in VARIANTS.values()])


def _print(report: Report) -> None:
    output.pairs(
        (
            ("states", f"{report.states:,}"),
            ("transitions", f"{report.transitions:,}"),
            ("steps to rest", f"{report.fair_steps:,}"),
            ("kinds of journal rows", report.rows),
            ("depth", f"{report.depth} choices, from {len(report.by_root)} starting points"),
            ("seconds", f"{report.seconds:.1f} ({report.cpu_seconds:.1f} of a processor)"),
            ("violations", len(report.violations)),
        )
    )
    for story in report.violations:
        output.heading(f"{story.claim}: {story.found}")
        output.line(story.means)
        output.line()
        for line in story.lines:
            output.line(line)
