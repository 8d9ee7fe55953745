"""Kills the bot at every call of a trade's life, starts it again, and says what did not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.options import command, current

if TYPE_CHECKING:
    from fsm.lab.crashsweep import Report

STORIES_SHOWN = 5


@command()
@click.option("--script", "scripts", multiple=True, metavar="NAME", help="only this script; may be repeated")
@click.option("--sample", type=click.IntRange(1), help="so many of the single deaths, chosen by seed (default: all)")
@click.option("--doubles", type=click.IntRange(0), default=200, help="deaths followed by another one (default 200)")
@click.option("--seed", type=click.IntRange(0), default=1, help="chooses samples and double deaths")
@click.option("--case", "one", metavar="CASE", help="play only this case, as a violation names it")
@click.option("--variant", metavar="NAME", help="sweep this deliberately broken bot instead")
@click.option("--variants", "listed", is_flag=True, help="list the broken bots")
@click.option("--scripts", "scripts_listed", is_flag=True, help="list the scripts")
def crashsweep(
    scripts: tuple[str, ...],
    sample: int | None,
    doubles: int,
    seed: int,
    one: str | None,
    variant: str | None,
    listed: bool,
    scripts_listed: bool,
) -> None:
    """Die at every call on both sides, start again, and check; exit 4 where something that must hold does not."""
    from fsm.lab.crash_scripts import SCRIPTS

    if listed or scripts_listed:
        _list(variants=listed)
        return
    for name in scripts:
        if name not in SCRIPTS:
            raise CommandError(f"there is no script {name!r}", "`crashsweep --scripts` lists them")
    report = _swept(scripts or tuple(SCRIPTS), sample=sample, doubles=doubles, seed=seed, one=one, variant=variant)
    if current().json:
        output.document(report)
    else:
        _print(report)
    if report.violations:
        raise VerificationFailed


def _swept(
    scripts: tuple[str, ...], *, sample: int | None, doubles: int, seed: int, one: str | None, variant: str | None
) -> Report:
    from fsm.cli.progress import reporting
    from fsm.lab.crash_variants import VARIANTS, broken
    from fsm.lab.crashsweep import Case, sweep, sweep_one

    if variant is not None and variant not in VARIANTS:
        raise CommandError(f"there is no variant {variant!r}", "`crashsweep --variants` lists them")
    with broken(VARIANTS[variant] if variant else None):
        if one is not None:
            try:
                case = Case.parse(one)
            except ValueError as error:
                raise CommandError(str(error), "copy the case from a violation") from error
            return sweep_one(case)
        with reporting(json=current().json) as on_progress:
            return sweep(scripts=scripts, sample=sample, doubles=doubles, seed=seed, on_progress=on_progress)


def _list(*, variants: bool) -> None:
    from fsm.lab.crash_scripts import SCRIPTS
    from fsm.lab.crash_variants import VARIANTS

    named = {name: v.fault for name, v in VARIANTS.items()} if variants else {n: s.about for n, s in SCRIPTS.items()}
    if current().json:
        output.document({"variants" if variants else "scripts": named})
    else:
        output.table(("variant", "what is wrong with it") if variants else ("script", "what happens"), named.items())


def _print(report: Report) -> None:
    output.pairs(
        (
            ("cases", f"{report.cases:,}"),
            ("calls that can be died at", f"{report.points:,}, in all {report.possible:,} single deaths"),
            ("deaths", f"{report.deaths:,}"),
            ("cases with a missed entry", f"{report.missed_entries:,}"),
            ("seed", report.seed),
            ("seconds", f"{report.seconds:.1f}"),
            ("violations", len(report.violations)),
        )
    )
    for violation in report.violations[:STORIES_SHOWN]:
        output.heading(f"{violation.claim}: {violation.found}")
        output.line(violation.means)
        output.line()
        for line in violation.story:
            output.line(line)
        output.line()
        output.line(violation.reproduce)
