"""Writes docs/commands.md and help.txt from the commands themselves: ``python -m fsm.cli.reference [FOLDER]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from fsm.cli.app import COMMANDS, app
from fsm.cli.examples import examples_of
from fsm.cli.options import Command

HELP = Path(__file__).with_name("help.txt")
PYTHON = ".venv/bin/python -m fsm"

INTRODUCTION = f"""# Commands

Drawn from the commands by `python -m fsm.cli.reference`; the examples are run by tests. Every command line begins with
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
        if examples := examples_of(name):
            lines += ["```sh", *(f"{PYTHON} {example}" for example in examples), "```", ""]
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
