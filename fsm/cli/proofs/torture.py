"""Runs the live bot through years of simulated trouble, seed by seed, and tells the story of whatever did not hold."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.options import command, current

if TYPE_CHECKING:
    from fsm.proofs.torture.fleet import Summary
    from fsm.proofs.torture.run import Outcome

SEEDS_MAX = 1_000_000
GAUGE_DAYS = 30
"""Runs that are longer show memory and open files, every so many days."""


class Seeds(click.ParamType[tuple[int, int]]):
    """``A..B``, both ends included, or one number."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,12})(?:\.\.(\d{1,12}))?", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no range of seeds; write 1..300, or 7", param, ctx)
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last - first >= SEEDS_MAX:
            self.fail(f"{value!r}: the second number must be the larger, by less than {SEEDS_MAX}", param, ctx)
        return first, last


@command()
@click.option("--seeds", type=Seeds(), default="1..10", metavar="A..B", help="both ends included (default 1..10)")
@click.option("--days", type=click.IntRange(1, 400), default=30, help="simulated days of each run (default 30)")
@click.option("--symbols", type=click.IntRange(1, 100), default=3, help="how many symbols (default 3)")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="DIR",
    help="folder of SYMBOL-1h.csv.gz files; may be repeated (default: the shipped candles)",
)
@click.option(
    "--client",
    type=click.Choice(("port", "real")),
    default="port",
    help="what the bot speaks through: the port (default), or the real client before the emulator's own routes",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="processes (default 1)")
@click.option("--minutes", type=click.FloatRange(0.01), help="begin no further seed after so many minutes")
@click.option("--variant", metavar="NAME", help="torture this deliberately broken engine instead")
@click.option("--no-shrink", is_flag=True, help="tell a failing run as it was, without making it small first")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write the result into this page of docs")
def torture(
    seeds: tuple[int, int],
    days: int,
    symbols: int,
    data: tuple[Path, ...],
    client: str,
    jobs: int,
    minutes: float | None,
    variant: str | None,
    no_shrink: bool,
    page: Path | None,
) -> None:
    """Run the live bot in simulated time with everything going wrong by seed; exit 4 where something does not hold.

    The same seed is the same run: its journal's hash is printed.
    """
    from exchange.sim.playback.symbols import shipped_folder
    from fsm.proofs.torture.broken import ALL
    from fsm.proofs.torture.fleet import SeedOrder, run_all

    if variant is not None and variant not in ALL:
        raise CommandError(f"there is no variant {variant!r}", f"there are {', '.join(ALL)}")
    first, last = seeds
    order = SeedOrder(
        seeds=tuple(range(first, last + 1)),
        days=days,
        symbols=symbols,
        data=tuple(str(folder) for folder in data or (shipped_folder(),)),
        given=tuple(str(folder) for folder in data),
        variant=variant,
        jobs=jobs,
        minutes=minutes,
        shrinks=not no_shrink,
        client=client,
    )
    as_json = current().json
    summary = run_all(order, lambda outcome, done: _tell(outcome, done, len(order.seeds), as_json=as_json))
    if page is not None and variant is None and client == "port":
        from fsm.proofs.overview import write_overview
        from fsm.proofs.torture.page import write_page

        write_page(page, order, summary)
        write_overview(page)
    if as_json:
        output.document(summary)
    else:
        _print(summary, client)
    if summary.violations:
        raise VerificationFailed


def _tell(outcome: Outcome, done: int, total: int, *, as_json: bool) -> None:
    """One line a run: on stderr where stdout is for a machine, over itself on a terminal."""
    speed = outcome.simulated_days * 86_400 / max(outcome.seconds, 0.001)
    line = (
        f"seed {outcome.seed}  {outcome.journal_hash}  {outcome.trades} trades  {outcome.transitions} transitions  "
        f"{outcome.starts} starts  {outcome.simulated_days:.0f} days in {outcome.seconds:.1f} s ({speed:,.0f}×)"
    )
    if outcome.violations:
        line += f"  {outcome.violations[0].claim}"
    if sys.stderr.isatty():
        click.echo(f"{done}/{total}  {line}", err=True)
    elif as_json:
        click.echo(line, err=True)
    else:
        output.line(line)


def _print(summary: Summary, client: str) -> None:
    output.pairs(
        (
            ("seeds", f"{summary.cases:,}"),
            ("simulated days", f"{summary.simulated_days:,.0f}"),
            ("trades", f"{summary.trades:,}"),
            ("orders and cancels sent", f"{summary.writes:,}"),
            ("calls" if client == "port" else "requests", f"{summary.calls:,}"),
            ("starts", f"{summary.starts:,}"),
            ("checks", f"{sum(summary.checks.values()):,}"),
            ("seconds", f"{summary.seconds:.0f} ({summary.cpu_seconds:.0f} of a processor)"),
            ("speed", f"{summary.speed:,.0f} × real time a core"),
            ("violations", len(summary.violations)),
        )
    )
    if len(summary.gauge) > GAUGE_DAYS:
        rows = [(str(day), f"{mb:.0f}", str(files)) for day, mb, files in summary.gauge[::GAUGE_DAYS]]
        output.table(("day", "MB of memory", "open files"), rows)
    output.table(("what went wrong", "how often"), [(name, f"{count:,}") for name, count in summary.faults.items()])
    for story in summary.violations:
        output.heading(f"seed {story.seed}: {story.claim}: {story.found}")
        for line in (*story.disturbances, "", *story.steps, ""):
            output.line(line)
        output.verbatim(story.command)
