"""`run`: transitions scroll by, a summary ends it, and every command it suggests works when it is pasted."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from store.database import open_store

ROOT = Path(__file__).parents[4]


@pytest.fixture
def one_symbol(project: Path) -> Path:
    (project / "config.yaml").write_text("version: 1\nsymbols: {BTCUSDT: {}}\n", "utf-8")
    return project


def suggested(text: str) -> list[str]:
    return re.findall(r"(?m)^  (\S*python\S* -m fsm .+?) +# ", text)


def test_a_run_shows_everything_and_its_suggestions_work(fsm_process, one_symbol) -> None:
    ended = fsm_process("run")
    assert ended.code == 0, ended.stderr
    line = r"2024-\d\d-\d\d \d\d:00 +BTCUSDT +IDLE → SIGNALLED +signal +\w+ (LONG|SHORT)  \(BTCUSDT-1\)"
    assert re.match(line, ended.stdout)
    assert ended.stdout.count("ENTERING → PROTECTED") > 10
    assert "\nnet PnL " in ended.stdout

    commands = suggested(ended.stdout)
    assert len(commands) == 8
    for command in commands:
        pasted = subprocess.run(
            command,
            shell=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert pasted.returncode == 0, (command, pasted.stdout, pasted.stderr)
        assert pasted.stdout

    again = fsm_process("run")
    assert again.code == 0
    assert "holds a finished run up to 2025-07-01 00:00 UTC" in again.stdout
    assert "make run FRESH=1" in again.stdout
    assert "other rules" not in again.stdout
    assert suggested(again.stdout) == commands

    found = fsm_process("--json").document
    assert found["finished"] is True
    assert found["present_rules"] is True
    rules = one_symbol / "rules.yaml"
    rules.write_text(rules.read_text("utf-8").replace("\n  confirmations: 3", "\n  confirmations: 2"), "utf-8")
    assert "It was played with other rules than rules.yaml has now." in fsm_process("run").stdout


def test_the_whole_result_is_one_document(fsm_process, one_symbol) -> None:
    found = fsm_process("run", "--json", "--no-web", "--db", "here.sqlite").document
    assert found["database"] == "here.sqlite"
    assert found["trades"] > 10
    assert (one_symbol / "here.sqlite").exists()


def test_a_run_that_was_interrupted_is_not_touched(fsm, one_symbol) -> None:
    path = one_symbol / "half.sqlite"
    with open_store(path, mode="write") as store:
        store.bind(environment="sim", account=None, at_ms=0)
    before = path.read_bytes()
    ended = fsm("run", "--db", path, "--json")
    assert ended.code == 3
    assert ended.document["error"]["code"] == "RUN_INTERRUPTED"
    assert "make run FRESH=1" in ended.stderr
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_of_ours_is_not_touched(fsm, one_symbol) -> None:
    (one_symbol / "empty.sqlite").touch()
    ended = fsm("run", "--db", "empty.sqlite")
    assert ended.code == 3
    assert "hint: " in ended.stderr
    assert (one_symbol / "empty.sqlite").stat().st_size == 0
