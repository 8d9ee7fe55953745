"""The command line as a whole: where options may stand, what runs without a command, and how commands end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from fsm.cli.app import COMMANDS
from fsm.cli.errors import Exit
from fsm.cli.failures import report
from fsm.core.model.transition_table import mermaid

ROOT = Path(__file__).parents[4]


def test_the_version_is_one_line_or_one_document(fsm) -> None:
    assert re.fullmatch(r"fsm \S.*\n", fsm("--version").stdout)
    assert set(fsm("--version", "--json").document) == {"version"}
    assert set(fsm("--json", "--version").document) == {"version"}


def test_help_names_every_command_once(fsm) -> None:
    ended = fsm("--help")
    assert ended.code == 0
    listed = re.findall(r"(?m)^  ([a-z-]+)  ", ended.stdout)
    assert listed == list(dict.fromkeys(listed))
    assert {"run", "check", "audit", "why", "replay", "backtest", "graph", "db", "trades"} <= set(listed)
    assert "backtesting" not in listed
    assert re.search(r"(?m)^Examples:\n  \S+( -m fsm)? run$", ended.stdout)


def verbs() -> Iterator[list[str]]:
    """Every command, every verb of a noun, and every other name of one."""
    for name, place in COMMANDS.items():
        yield [name]
        module, attribute = place.split(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, click.Group):
            yield from ([name, verb] for verb in found.commands)


@pytest.mark.parametrize("words", [*verbs()], ids=" ".join)
def test_every_command_explains_itself_with_an_example(fsm, words) -> None:
    ended = fsm(*words, "--help")
    assert ended.code == 0
    for option in ("--config", "--rules", "--env-file", "--db", "--json"):
        assert option in ended.stdout
    examples = ended.stdout.partition("\nExamples:\n")[2]
    assert re.match(r"  app \w", examples), "fsm/cli/examples.py has none"
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_the_graph_is_the_running_table(fsm) -> None:
    assert fsm("graph").stdout == mermaid()
    assert fsm("graph", "--json").document == {"mermaid": mermaid()}


def test_options_may_stand_before_the_command_or_after_it_and_the_last_wins(fsm, project) -> None:
    (project / "config.yaml").rename(project / "mine.yaml")
    assert fsm("--config", "mine.yaml", "check").code == 0
    assert fsm("check", "--config", "mine.yaml").code == 0
    assert fsm("--config", "other.yaml", "check", "--config", "mine.yaml").code == 0
    assert fsm("--config=mine.yaml", "rules", "--json", "check").document["warnings"] == []


def test_without_a_command_the_bot_runs_and_takes_the_options_of_run(fsm, project) -> None:
    (project / "config.yaml").unlink()
    for args in ([], ["--no-web"], ["--port", "0", "--json"], ["--rules", "rules.yaml", "--no-web"]):
        ended = fsm(*args)
        assert ended.code == 2
        assert ended.stderr.startswith("config.yaml:1:1: there is no such file"), args


def test_a_group_without_a_command_says_which_there_are(fsm) -> None:
    """It printed the whole of its help behind "error:", and its usage twice."""
    ended = fsm("commands")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "Usage: app commands [OPTIONS] COMMAND [ARGS]...",
        "error: say which: cancel, list",
        "hint: app commands --help says more",
    ]


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["audit", "nonsense"],
        ["check", "--nonsense"],
        ["release"],
        ["graph", "more"],
        ["run", "--port", "high"],
    ],
)
def test_bad_usage_ends_with_code_2_and_says_where_to_read_more(fsm, args) -> None:
    ended = fsm(*args)
    assert ended.code == 2
    assert ended.stdout == ""
    assert re.search(r"(?m)^error: .+", ended.stderr)
    assert "--help says more" in ended.stderr
    assert fsm(*args, "--json").document["error"]["code"] == "USAGE"


def test_a_database_that_is_not_there_is_bad_usage(fsm, project) -> None:
    for args in (["audit"], ["why", "BTCUSDT"], ["audit", "verify"], ["replay"], ["trades"], ["db", "upgrade"]):
        ended = fsm(*args, "--db", "none.sqlite")
        assert ended.code == 2, args
        assert "none.sqlite" in ended.stderr
        assert "hint: " in ended.stderr
    assert not list(project.glob("none*"))


def test_a_file_that_is_no_database_fails_verification(fsm, project) -> None:
    (project / "bad.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    for args in (["audit"], ["audit", "verify"], ["replay"], ["status"]):
        assert fsm(*args, "--db", "bad.sqlite").code == 4, args


def test_the_default_database_follows_the_environment(fsm, project) -> None:
    assert "var/sim.sqlite" in fsm("audit").stderr
    (project / ".env").write_text("BINANCE_ENV=testnet\n")
    assert "var/testnet.sqlite" in fsm("audit").stderr
    assert "var/mainnet.sqlite" in fsm("audit", env={"BINANCE_ENV": "mainnet"}).stderr


def test_a_broken_environment_keeps_readers_from_guessing_a_database(fsm, project, journal) -> None:
    (project / ".env").write_text("BINANCE_ENV=production\n")
    ended = fsm("audit")
    assert ended.code == 2
    assert ended.stderr.startswith(".env:1:13: ")
    assert fsm("audit", "--db", journal).code == 0


def test_a_failure_of_the_file_system_is_named_with_its_file(fsm, project, journal) -> None:
    (project / "taken").write_text("a file where a folder is needed")
    ended = fsm("db", "backup", "taken/copy.sqlite", "--db", journal)
    assert ended.code == 1
    assert re.match(r"error: taken: (File exists|Not a directory)\nhint: .+\n$", ended.stderr)


def test_an_unexpected_failure_is_one_line_and_a_hint_and_a_traceback_only_on_request(capsys) -> None:
    error = ValueError("two\nlines")
    assert report(error, json=False, debug=False) is Exit.UNEXPECTED
    assert capsys.readouterr().err.splitlines() == [
        "error: ValueError: two lines",
        "hint: this is a fault of the program: run it again with --debug and report what it prints",
    ]
    report(error, json=True, debug=True)
    printed = capsys.readouterr()
    assert "ValueError: two\nlines" in printed.err
    assert json.loads(printed.out)["error"]["code"] == "UNEXPECTED"


def test_ctrl_c_is_said_and_has_the_code_that_shells_expect(capsys) -> None:
    assert report(KeyboardInterrupt(), json=False, debug=False) is Exit.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_reader_that_goes_away_leaves_no_complaint(project, journal) -> None:
    command = f"{sys.executable} -m fsm audit export --db {journal} | head -c 100"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert len(ended.stdout) == 100
    assert ended.stderr == ""


def test_a_terminal_that_knows_few_signs_still_shows_everything(fsm_process, journal) -> None:
    ended = fsm_process("audit", "--limit", "1", "--db", journal, env={"PYTHONIOENCODING": "latin-1"})
    assert ended.code == 0
    assert "\\u2192" in ended.stdout


def test_light_commands_load_nothing_heavy(project) -> None:
    for args in (["graph"], ["--version"]):
        code = (
            "import sys\nfrom fsm.cli.app import app\n"
            f"try:\n    app({args!r})\nexcept SystemExit: pass\n"
            "print(sorted({'numpy', 'talipp', 'httpx', 'peewee', 'jsonschema', 'structlog'} & set(sys.modules)))"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert ended.stdout.splitlines()[-1] == "[]"


def test_the_exit_code_of_a_process_is_the_same(fsm_process) -> None:
    assert fsm_process("graph").code == 0
    assert fsm_process("nonsense").code == 2
    assert fsm_process("audit").code == 2
