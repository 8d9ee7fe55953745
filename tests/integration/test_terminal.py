"""On terminals of any width no line is longer than they are and no word is broken; docs show what they show."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.captures import COMMANDS, PAGE, WIDTHS, captured, in_tmux, page, recorded_run
from tests.effort import sampled

WHOLE = ("BTCUSDT-1", "BTCUSDT-2", "PROTECTED", "stop", "60612.2", "59940", "0.064", "2024-01-10 15:00:02", "USDT")
"""Words and numbers that stand in the wide captures and must stand in every narrower one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("terminal")).parent


def test_the_page_is_what_terminals_show(folder: Path) -> None:
    assert PAGE.read_text("utf-8") == page(folder), "write it again with `python -m tests.captures`"


@pytest.mark.parametrize("columns", sampled([80, 100, 140], often=1))
@pytest.mark.parametrize("words", COMMANDS.values(), ids=lambda words: words[0])
def test_no_line_is_longer_than_the_terminal_and_no_word_is_broken(
    folder: Path, words: tuple[str, ...], columns: int
) -> None:
    shown, wide = captured(folder, columns, *words), captured(folder, 400, *words)
    assert max(map(len, shown.splitlines())) <= columns
    for word in WHOLE:
        if word in wide:
            assert word in shown, word
    numbers = re.compile(r"(?<![\w.])[+-]?\d[\d,]*\.\d+(?![\w.])")
    assert set(numbers.findall(wide)) <= set(numbers.findall(shown))


OTHERS = (
    ("why",), ("why", "BTCUSDT"), ("audit",), ("audit", "show", "1"), ("execution",), ("commands", "list"),
    ("shadow", "list"), ("reload",), ("graph", "--help"), ("rules", "indicators"), ("modelcheck", "--variants"),
    ("naked", "--list"), ("crashsweep", "--list"), ("audit", "verify"),
)  # fmt: skip
BROKEN_UNIT = re.compile(r"\d\n\s*(%|USDT|ATR|R)(?!\w| a )")


def test_no_other_command_is_wider_than_a_narrow_terminal_and_no_unit_leaves_its_number(folder: Path) -> None:
    wrong = {}
    for words in OTHERS:
        shown = captured(folder, 80, *words)
        lines = [line for line in shown.splitlines() if "\r" not in line and " ━" not in line]
        wide = [line for line in lines if len(line) > 80]
        if wide or BROKEN_UNIT.search(shown):
            wrong[words] = wide or shown
    assert not wrong


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here; .ci/run brings it")
def test_flatten_names_what_it_will_close_and_a_no_is_no_error_of_the_program(folder: Path) -> None:
    asked = in_tmux(folder, 80, "flatten", typed="n")
    assert "LONG 0.063 BTCUSDT from 61218.3" in asked
    assert "Close 1 position at the market, and halt all symbols until `resume`?" in " ".join(asked.split())
    assert "nothing was done" in asked


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here; .ci/run brings it")
@pytest.mark.parametrize("columns", sampled(WIDTHS, often=1))
@pytest.mark.parametrize("words", COMMANDS.values(), ids=lambda words: words[0])
def test_tmux_shows_the_same(folder: Path, words: tuple[str, ...], columns: int) -> None:
    assert in_tmux(folder, columns, *words) == captured(folder, columns, *words)


def test_a_newcomer_s_questions_are_answered_at_eighty_columns(folder: Path) -> None:
    """What it holds, from where, where the stop is, what is risked, and whether that is confirmed."""
    shown = captured(folder, 80, "positions")
    for word in ("side LONG", "size ", "entry ", "stop ", "at the stop -42.77", "protected UTC 2024-01-10"):
        assert word in shown
