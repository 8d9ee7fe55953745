"""Shells complete what the command line knows, and a word that is misspelt is answered with the one that was meant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fsm.cli.app import app

ROOT = Path(__file__).parents[4]


def completed(words: str) -> list[str]:
    """What the shell is told when TAB is pressed behind these words."""
    given = words.split(" ")
    asked = {"_FSM_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(given) - 1)}
    ended = subprocess.run(
        [sys.executable, "-c", "from fsm.__main__ import main; main()"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **asked},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return [line.partition(",")[2] for line in ended.stdout.splitlines()]


def test_every_command_is_completed() -> None:
    assert set(app.list_commands(None)) <= set(completed("fsm "))
    assert completed("fsm back") == ["backtest"]


def test_verbs_options_and_names_are_completed() -> None:
    assert {"check", "indicators", "schema"} <= set(completed("fsm rules "))
    assert completed("fsm backtest --symb") == ["--symbols"]
    assert completed("fsm completion f") == ["fish"]
    assert completed("fsm rules indicators macd_") == ["macd_line", "macd_signal", "macd_histogram"]


def test_symbols_strategies_states_and_runs_are_completed(project: Path, journal: Path) -> None:
    """Those of the database and of the files in the folder; of a list, the one that is being typed."""
    shared = f"--config {project / 'config.yaml'} --rules {project / 'rules.yaml'}"
    assert completed(f"fsm why --db {journal} {shared} bt") == ["BTCUSDT"]
    assert "BTCUSDT" in completed(f"fsm pause {shared} ")
    assert completed(f"fsm backtest {shared} --symbols ETHUSDT,B") == ["ETHUSDT,BTCUSDT"]
    assert "trend_pullback" in completed(f"fsm pause {shared} --strategy t")
    assert completed(f"fsm audit --db {journal} --state h") == ["halt"]
    assert not any(completed(f"fsm why --db {project / 'none.sqlite'} --config {project / 'none.yaml'} "))


@pytest.mark.parametrize(
    ("command", "code"),
    [("why", 2), ("pause", 2), ("trades --symbol", 0), ("audit --symbol", 0), ("execution --symbol", 0)],
)
def test_a_misspelt_symbol_is_answered_with_the_one_that_was_meant(
    fsm, journal_copy: Path, command: str, code: int
) -> None:
    """A filter that nothing passes is no failure."""
    ended = fsm(*command.split(), "BTCUSD", "--db", journal_copy)
    assert ended.code == code
    assert "did you mean BTCUSDT?" in ended.stdout + ended.stderr
    other = fsm(*command.split(), "ETHUSDT", "--db", journal_copy)
    assert "did you mean" not in other.stdout + other.stderr, "all symbols end alike"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_can_read(fsm, shell, tmp_path) -> None:
    script = fsm("completion", shell).stdout
    assert "_FSM_COMPLETE" in script
    assert fsm("completion", shell, "--json").document["script"] == script.strip()
    program = shutil.which(shell)
    if program is not None:
        (tmp_path / "script").write_text(script)
        read = subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stderr


def test_another_shell_is_bad_usage(fsm) -> None:
    assert fsm("completion", "tcsh").code == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["trads"], "Did you mean 'trades'?"),  # and not its other name
        (["stauts"], "Did you mean 'status'?"),
        (["rules", "chekc"], "Did you mean 'check'?"),
        (["audit", "--symbl", "BTCUSDT"], "Did you mean '--symbol'?"),
        (["verify"], "Did you mean audit verify?"),
        (["rules", "indicators", "supertrnd"], "did you mean supertrend"),
    ],
)
def test_what_was_meant_is_said(fsm, typed, meant) -> None:
    ended = fsm(*typed)
    assert ended.code == 2
    assert meant in ended.stderr
