"""Validates .env, config.yaml and rules.yaml together, before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import chosen
from fsm.cli.inputs import Inputs, read_inputs, require_tests
from fsm.cli.lists import document, in_words, stored_list
from fsm.cli.options import Options, command, current
from rules.source.yaml_source import Problem, read_source

if TYPE_CHECKING:
    from fsm.backtest.tried import Trial
    from store.queries import ListInForce


_PLACED = re.compile(r"(.+?):([0-9]+): (.+)", re.DOTALL)


@command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="store or folder of candles to try the rules on; may be repeated (default: var/data, the shipped candles)",
)
def check(data: tuple[Path, ...]) -> None:
    """Check .env, config.yaml and rules.yaml. All problems come at once, each with its place.

    The rules are also tried on candles: a regime or a strategy that they never enter is a warning.
    """
    options = current()
    inputs = read_inputs(options, needs_keys=True)
    require_tests(options, inputs.rules)
    _refuse_unusable_database(options.db or inputs.config.environment.database_path)
    listing = stored_list(options.db or inputs.config.environment.database_path, inputs.config.settings)
    trial = _tried(inputs, data)
    warnings = (
        *inputs.warnings,
        *_unknown_symbols(options, inputs),
        *map(_unusable, trial.unusable),
        *_never_entered(options, inputs, trial),
    )
    if options.json:
        output.document(
            {
                "problems": [],
                "warnings": [
                    {"file": found.file, "line": found.line, "column": found.column, "message": found.message}
                    for found in warnings
                ],
                "environment": inputs.config.environment.name,
                "symbols": inputs.config.settings.enabled_symbols or (listing.listed if listing is not None else ()),
                "symbol_list": document(listing),
                "tried_on": [entered.symbol for entered in trial.symbols],
                "strategies": list(inputs.rules.strategies),
                "config_hash": inputs.config.hash,
                "rules_hash": inputs.rules.hash,
            }
        )
        return
    for warning in warnings:
        click.echo(f"{warning} (a warning)", err=True)
    output.pairs((*_fine(options, inputs, listing), ("candles:", _tried_on(trial))))


def _refuse_unusable_database(path: Path) -> None:
    """As every command would that reads it. Raises StoreError. One that is not there is made by a start."""
    from store.database import open_store

    if path.exists():
        open_store(path, mode="read").close()


def _unusable(message: str) -> Problem:
    """A candle file that cannot be used, at its place (CandleFileError)."""
    placed = _PLACED.fullmatch(message)
    return Problem(placed[1], int(placed[2]), 1, placed[3]) if placed else Problem("candles", 1, 1, message)


def _tried(inputs: Inputs, data: tuple[Path, ...]) -> Trial:
    from exchange.candle_files import CandleFolders
    from fsm.backtest.tried import try_rules

    settings = inputs.config.settings
    folders = CandleFolders(*chosen(data))
    symbols = settings.enabled_symbols or [name for name in folders.symbols() if settings.allows(name)]
    return try_rules(folders, symbols, inputs.rules, settings.market_data.candles_min)


def _never_entered(options: Options, inputs: Inputs, trial: Trial) -> Iterator[Problem]:
    """Regimes and strategies that no candle at hand enters, of all symbols, or of one that has values of its own."""
    if not trial.symbols:
        return
    source = read_source(options.rules_path)
    regimes, strategies = trial.never_entered(), trial.never_signalled()
    for regime in regimes:
        yield source.problem(("regimes", regime), f"{regime} was entered 0 times in {trial.span}", key=True)
    for name in strategies:
        yield source.problem(("strategies", name), f"{name} signalled 0 times in {trial.span}", key=True)
    for own in (trial.alone(symbol) for symbol in inputs.rules.definition.symbols):
        path = ("symbols", own.symbols[0].symbol) if own.symbols else ()
        for regime in own.never_entered() if path else ():
            if regime not in regimes:
                yield source.problem(path, f"{regime} was entered 0 times in {own.span}, by these values", key=True)
        for name in own.never_signalled():
            if name not in strategies:
                yield source.problem(path, f"{name} signalled 0 times in {own.span}, by these values", key=True)


def _tried_on(trial: Trial) -> str:
    if trial.symbols:
        return f"the rules were tried on {trial.span}"
    if trial.unusable:
        return "the rules were tried on none: no candle file of your symbols can be used"
    return "the rules were tried on none: --data names a folder with 1h candles of your symbols"


def _unknown_symbols(options: Options, inputs: Inputs) -> list[Problem]:
    from exchange.sim.playback.rulebook import Rulebook
    from fsm.config.unusual import unknown_symbols
    from fsm.live.context.held import known_symbols

    database = options.db or inputs.config.environment.database_path
    known = {*Rulebook.read(chosen(())[0]).filters, *known_symbols(database)}
    return unknown_symbols(inputs.config.settings, known, read_source(options.config_path))


def _fine(options: Options, inputs: Inputs, listing: ListInForce | None) -> list[tuple[str, object]]:
    settings, environment = inputs.config.settings, inputs.config.environment
    env_name = str(options.env_path) if options.env_path.exists() else "environment"
    symbols, strategies = settings.enabled_symbols, list(inputs.rules.strategies)
    chosen = f"{len(symbols)} symbols: {', '.join(symbols)}" if symbols else f"symbols {in_words(listing)}"
    named = "1 strategy" if len(strategies) == 1 else f"{len(strategies)} strategies"
    timeframes = ", ".join(sorted((t.value for t in inputs.rules.timeframes), reverse=True))
    return [
        (f"{env_name}:", f"fine; BINANCE_ENV={environment.name}, database {options.db or environment.database_path}"),
        (
            f"{options.config_path}:",
            f"fine; {chosen}; hash {inputs.config.hash[:12]}",
        ),
        (
            f"{options.rules_path}:",
            f"fine; {named} on {timeframes}: {', '.join(strategies)}; hash {inputs.rules.hash[:12]}",
        ),
    ]
