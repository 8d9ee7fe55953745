"""Searches for better numbers of rules, judges them out of sample, and says how much of it luck alone would give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
from fsm.cli.errors import CommandError, Exit
from fsm.cli.inputs import read_inputs, require_writable
from fsm.cli.options import Group, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time

if TYPE_CHECKING:
    from fsm.optimise.cluster import ClusterWorkers
    from fsm.optimise.evaluating import Bench
    from fsm.optimise.searching import Asked
    from fsm.optimise.study import Found, Heard, Study, Work

TRIALS = 200
DAYS = click.FloatRange(min=0)


Callback = TypeVar("Callback", bound=Callable[..., Any])


def written_options(function: Callback) -> Callback:
    """--report and --csv."""
    out = click.Path(path_type=Path, dir_okay=False)
    csv = click.option("--csv", type=out, metavar="OUT.csv", help="write the table of all variants, by their numbers")
    report = click.option("--report", type=out, metavar="OUT.html", help="write a page with tables and pictures")
    return report(csv(function))


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--vary", "varied", multiple=True, metavar="NAME=A..B[:STEP]",
    help="a threshold to vary, or CHOICE=one,other; may be repeated (default: those with a range in the rules)",
)  # fmt: skip
@click.option("--sampler", type=click.Choice(("grid", "random", "optuna")), default="grid", help="how points are drawn")
@click.option(
    "--trials", type=click.IntRange(1), default=TRIALS, help=f"points of random and optuna (default {TRIALS})"
)
@click.option("--seed", type=int, default=1, help="of random and optuna (default 1)")
@click.option(
    "--objective", "objectives", multiple=True, metavar="FIGURE",
    help="what to make best, of `backtest --json`; may be repeated (default sharpe)",
)  # fmt: skip
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="'trades>=30'",
    help="what a variant must fulfil; may be repeated",
)
@click.option("--folds", type=click.IntRange(0, 100), default=5, help="windows of walk-forward (default 5; 0: none)")
@click.option("--anchored", is_flag=True, help="windows to search in all begin at the first candle")
@click.option("--gap", type=DAYS, default=1.0, metavar="DAYS", help="between search and judgement (default 1)")
@click.option("--train", type=DAYS, metavar="DAYS", help="length of a window to search in (default: 3 × --test)")
@click.option("--test", type=DAYS, metavar="DAYS", help="length of a window that judges (default: what fits)")
@click.option("--luck", type=click.IntRange(0, 1_000), default=20, help="made-up markets of each kind (default 20)")
@click.option("--study", metavar="NAME|PATH", help="where the study is kept and gone on with (default: by its content)")
@click.option("--workers", type=click.IntRange(1, 256), help="processes (default: one a core)")
@click.option("--scheduler", metavar="ADDRESS", help="run on the Dask cluster at tcp://HOST:8786 (extra `cluster`)")
@candle_options
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="first candle to trade at; earlier ones warm up")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="end; a date means the end of that day")
@click.option("--native", is_flag=True, help="use the exchange's own 4h and 1d candles")
@written_options
@click.pass_context
def optimise(context: click.Context, /, **given: Any) -> None:
    """Search for better thresholds, judged by walk-forward out of sample; goes on where it was left.

    Every variant is a backtest. The best of each window is judged by candles that nothing was searched in, and what
    luck alone would give stands beside it. Nothing that trades is changed.
    """
    if context.invoked_subcommand is not None:
        return
    from fsm.optimise.results import document

    options = current()
    for wanted in filter(None, (given["csv"], given["report"])):
        require_writable(wanted)
    if given["sampler"] == "optuna":
        _require("optuna", "--sampler optuna", "search")
    bench, asked = _bench(given), _asked(given)
    with reporting(json=options.json, logs=False) as progress, _study(given["study"], bench, asked) as (path, study):
        with _work(bench, given["workers"], given["scheduler"]) as work:
            _carry_out(study, bench, work, _heard(progress, study))
        found = document(study)
        _write_report(study, found, given["report"], path)
    from fsm.cli.optimise_shown import show_study

    show_study(path, found, csv=given["csv"])


def _write_report(study: Study, found: dict[str, Any], report: Path | None, path: Path) -> None:
    if report is not None:
        from fsm.optimise.keeping import study_name
        from fsm.optimise.report.page import write_study_report

        write_study_report(study, found, report, study_name(path))


def _bench(given: dict[str, Any]) -> Bench:
    from fsm.backtest.ground import Request
    from fsm.optimise.evaluating import Bench

    inputs = read_inputs(current(), needs_keys=False)
    folders, instead = chosen(given["data"])
    return Bench(
        Request(
            config=inputs.config,
            rules=inputs.rules,
            data=folders,
            instead=instead,
            symbols=given["symbols"],
            from_ms=given["from_ms"],
            to_ms=given["to_ms"],
            native=given["native"],
        )
    )


def _asked(given: dict[str, Any]) -> Asked:
    from fsm.optimise.goals import goal_of
    from fsm.optimise.searching import Asked
    from fsm.optimise.spans import Walk

    return Asked(
        varied=given["varied"],
        sampler=given["sampler"],
        trials=given["trials"],
        seed=given["seed"],
        goal=goal_of(given["objectives"] or ("sharpe",), given["requirements"]),
        walk=Walk(
            folds=given["folds"],
            gap_days=given["gap"],
            train_days=given["train"],
            test_days=given["test"],
            anchored=given["anchored"],
        ),
        luck=given["luck"],
    )


@contextmanager
def _study(named: str | None, bench: Bench, asked: Asked) -> Iterator[tuple[Path, Study]]:
    """The study of this plan: begun, or the same one again."""
    from fsm.optimise.keeping import study_path
    from fsm.optimise.searching import planned
    from fsm.optimise.study import Study
    from store.lock import ProcessLock
    from store.studies import study_store

    plan = planned(bench, asked)
    path = study_path(named or plan.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessLock(path), study_store(path, new=True) as store:
        yield path, Study.begin(plan, store)


@contextmanager
def _work(bench: Bench, workers: int | None, scheduler: str | None) -> Iterator[Work]:
    from fsm.optimise.workers import LocalWorkers

    if scheduler is None:
        working: LocalWorkers | ClusterWorkers = LocalWorkers(bench, workers or os.cpu_count() or 1)
    else:
        working = _cluster(bench, scheduler)
    try:
        yield working.run
    finally:
        working.close()


def _require(library: str, option: str, extra: str) -> None:
    """Raises CommandError where what an option needs is not installed."""
    if find_spec(library) is None:
        raise CommandError(
            f"{option} needs {library}, which is not installed",
            f"install the extra: pip install 'fsm-futures-bot[{extra}]', or leave {option} out",
        )


def _cluster(bench: Bench, scheduler: str) -> ClusterWorkers:
    _require("distributed", "--scheduler", "cluster")
    from fsm.optimise.cluster import ClusterWorkers

    return ClusterWorkers(bench, scheduler)


def _carry_out(study: Study, bench: Bench, work: Work, heard: Heard) -> None:
    from fsm.optimise.keeping import LEDGER, STUDIES
    from fsm.optimise.searching import carried_out

    try:
        carried_out(study, bench, work, heard, STUDIES / LEDGER)
    except KeyboardInterrupt:
        click.echo("stopped; what was tried is kept: the same command goes on from here", err=True)
        raise


def _heard(progress: Any, study: Study) -> Heard:
    from fsm.optimise.study import Heard

    objective = study.plan.goal.objectives[0].figure

    def better(found: Found) -> None:
        click.echo(_better(found, objective, json=current().json), err=True)

    return Heard(progress, better)


def _better(found: Found, objective: str, *, json: bool) -> str:
    """The best so far, as a line for people or for programs."""
    import msgspec

    if json:
        told = {"reason": "BEST", "trial": found.trial, "values": found.point, "figures": found.figures}
        return msgspec.json.encode({**told, "event": "best_so_far", "level": "info"}).decode()
    values = ", ".join(f"{name} {value}" for name, value in found.point.items())
    figure, net = found.figures.get(objective), found.figures.get("net_pnl_usdt")
    return f"best so far: trial {found.trial} ({values}): {objective} {figure}, net {net} USDT in sample"


@optimise.command()
@click.argument("study")
@click.option("--trial", type=int, required=True, metavar="N", help="number of the variant, as the study lists it")
@candle_options
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="of the comparison (default: the study's)")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="of the comparison (default: the study's)")
def apply(
    study: str, trial: int, data: tuple[Path, ...], symbols: tuple[str, ...], from_ms: int | None, to_ms: int | None
) -> None:
    """Write rules.STUDY-N.yaml with the values of a trial, comments kept, and say what it changes. Nothing live does.

    STUDY is a name or a file. The new file lies beside rules.yaml, which stays as it is.
    """
    from fsm.cli.rules_diff import tell_difference
    from fsm.optimise.applying import applied
    from fsm.optimise.keeping import study_name, study_path
    from fsm.optimise.study import Study
    from store.studies import study_store

    rules_path, path = current().rules_path, study_path(study)
    with study_store(path, reading=True) as store:
        found = applied(Study.read(store), trial, rules_path)
    target = rules_path.with_name(f"rules.{study_name(path)}-{trial}.yaml")
    _write_beside(target, found.text)
    if not current().json:
        output.line(f"{target} is written. {rules_path} is as it was, and so is what runs.")
        for told in found.told:
            output.line(told)
    span = found.span
    tell_difference(
        rules_path, target, data, symbols or found.symbols,
        span.from_ms if from_ms is None else from_ms, span.to_ms if to_ms is None else to_ms,
    )  # fmt: skip
    if not current().json:
        output.line(
            f"To trade by it, copy it over {rules_path}: a running bot checks it, says what is different, and where an "
            "edit allows more, waits for `reload confirm`."
        )


def _write_beside(target: Path, text: str) -> None:
    """As it was searched with, to the last comment; the same again is fine. Raises CommandError where another is."""
    try:
        with target.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        if target.read_bytes() != text.encode():
            raise CommandError(
                f"{target} is there already and is something else: nothing was written",
                "move it away first",
                exits=Exit.REFUSED,
                code="FILE_EXISTS",
            ) from None


@optimise.command("show")
@click.argument("study")
@written_options
def show(study: str, csv: Path | None, report: Path | None) -> None:
    """Show what a study has come to so far. STUDY is a name or a file; --json prints all of it."""
    from fsm.cli.optimise_shown import show_study
    from fsm.optimise.keeping import study_path
    from fsm.optimise.results import document
    from fsm.optimise.study import Study
    from store.studies import study_store

    path = study_path(study)
    for wanted in filter(None, (csv, report)):
        require_writable(wanted)
    with study_store(path, reading=True) as store:
        kept = Study.read(store)
        found = document(kept)
        _write_report(kept, found, report, path)
    show_study(path, found, csv=csv)
