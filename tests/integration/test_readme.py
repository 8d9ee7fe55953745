"""The README's figures and pictures are of this program, made by the commands that it names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests import doctor_page, earned, moving_picture, requirements

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_what_the_shipped_rules_earned_and_lost_is_what_a_backtest_says() -> None:
    assert earned.written(README, earned.table(earned.measured())) == README, "write it anew: python -m tests.earned"


def test_the_moving_picture_is_of_the_output_that_stands_there() -> None:
    text = moving_picture.PICTURE.read_text("utf-8")
    assert text == moving_picture.picture(), "draw it anew: python -m tests.moving_picture"
    lines = ["".join(found.itertext()) for found in ElementTree.fromstring(text) if found.tag.endswith("text")]
    assert lines == moving_picture.output()
    assert "](docs/first-minutes.svg)" in README
    assert not re.search(r"(href|src|url\()", text), "it loads nothing"


@pytest.mark.slow
def test_doctor_says_of_broken_accounts_what_the_page_shows() -> None:
    text = doctor_page.page()
    assert text.count("\n## ") == 21
    assert doctor_page.PAGE.read_text("utf-8") == text, "write it anew: python -m tests.doctor_page"


def test_each_promise_names_its_command_and_a_requirement_that_tests_hold() -> None:
    part = README.partition("## What it promises")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    for row in rows:
        promise, command, numbers = row[0], row[1], re.findall(r"R(\d+)", row[2])
        assert re.search(r"`[^`]+`", command), promise
        assert numbers, promise
        assert {int(number) for number in numbers} <= set(requirements.PROMISES), promise
