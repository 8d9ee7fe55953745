"""Writes docs/commands.md and help.txt from the commands themselves: ``python -m fsm.cli.reference [FOLDER]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from fsm.cli.app import COMMANDS, app
from fsm.cli.options import Command

HELP = Path(__file__).with_name("help.txt")
PYTHON = ".venv/bin/python -m fsm"

EXAMPLES: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "config show": ("config show",),
    "status": ("status", "status --json"),
    "top": ("top --once",),
    "positions": ("positions",),
    "limits": ("limits",),
    "trades": ("trades --limit 5", "trades --symbol BTCUSDT --since 2024-10-01", "trades --export --per fill"),
    "bundle": ("bundle --since 2h --no-doctor",),
    "pause": ("pause BTCUSDT",),
    "resume": ("resume BTCUSDT",),
    "flatten": ("flatten BTCUSDT",),
    "halt": ("halt",),
    "release": ("release BTCUSDT --cancel-stop",),
    "full-size": ("full-size",),
    "ack": ("ack",),
    "reduce": ("reduce BTCUSDT 25%",),
    "move-stop": ('move-stop BTCUSDT 59000 --looser --reason "below the low of the week"',),
    "move-target": ("move-target BTCUSDT 72000 --number 2",),
    "reload": ("reload",),
    "audit": ("audit --symbol BTCUSDT --state PROTECTED --limit 5",),
    "audit show": ("audit show 1",),
    "audit verify": ("audit verify",),
    "audit export": ("audit export --format csv",),
    "why": ("why BTCUSDT", "why BTCUSDT --at 2024-10-15T08:00", "why", "why --since 2024-10-01 --until 2024-10-31"),
    "replay": ("replay var/sim.sqlite",),
    "rules check": ("rules check",),
    "rules indicators": ("rules indicators", "rules indicators macd", "rules indicators supertrend --json"),
    "backtest": ("backtest --symbols BTCUSDT --from 2024-10-01 --to 2024-12-31",),
    "runs": ("runs",),
    "data list": ("data list",),
    "compare": ("compare --live --days 30",),
    "execution": ("execution", "execution --symbol BTCUSDT --since 2024-10-01 --json"),
    "data check": ("data check", "data check --symbols BTCUSDT --json"),
    "graph": ("graph",),
    "modelcheck": ("modelcheck --depth 2", "modelcheck --variants"),
    "crashsweep": ("crashsweep --list",),
    "naked": ("naked --list",),
    "db check": ("db check",),
    "commands list": ("commands list",),
    "shadow list": ("shadow list",),
    "db backup": ("db backup var/copy.sqlite",),
    "db prune": ("db prune --keep-days 40 --archive var/whole.sqlite",),
}
"""Command lines that a test runs on a database with two months of BTCUSDT. Not every command has one."""

SHOWN: dict[str, tuple[str, ...]] = {
    "run": ("run --port 8081", "run --no-web"),
    "init": ("init", "init mybot"),
    "rules test": ("rules test", "rules test --tests mine.tests.yaml --json"),
    "rules diff": ("rules diff rules.yaml new.yaml --from 2024-01-01",),
    "rules new": ("rules new mine.yaml --from trend",),
    "completion": ("completion bash",),
    "doctor": ("doctor",),
    "optimise": (
        "optimise --vary adx_trend=23..35:1 --vary spike=1.2..1.6:0.1 --study trend",
        "optimise --sampler random --trials 500 --objective calmar --require 'trades>=50' --folds 8 --anchored",
    ),
    "optimise apply": ("optimise apply trend --trial 17",),
    "optimise show": ("optimise show trend --csv trend.csv",),
    "lookahead": ("lookahead", "lookahead --symbols BTCUSDT --cuts 1000 --runs 10"),
    "shadow add": ("shadow add bolder new.yaml", "shadow add new.yaml --balance 5000"),
    "shadow promote": ("shadow promote bolder", "shadow promote bolder --yes --json"),
    "drift": ("drift --reference first", "drift --level 0.5 --since 2024-10-01", "drift --table --years 1000"),
    "show": ("show first", "show first --report first.html", "show var/sim.sqlite --json"),
    "data download": ("data download --symbols AVAXUSDT --from 2024-01-01", "data download --timeframes 1m,1h"),
    "data update": ("data update",),
    "data import": ("data import ~/Downloads/BTCUSDT-1h-2024-*.zip", "data import candles.csv --symbol AVAXUSDT"),
    "parity": ("parity --symbols BTCUSDT,ETHUSDT --from 2024-10-01 --to 2024-12-31",),
    "crashsweep": ("crashsweep --sample 200 --doubles 50",),
    "torture": ("torture --seeds 1..20 --days 30 --symbols 3", "torture --client real --seeds 1..4 --days 10"),
    "naked": ("naked", "naked --only firewall-once --positions 200"),
}
"""Command lines that take long, or do not end: shown, and run by tests of their own."""

INTRODUCTION = f"""# Commands

