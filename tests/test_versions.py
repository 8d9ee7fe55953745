"""R83: the versions of Python that setup.cfg promises are those on which `.ci/run` runs the tests."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def promised() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    return re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])


def test_r83_each_promised_version_is_run_by_the_gate() -> None:
    oldest, *further = promised()
    assert setup_oldest() == oldest
    gate = (ROOT / ".ci" / "run").read_text("utf-8")
    assert [found.split() for found in re.findall(r"for version in ([\d. ]+);", gate)] == [further]


def setup_oldest() -> str:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    return setup["options"]["python_requires"].removeprefix(">=")


def test_r83_this_version_is_one_of_them() -> None:
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in promised()


def test_r83_the_quick_part_is_the_same_command_on_each() -> None:
    made = subprocess.run(
        ["make", "-n", "quick", "PYTHON=python3.13", "VENV=.venv/python3.13"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ".venv/python3.13/bin/python -m pytest" in made.stdout
    assert "tests/unit/fsm/core" in made.stdout
