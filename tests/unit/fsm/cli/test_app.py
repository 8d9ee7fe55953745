"""The command line as a whole: where options may stand, what runs without a command, and how commands end."""

from __future__ import annotations

import re

import pytest

from fsm.cli.app import COMMANDS, app
from fsm.core.states import mermaid


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


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(fsm, name) -> None:
    ended = fsm(name, "--help")
    assert ended.code == 0
    for option in ("--config", "--rules", "--env-file", "--db", "--json"):
        assert option in ended.stdout


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


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["audit", "nonsense"],
        ["check", "--nonsense"],
        ["why"],
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


def test_an_unexpected_failure_is_one_line_with_a_hint_and_a_traceback_only_on_request(fsm, project) -> None:
    (project / "config.yaml").unlink()
    (project / "config.yaml").symlink_to("/proc/self/mem")
    (project / "taken").mkdir()
    ended = fsm("db", "backup", "taken/x", "--db", "/proc/self/mem")
    assert ended.code in (1, 4)
    assert "Traceback" not in ended.stderr


def test_the_exit_code_of_a_process_is_the_same(fsm_process) -> None:
    assert fsm_process("graph").code == 0
    assert fsm_process("nonsense").code == 2
    assert fsm_process("audit").code == 2


def test_the_group_is_what_python_m_fsm_starts() -> None:
    assert app.name == "app"
