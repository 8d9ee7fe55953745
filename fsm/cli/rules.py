"""The rules workshop: checks a rules file, lists its indicators, and prints the schema that editors use."""

from __future__ import annotations

import click

from fsm.cli import output
from fsm.cli.options import Group, current


def _indicator_names(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from indicators.catalog import CATALOG

    return [name for name in CATALOG if name.startswith(begun)]


@click.group(cls=Group)
def rules() -> None:
    """Check rules.yaml, list what it may read, or print its JSON Schema."""


@rules.command()
def check() -> None:
    """Check the rules file alone. All problems come at once, each with its place."""
    from rules.load import load_rules

    options = current()
    ruleset = load_rules(options.rules_path)
    warnings = [str(problem) for problem in ruleset.warnings]
    if options.json:
        output.document(
            {
                "file": str(options.rules_path),
                "rules_hash": ruleset.hash,
                "strategies": list(ruleset.strategies),
                "timeframes": sorted(timeframe.value for timeframe in ruleset.timeframes),
                "warnings": warnings,
            }
        )
        return
    for warning in warnings:
        click.echo(f"{warning} (a warning)", err=True)
    output.line(f"{options.rules_path}: fine; strategies {', '.join(ruleset.strategies)}; hash {ruleset.hash[:12]}")


@rules.command()
@click.argument("name", required=False, shell_complete=_indicator_names)
def indicators(name: str | None) -> None:
    """List the indicators that rules may read, or say everything about one (or about those whose names begin so)."""
    from fsm.cli.indicators import tell

    tell(name)


@rules.command()
def schema() -> None:
    """Print the JSON Schema of rules files."""
    from rules.source.schema import text

    click.echo(text().rstrip())
