"""On terminals of any width no line is longer than they are and no word is broken; docs show what they show."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.captures import COMMANDS, PAGE, WIDTHS, captured, in_tmux, page, recorded_run

WHOLE = ("BTCUSDT-1", "BTCUSDT-2", "PROTECTED", "STOP_HIT", "60612.2", "59940", "0.064", "2024-01-10 15:00:02", "USDT")
"""Words and numbers that stand in the wide captures and must stand in every narrower one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("terminal")).parent


def test_the_page_is_what_terminals_show(folder: Path) -> None:
    assert PAGE.read_text("utf-8") == page(folder), "write it again with `python -m tests.captures`"


@pytest.mark.parametrize("columns", [80, 100, 140])
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


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here; .ci/run brings it")
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("words", COMMANDS.values(), ids=lambda words: words[0])
def test_tmux_shows_the_same(folder: Path, words: tuple[str, ...], columns: int) -> None:
    assert in_tmux(folder, columns, *words) == captured(folder, columns, *words)


def test_a_newcomer_s_questions_are_answered_at_eighty_columns(folder: Path) -> None:
    """What it holds, from where, where the stop is, what is risked, and whether that is confirmed."""
    shown = captured(folder, 80, "positions")
    for word in ("side LONG", "size ", "entry ", "stop ", "at the stop -42.77", "protected UTC 2024-01-10"):
        assert word in shown
