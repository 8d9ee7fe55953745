"""The README keeps its word: its picture is the table's, and every command in it runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.sim.symbols import shipped_folder
from fsm.config import load_config
from fsm.core.states import mermaid
from fsm.lab.backtest import Request, run_backtest
from rules.load import load_rules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
OURS = [command for command in COMMANDS if command.startswith(".venv/bin/python -m fsm ")]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make run` leaves, of two months."""
    path = tmp_path_factory.mktemp("readme") / "sim.sqlite"
    run_backtest(
        Request(
            config=load_config(ROOT / "config.yaml", None, {}),
            rules=load_rules(ROOT / "rules.yaml"),
            data=(shipped_folder(),),
            symbols=("BTCUSDT",),
            from_ms=1_725_148_800_000,
            to_ms=1_730_419_200_000,
            db=path,
        )
    )
    return path


def test_the_picture_is_drawn_from_the_running_table() -> None:
    assert f"```mermaid\n{mermaid()}```" in README


def test_every_command_is_one_that_is_tested_here_or_by_ci() -> None:
    assert len(OURS) >= 7
    assert {command for command in COMMANDS if command not in OURS} == {"make run", "make test"}


@pytest.mark.parametrize("command", OURS)
def test_a_command_of_the_readme_runs(command: str, database: Path) -> None:
    words = [word.replace("var/sim.sqlite", str(database)) for word in shlex.split(command)]
    done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("target", ["run", "test", "check", "bench", "soak", "clean"])
def test_make_knows_every_target_that_is_named(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
