"""The first ten minutes on a terminal: recorded anew, they are what docs show, and answer what a newcomer asks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.captures import WIDTHS
from tests.first_minutes import PAGE, recorded, settled

BEGINS = re.compile(r"\d\d:\d\d:\d\d  |\d{4}-\d\d-\d\d|[A-Z]")
IN_THE_HOUR = re.compile(r"^(\d\d):\d\d:\d\d")
"""The clock jumps, and a fill may arrive before the bot has read it again: the hour is always right."""

WHENEVER = "The journal's head is"
"""Told when a thread of its own has read the journal: its place among the others depends on the machine."""


def sentences(lines: list[str]) -> list[str]:
    """What was told, however it was folded."""
    found: list[str] = []
    for line in lines:
        if BEGINS.match(line) or not found:
            found.append(line)
        else:
            found[-1] += f" {line.strip()}"
    return [IN_THE_HOUR.sub(r"\1", settled(each)) for each in found if WHENEVER not in each]


def shown_on_the_page(columns: int) -> list[str]:
    found = re.search(rf"(?ms)^## {columns} columns\n\n```text\n(.*?)\n```", PAGE.read_text("utf-8"))
    assert found is not None
    return found[1].split("\n")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return recorded(WIDTHS[0], tmp_path_factory.mktemp("first"))


def test_the_page_shows_what_a_terminal_shows(lines: list[str]) -> None:
    assert sentences(lines) == sentences(shown_on_the_page(WIDTHS[0])), "python -m tests.first_minutes writes it again"


@pytest.mark.slow
def test_so_it_does_on_a_wide_terminal(tmp_path: Path) -> None:
    assert sentences(recorded(WIDTHS[1], tmp_path)) == sentences(shown_on_the_page(WIDTHS[1]))


def test_no_line_is_longer_than_the_terminal(lines: list[str]) -> None:
    assert max(map(len, lines)) <= WIDTHS[0]
    for columns in WIDTHS:
        assert max(map(len, shown_on_the_page(columns))) <= columns


def test_a_stop_and_a_target_are_hit_each_in_one_line(lines: list[str]) -> None:
    told = sentences(lines)
    exits = [each for each in told if " is closed, " in each]
    assert any("because the stop was hit" in each for each in exits)
    assert any("because a target was hit" in each for each in exits)
    for each in exits:
        assert re.search(r"[+-]\d+\.\d\d USDT net \([+-]\d\.\d\d R, fees \d+\.\d\d USDT\)", each), each
    assert not [each for each in told if "The result follows" in each]
    assert len(told) == len(set(told)), "no line is said twice"


def test_the_screen_alone_answers_what_a_newcomer_asks(lines: list[str]) -> None:
    """What did it buy, where is the stop, what is risked, why, and what comes next."""
    opened = [each for each in sentences(lines) if " at risk, target" in each]
    assert len(opened) >= 3
    for each in opened:
        assert re.search(r"(LONG|SHORT) [\d.]+ at [\d.]+ \([\d,.]+ USDT, \w+\)", each), each
        assert re.search(r"stop [\d.]+ \([+-]\d+\.\d\d %\) confirmed, \d+\.\d\d USDT at risk", each), each
        assert re.search(r"targets? [\d.]+ \([+-]\d+\.\d\d %\)", each), each
    sent = [each for each in sentences(lines) if " sends " in each]
    assert len(sent) == len(opened)
    assert all(re.search(r": all conditions of \w+ (LONG|SHORT) hold \(`why \w+` lists them\)$", each) for each in sent)
    assert "in a trade: SOLUSDT" in lines[-1], "what it waits for stands in the last line"
