"""Kills the bot at every call of a trade's life, or the real process again and again, and says what did not hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from fsm.cli import output
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.options import command, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time

if TYPE_CHECKING:
    from fsm.proofs.crashsweep.kill_loop import KillReport
    from fsm.proofs.crashsweep.sweep import Report

STORIES_SHOWN = 5
DOUBLES_DEFAULT, SINGLES_FOR_ONE = 200, 5
"""So many deaths are followed by another where every single one is played; of a sample, one for so many."""

A_DAY = ("first-start", "day")
"""Scripts whose commits find the disk full."""

FROM_MS = int(datetime(2024, 9, 1, 0, 30, tzinfo=UTC).timestamp() * 1000)
"""The shipped candles begin in January 2024; the slowest indicators have warmed up by the end of July."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    scripts: tuple[str, ...]
    where: str
    sample: int | None
    doubles: int | None
    seed: int
    case: str | None
    variant: str | None
    client: str
    full_disk: bool

    def doubles_played(self) -> int:
        """A small sample stays small, and a full disk is no death."""
        if self.full_disk:
            return 0
        if self.doubles is not None:
            return self.doubles
        return DOUBLES_DEFAULT if self.sample is None else min(DOUBLES_DEFAULT, self.sample // SINGLES_FOR_ONE)


@command()
@click.option("--script", "scripts", multiple=True, metavar="NAME", help="only this script; may be repeated")
@click.option("--where", default="", metavar="TEXT", help="only deaths at calls with this in their name")
@click.option("--sample", type=click.IntRange(1), help="so many of the single deaths, chosen by seed (default: all)")
@click.option(
    "--doubles", type=click.IntRange(0), help="deaths followed by another (default: 200, of a sample a fifth of it)"
)
@click.option("--seed", type=click.IntRange(0), default=1, help="chooses samples, double deaths and kills")
@click.option("--full-disk", is_flag=True, help="instead of deaths: a full disk at every commit of a whole day")
@click.option("--case", metavar="CASE", help="play only this case, as a violation names it")
@click.option("--variant", metavar="NAME", help="sweep this deliberately broken bot instead")
@click.option(
    "--client",
    type=click.Choice(("port", "real")),
    default="port",
    help="what the bot speaks through: the port (default), or the real client before the emulator's own routes",
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write the result into this page of docs")
@click.option("--list", "listed", is_flag=True, help="list the scripts and the broken bots")
@click.option("--real", "processes", is_flag=True, help="kill -9 the real process instead, over recorded candles")
@click.option("--kills", type=click.IntRange(1), default=200, help="with --real: how many (default 200)")
@click.option("--days", type=click.IntRange(1), default=91, help="with --real: simulated days (default 91)")
@click.option("--from", "from_ms", type=Time(), default=FROM_MS, help="with --real: begin here (default 2024-09-01)")
def crashsweep(
    processes: bool, kills: int, days: int, from_ms: int, page: Path | None, listed: bool, **wanted: object
) -> None:
    """Die at every call on both sides, start again, and check; exit 4 where something that must hold does not."""
    if listed:
        _list()
        return
    asked = msgspec.convert(wanted, Wanted)
    failed = _kills(_killed(kills, days, from_ms, asked.seed)) if processes else _sweep(_swept(asked), asked, page)
    if failed:
        raise VerificationFailed


def _kills(report: KillReport) -> bool:
    """Show it; True when something did not hold."""
    if current().json:
        output.document(report)
    else:
        _print_kills(msgspec.to_builtins(report))
    return bool(report.violations)


def _sweep(report: Report, wanted: Wanted, page: Path | None) -> bool:
    """Show it, and write it into the page of docs if there is one; True when something did not hold."""
    if page is not None:
        _write_page(page, report, wanted)
    if current().json:
        output.document(report)
    else:
        _print(report)
    return bool(report.violations)


def _swept(wanted: Wanted) -> Report:
    from fsm.proofs.crashsweep.broken_bots import VARIANTS, broken
    from fsm.proofs.crashsweep.scripts import ALL, SCRIPTS
    from fsm.proofs.crashsweep.sweep import Case, sweep, sweep_one

    unknown = [name for name in wanted.scripts if name not in ALL]
    unknown += [wanted.variant] if wanted.variant is not None and wanted.variant not in VARIANTS else []
    if unknown:
        raise CommandError(f"there is no {unknown[0]!r}", "`crashsweep --list` names the scripts and the broken bots")
    with broken(VARIANTS[wanted.variant] if wanted.variant else None):
        if wanted.case is not None:
            try:
                case = msgspec.structs.replace(Case.parse(wanted.case), client=wanted.client)
            except ValueError as error:
                raise CommandError(str(error), "copy the case from a violation") from error
            return sweep_one(case)
        with reporting(json=current().json) as on_progress:
            report = sweep(
                scripts=wanted.scripts or (A_DAY if wanted.full_disk else tuple(SCRIPTS)),
                where=wanted.where,
                sample=wanted.sample,
                doubles=wanted.doubles_played(),
                seed=wanted.seed,
                client=wanted.client,
                full_disk=wanted.full_disk,
                on_progress=on_progress,
            )
    if not report.possible:
        raise CommandError(
            f"nothing was proved: no call has {wanted.where!r} in its name",
            "leave --where out, or give a part of a method's name, as place_algo",
        )
    return report


def _killed(kills: int, days: int, from_ms: int, seed: int) -> KillReport:
    from fsm.cli.inputs import named_symbols, read_inputs
    from fsm.proofs.crashsweep.kill_loop import Plan, kill_loop

    options = current()
    config = read_inputs(options, needs_keys=False).config
    plan = Plan(
        config=options.config_path,
        rules=options.rules_path,
        symbols=named_symbols(config),
        start_ms=from_ms,
        days=days,
        kills=kills,
        seed=seed,
        balance=config.settings.simulation.balance_usdt,
    )
    with reporting(json=options.json) as progress:
        return kill_loop(plan, progress)


def _write_page(page: Path, report: Report, wanted: Wanted) -> None:
    from fsm.proofs.crashsweep.page import write_page
    from fsm.proofs.overview import write_overview

    sample = "" if wanted.sample is None else f" --sample {wanted.sample}"
    write_page(
        page, report, f"python -m fsm crashsweep{sample} --doubles {wanted.doubles_played()} --seed {wanted.seed}"
    )
    write_overview(page)


def _list() -> None:
    from fsm.proofs.crashsweep.broken_bots import VARIANTS
    from fsm.proofs.crashsweep.scripts import ALL

    scripts = {name: script.about for name, script in ALL.items()}
    variants = {name: variant.fault for name, variant in VARIANTS.items()}
    if current().json:
        output.document({"scripts": scripts, "variants": variants})
        return
    output.table(("script", "what happens in it"), list(scripts.items()))
    output.line()
    output.table(("variant", "what is wrong with it"), list(variants.items()))


def _print(report: Report) -> None:
    output.pairs(
        (
            ("cases", f"{report.cases:,}"),
            ("calls that can be died at", f"{report.points:,}, in all {report.possible:,} single deaths"),
            ("deaths", f"{report.deaths:,}"),
            ("cases with a missed entry", f"{report.missed_entries:,}"),
            ("seed", report.seed),
            ("seconds", f"{report.seconds:.1f}"),
            ("processor time of a case", f"{report.cpu_seconds / max(report.cases, 1):.2f} s"),
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
        output.verbatim(violation.reproduce)


def _print_kills(report: dict[str, object]) -> None:
    violations = report.pop("violations")
    output.pairs([(name.replace("_", " "), found) for name, found in report.items()])
    assert isinstance(violations, list | tuple)
    output.heading(f"violations: {len(violations)}")
    for violation in violations:
        output.line(str(violation))
