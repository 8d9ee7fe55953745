"""Holds each strategy's live trades against what its backtest promised, and says which no longer does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import click

from fsm.cli import output
from fsm.cli.candle_options import chosen, data_option
from fsm.cli.errors import CommandError, Exit, VerificationFailed
from fsm.cli.options import command, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time

if TYPE_CHECKING:
    from fsm.backtest.drift.sequential import Promise
    from fsm.backtest.drift.verdicts import DriftVerdict
    from fsm.config.settings import Drift
    from store.database import Store

LEVEL = 0.1
_NUMBERS = ("live trades", "R each", "promised trades", "R promised", "T", "alarm above")


class _Reference(NamedTuple):
    """The run that promises."""

    name: str
    rules_hash: str
    promises: dict[str, Promise]


@command()
@click.option("--reference", metavar="RUN", help="the run that promises (default: the newest kept one of these rules)")
@click.option("--level", type=click.FloatRange(0.01, 2), help="false alarms a year (default: as in the settings)")
@click.option("--since", "since_ms", type=Time(), metavar="TIME", help="live trades opened from this time on")
@click.option("--kept-only", is_flag=True, help="never run a backtest for it")
@data_option
@click.option(
    "--table", "is_table", is_flag=True, help="measure the test by simulation instead, as docs/drift.md shows"
)
@click.option("--years", type=click.IntRange(10), default=1_000, show_default=True, help="with --table: years a row")
def drift(
    reference: str | None,
    level: float | None,
    since_ms: int | None,
    data: tuple[Path, ...],
    years: int,
    *,
    kept_only: bool,
    is_table: bool,
) -> None:
    """Say whether live trading still does what a backtest promised. By strategy, on R; exit 4 where one does not.

    Without a kept run of these rules one is made, over the candles at hand up to the first live trade.
    """
    if is_table:
        _measure(level or LEVEL, years)
        return
    from fsm.backtest.drift.promise import live_of
    from fsm.backtest.drift.verdicts import Standing, verdicts
    from store.database import open_store

    options = current()
    with ExitStack() as stack:
        store = stack.enter_context(open_store(options.database_path(), mode="read"))
        settings = _settings(store)
        rate = float(settings.false_alarms_a_year) if level is None else level
        found = _reference(stack, store, reference or settings.reference, data, kept_only=kept_only)
        live = live_of(store, found.rules_hash, since_ms or 0)
        told = verdicts(found.promises, live, rate)
    drifted = [each.strategy for each in told if each.standing is Standing.DRIFTED]
    if options.json:
        document = {
            "reference": found.name,
            "rules_hash": found.rules_hash,
            "is_of_same_rules": live.is_of_same_rules,
            "false_alarms_a_year": rate,
            "drifted": drifted,
            "strategies": told,
        }
        output.document(document)
    else:
        _print(found, told, rate, is_of_same_rules=live.is_of_same_rules)
    if drifted:
        raise VerificationFailed


def _measure(level: float, years: int) -> None:
    from fsm.backtest.drift.rates import table

    for line in table(level=level, years=years):
        output.line(line)


def _settings(store: Store) -> Drift:
    """What the settings in force say about drift; the defaults where a journal's own cannot be read."""
    from fsm.config.loading import stored_settings
    from fsm.config.settings import Drift
    from rules.source.yaml_source import SourceError
    from store import queries

    versions = queries.config_versions(store)
    try:
        return stored_settings(versions[0].text, "the settings in force").drift if versions else Drift()
    except SourceError:
        return Drift()


def _reference(
    stack: ExitStack, store: Store, named: str | None, data: tuple[Path, ...], *, kept_only: bool
) -> _Reference:
    from fsm.backtest.drift.promise import rules_hash_of
    from fsm.backtest.runs import RunNameError, find_run

    rules_hash = rules_hash_of(store)
    if named is not None:
        try:
            return _read(named, find_run(named))
        except RunNameError as error:
            raise CommandError(str(error), "`runs` lists what is kept", exits=Exit.REFUSED, code="NO_RUN") from error
    kept = _newest_of(rules_hash)
    if kept is not None:
        return _read(*kept)
    if kept_only:
        hint = "`backtest --name NAME` keeps one; drift.reference in config.yaml names another"
        raise CommandError("no kept run is of the rules in force", hint, exits=Exit.REFUSED, code="NO_RUN")
    with _made(stack, store, data) as path:
        return _read("a backtest of these rules, made now", path)


def _read(name: str, path: Path) -> _Reference:
    from fsm.backtest.drift.promise import promises_of, rules_hash_of
    from store.database import open_store

    with open_store(path, mode="read") as run:
        return _Reference(name, rules_hash_of(run), promises_of(run))


def _newest_of(rules_hash: str) -> tuple[str, Path] | None:
    from fsm.backtest.runs import named_runs

    for run in named_runs():
        if run.summary is not None and run.summary.get("rules_hash") == rules_hash:
            return run.name, run.path
    return None


@contextmanager
def _made(stack: ExitStack, store: Store, data: tuple[Path, ...]) -> Iterator[Path]:
    """A backtest of the rules and settings in force, over the candles at hand up to the first live trade."""
    from fsm.backtest.run import BacktestError, Request, run_backtest
    from fsm.config import Config, read_environment
    from fsm.config.loading import stored_settings
    from rules.load import stored_rules
    from store import queries

    rules, configs = queries.rule_versions(store), queries.config_versions(store)
    if not rules or not configs:
        raise CommandError("nothing was decided in this database", "name a bot's database", exits=Exit.REFUSED)
    first = min((row.opened_ms for row in queries.trades(store, limit=2**62)), default=None)
    folders, instead = chosen(data)
    path = Path(stack.enter_context(TemporaryDirectory())) / "promise.sqlite"
    settings = stored_settings(configs[0].text, "the settings in force")
    environment = read_environment(None, {"BINANCE_ENV": "sim"})
    request = Request(
        config=Config(settings=settings, environment=environment, text=configs[0].text),
        rules=stored_rules(rules[0].text, "the rules in force"),
        data=folders,
        instead=instead,
        to_ms=first,
        db=path,
    )
    try:
        with reporting(json=current().json, level="warning") as progress:
            run_backtest(request, progress=progress)
    except BacktestError as error:
        hint = "`backtest --name NAME` keeps a run that can promise; `--reference` names one"
        raise CommandError(f"no run is kept, and none can be made: {error}", hint, exits=Exit.REFUSED) from error
    yield path


def _print(found: _Reference, told: list[DriftVerdict], rate: float, *, is_of_same_rules: bool) -> None:
    output.line(f"promised by: {found.name} (rules {found.rules_hash[:8]})")
    if not is_of_same_rules:
        output.line("No live trade was opened under these rules: all of them count, whatever theirs were.")
    output.line()
    rows = [
        (
            each.strategy, each.standing.value.lower().replace("_", " "), each.live_trades, _r(each.live_mean_r),
            each.promised_trades, _r(each.promised_mean_r), _short(each.statistic), _short(each.threshold),
        )
        for each in told
    ]  # fmt: skip
    output.table(("strategy", "", *_NUMBERS), rows, right=_NUMBERS)
    output.line()
    for each in told:
        output.line(each.words)
    output.line()
    output.line(f"The test is set to {rate:g} false alarms a year for each strategy (docs/drift.md).")


def _r(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
