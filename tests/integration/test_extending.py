"""docs/extending.md keeps its word: each patch applies to a clean tree, touches the files it lists, and works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.effort import sampled

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
COPIED = ("fsm", "rules", "indicators", "exchange", "store", "web", "tests", "config.yaml", "rules.yaml", "setup.cfg")
ABOUT = {"indicator": ["-k", "bull"]}
"""Which of the tests are about the addition, where the others are many and are run anyway."""
HEADINGS = {
    "indicator": "An indicator",
    "exit_rule": "An exit rule",
    "alert": "An alert",
    "trade_column": "A column of a trade",
}
FILES_MAX = {"indicator": 2, "exit_rule": 3, "alert": 2, "trade_column": 4}
"""Beside its tests."""


def patch_of(name: str) -> Path:
    return ROOT / "docs" / "extending" / f"{name}.patch"


def touched_by(patch: Path) -> set[str]:
    return set(re.findall(r"(?m)^\+\+\+ b/(.+)$", patch.read_text("utf-8")))


def listed_under(heading: str) -> set[str]:
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", section))


@pytest.mark.parametrize("name", HEADINGS)
def test_the_page_lists_what_an_addition_touches(name: str) -> None:
    assert listed_under(HEADINGS[name]) == touched_by(patch_of(name))


@pytest.mark.parametrize("name", HEADINGS)
def test_an_addition_touches_few_files(name: str) -> None:
    assert len({path for path in touched_by(patch_of(name)) if not path.startswith("tests/")}) <= FILES_MAX[name]


@pytest.mark.parametrize("name", sampled(HEADINGS, often=1))
def test_an_addition_made_as_the_page_says_works(name: str, tmp_path: Path) -> None:
    for each in COPIED:
        if (ROOT / each).is_dir():
            shutil.copytree(ROOT / each, tmp_path / each)  # with what is compiled: only what the patch touches is not
        else:
            shutil.copy(ROOT / each, tmp_path / each)
    subprocess.run(["git", "apply", "--verbose", str(patch_of(name))], cwd=tmp_path, check=True, capture_output=True)
    tests = sorted(path for path in touched_by(patch_of(name)) if path.startswith("tests/"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *ABOUT.get(name, []), *tests],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
