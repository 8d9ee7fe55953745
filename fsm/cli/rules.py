"""The rules workshop: checks, tests and compares rules, begins new ones, lists indicators, prints the schema."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, data_option
from fsm.cli.invocation import invocation
from fsm.cli.options import Group, current
from fsm.cli.times import Time

BEGINNINGS = {
    "blank": "one strategy to write over, with the rest of the language in comments",
    "trend": "with the trend, by the SuperTrend",
    "reversion": "back to the middle of the Bollinger Bands",
    "breakout": "out of a calm range, with volume",
}


def _indicator_names(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from indicators.catalog import CATALOG

    return [name for name in CATALOG if name.startswith(begun)]


@click.group(cls=Group)
def rules() -> None:
    """Check, test and compare rules, begin a new one, list what it may read, or print its JSON Schema."""


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
@click.option(
    "--tests", type=click.Path(path_type=Path), metavar="PATH", help="(default: beside the rules: rules.tests.yaml)"
)
@data_option
def test(tests: Path | None, data: tuple[Path, ...]) -> None:
    """Run the tests of the rules file. Exit 4 when one fails; each failure comes with its place."""
    from fsm.cli.rules_test import run_tests

    run_tests(tests, data)


@rules.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@candle_options
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="first candle to trade at; earlier ones warm up")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="end; a date means the end of that day")
def diff(
    old: Path,
    new: Path,
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
) -> None:
    """Say what the rules file NEW changes of OLD, in words and over candles: regimes, signals, trades, PnL."""
    from fsm.cli.rules_diff import tell_difference

    tell_difference(old, new, data, symbols, from_ms, to_ms)


@rules.command()
@click.argument("name", required=False, shell_complete=_indicator_names)
def indicators(name: str | None) -> None:
    """List the indicators that rules may read, or say everything about one (or about those whose names begin so)."""
    from fsm.cli.indicators import tell

    tell(name)


@rules.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--from", "beginning", type=click.Choice(BEGINNINGS), default="blank", help="what to begin with")
def new(name: Path, beginning: str) -> None:
    """Write a commented rules file NAME that passes `rules check` as it is; never over a file that is there."""
    from fsm.cli.writing import template, write_new

    write_new(name, template(f"rules/{beginning}.yaml").replace("THIS_FILE", shlex.quote(str(name))))
    if current().json:
        output.document({"file": str(name), "from": beginning})
        return
    call = invocation()
    output.line(f"{name} is written: {BEGINNINGS[beginning]}.")
    file = shlex.quote(str(name))
    output.to_paste(
        [
            (f"{call} rules check --rules {file}", "after each edit"),
            (f"{call} backtest --rules {file}", "what these rules would have done"),
        ]
    )


@rules.command()
def schema() -> None:
    """Print the JSON Schema of rules files."""
    from rules.source.schema import text

    click.echo(text().rstrip())