Drawn from the commands by `python -m fsm.cli.reference`; the examples are run by a test. Every command line begins with
`{PYTHON}`; without a command it is `run`. The commands work on the database of the
environment that `.env` and the process name (`var/<BINANCE_ENV>.sqlite`), beside a running bot or without one.

| every command takes | meaning |
|---|---|
"""

EXITS = """
| exit code | meaning |
|---|---|
| 0 | fine |
| 1 | unexpected failure (`--debug` shows where) |
| 2 | wrong usage, `.env`, `config.yaml` or `rules.yaml`: every problem as `file:line:col: message` |
| 3 | refused: another bot runs, another environment's database, a guard said no, not ready |
| 4 | a verification failed |
"""


def page() -> str:
    """docs/commands.md."""
    shared = {option for option in _options(Command("any")) if option}
    lines = [INTRODUCTION.rstrip("\n"), *sorted(shared), EXITS]
    for name, found in _commands():
        arguments = [piece for piece in found.collect_usage_pieces(click.Context(found)) if piece != "[OPTIONS]"]
        lines += [f"## {' '.join((name, *arguments))}", "", _sentence(found), ""]
        own = [row for row in _options(found) if row not in shared]
        if own:
            lines += ["| option | meaning |", "|---|---|", *own, ""]
        for language, examples in (("sh", EXAMPLES.get(name, ())), ("text", SHOWN.get(name, ()))):
            if examples:
                lines += [f"```{language}", *(f"{PYTHON} {example}" for example in examples), "```", ""]
    also = ", ".join(f"`{alias}` is `{name}`" for alias, name in _aliases().items())
    return "\n".join([*lines, f"Other names: {also}."]) + "\n"


def top_help() -> str:
    """What ``fsm --help`` says on a terminal of 80 columns and more (fsm/cli/quick_help.py prints it)."""
    return app.get_help(click.Context(app, info_name="fsm", terminal_width=78)) + "\n"


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and every verb of a noun, in the order of --help; aliases once."""
    context = click.Context(app)
    for name in app.list_commands(context):
        found = app.get_command(context, name)
        assert found is not None, f"{name} is in COMMANDS"
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield name, found
        if isinstance(found, click.Group):
            yield from ((f"{name} {verb}", found.commands[verb]) for verb in found.list_commands(context))


def _options(found: click.Command) -> list[str]:
    rows = [_row(option) for option in found.params if isinstance(option, click.Option) and option.help]
    return [row for row in rows if row]


def _row(option: click.Option) -> str:
    record = option.get_help_record(click.Context(click.Command("any")))
    assert record is not None
    flag, meaning = record
    return f"| `{flag}` | {_escaped(meaning)} |"


def _sentence(found: click.Command) -> str:
    return _escaped(" ".join((found.help or "").split()))


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _aliases() -> dict[str, str]:
    """Names that mean another command."""
    places = {place: name for name, place in reversed(COMMANDS.items())}
    return {name: places[place] for name, place in COMMANDS.items() if places[place] != name}


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    (folder / "commands.md").write_text(page(), "utf-8")
    HELP.write_text(top_help(), "utf-8")
