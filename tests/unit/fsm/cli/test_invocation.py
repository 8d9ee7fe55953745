"""Commands that are printed to be pasted are called as the program was: the word that was typed works again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The command as an installed wheel brings it."""
    path = tmp_path / "bin" / "fsm"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\nfrom fsm.__main__ import main\nmain()\n")
    path.chmod(0o755)
    return path


def told(command: Path | str, folder: Path, **environment: str) -> str:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [command, "init"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_command_by_its_name_where_the_shell_finds_it(command: Path, tmp_path: Path) -> None:
    found = told(command, tmp_path / "bot", PATH=f"{command.parent}:{os.environ['PATH']}")
    assert "\n  fsm check " in found
    assert "python" not in found


def test_by_its_path_where_the_shell_does_not(command: Path, tmp_path: Path) -> None:
    assert f"\n  {command} check " in told(command, tmp_path / "elsewhere")
    assert "\n  bin/fsm check " in told(command, tmp_path)
