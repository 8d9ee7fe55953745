"""Validates .env, config.yaml and rules.yaml together, before anything is started."""

from __future__ import annotations

import click

from fsm.cli import output
from fsm.cli.inputs import Inputs, read_inputs
from fsm.cli.options import Options, command, current
from rules.yaml_source import Problem, read_source


@command()
def check() -> None:
    """Check .env, config.yaml and rules.yaml. All problems come at once, each with its place."""
    options = current()
    inputs = read_inputs(options, needs_keys=True)
    warnings = (*inputs.warnings, *_unknown_symbols(options, inputs))
    if options.json:
        output.document(
            {
                "problems": [],
                "warnings": [
                    {"file": found.file, "line": found.line, "column": found.column, "message": found.message}
                    for found in warnings
                ],
                "environment": inputs.config.environment.name,
                "symbols": inputs.config.settings.enabled_symbols,
                "strategies": list(inputs.rules.strategies),
                "config_hash": inputs.config.hash,
                "rules_hash": inputs.rules.hash,
            }
        )
        return
    for warning in warnings:
        click.echo(f"{warning} (a warning)", err=True)
    output.pairs(_fine(options, inputs))


def _unknown_symbols(options: Options, inputs: Inputs) -> list[Problem]:
    from exchange.sim.symbols import shipped_filters
    from fsm.config.unusual import unknown_symbols
    from fsm.live.held import known_symbols

    database = options.db or inputs.config.environment.database_path
    known = {*shipped_filters(), *known_symbols(database)}
    return unknown_symbols(inputs.config.settings, known, read_source(options.config_path))


def _fine(options: Options, inputs: Inputs) -> list[tuple[str, object]]:
    settings, environment = inputs.config.settings, inputs.config.environment
    env_name = str(options.env_path) if options.env_path.exists() else "environment"
    symbols, strategies = settings.enabled_symbols, list(inputs.rules.strategies)
    timeframes = ", ".join(sorted((t.value for t in inputs.rules.timeframes), reverse=True))
    return [
        (f"{env_name}:", f"fine; BINANCE_ENV={environment.name}, database {options.db or environment.database_path}"),
        (
            f"{options.config_path}:",
            f"fine; {len(symbols)} symbols: {', '.join(symbols)}; hash {inputs.config.hash[:12]}",
        ),
        (
            f"{options.rules_path}:",
            f"fine; {len(strategies)} strategies on {timeframes}: {', '.join(strategies)}; "
            f"hash {inputs.rules.hash[:12]}",
        ),
    ]
