"""Shows the configuration that is in force, defaults included and secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from fsm.cli import output
from fsm.cli.inputs import read_inputs
from fsm.cli.lists import document, stored_list
from fsm.cli.options import Group, Options, command, current


@click.group(cls=Group)
def config() -> None:
    """Show what is in force."""


@config.command()
def show() -> None:
    """Print everything that is in force, defaults included, secrets masked."""
    _show(current())


@command("show-config")
def show_config() -> None:
    """The same as `config show`."""
    _show(current())


def _show(options: Options) -> None:
    inputs = read_inputs(options, needs_keys=False)
    shown = {
        "files": {"config": str(options.config_path), "rules": str(options.rules_path), "env": str(options.env_path)},
        "database": str(options.database_path()),
        **inputs.config.shown(),
        "rules_hash": inputs.rules.hash,
    }
    settings = inputs.config.settings
    if settings.symbol_list is not None:
        shown["symbol_list"] = document(stored_list(options.database_path(), settings))
    if options.json:
        output.document(shown)
    else:
        output.banner(inputs.config.environment.name.value)
        output.pairs(_flat(shown))


def _flat(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Every value with its path; secrets have been masked by their owner already."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{path}{key}", ", ".join(map(str, value)) or "-"
        else:
            yield f"{path}{key}", "-" if value is None else value
