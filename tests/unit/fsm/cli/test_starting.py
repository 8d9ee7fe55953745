"""A command loads what it works with and nothing else, and the list of commands loads none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from fsm.cli.app import COMMANDS, app

ROOT = Path(__file__).parents[4]
LISTED = """
import sys
from fsm.cli.app import app
try:
    app(sys.argv[1:])
finally:
    print(sorted(sys.modules), file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """The packages that a command has loaded when it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", LISTED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name.strip(" '[]").partition(".")[0] for name in done.stderr.splitlines()[-1].split(",")}


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    context = click.Context(app)
    formatter = click.HelpFormatter(width=80)
    app.format_commands(context, formatter)
    shown = " ".join(formatter.getvalue().split())
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        room = 80 - 6 - max(map(len, COMMANDS))
        assert f"{name} {command.get_short_help_str(room)}" in shown


def test_the_list_of_commands_loads_none_of_them() -> None:
    assert not loaded("--help") & {"numpy", "peewee", "apsw", "yaml", "structlog", "asyncio", "rich", "jsonschema"}


def test_a_backtest_loads_nothing_of_a_running_bot(tmp_path: Path) -> None:
    found = loaded(
        "--json", "--db", str(tmp_path / "it.sqlite"), "backtest", "--symbols", "BTCUSDT", "--to", "2024-03-01"
    )
    assert not found & {"jsonschema", "structlog", "rich", "asyncio", "httpx", "websockets", "starlette", "uvicorn"}
    again = loaded("--json", "--db", str(tmp_path / "it.sqlite"), "status")
    assert not again & {"numpy", "jsonschema", "structlog", "rich", "asyncio", "yaml", "talipp"}


@pytest.mark.parametrize("rows", [[], [("a", 1.5, None)], [("long name", True, "x"), ("b", -2, "")]])
def test_a_table_that_nobody_looks_at_is_the_table_that_a_terminal_gets(
    rows: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsm.cli import output

    columns = ("symbol", "number", "what it is")
    output.table(columns, rows, right=("number",))
    plain = capsys.readouterr().out
    output.table((*columns[:2], "what it is\u00fc"), rows, right=("number",))  # beyond ASCII
    assert plain == capsys.readouterr().out.replace("\u00fc", "")
