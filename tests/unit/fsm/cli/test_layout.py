"""Text is laid out in the columns that there are: nothing is wider, nothing is cut off, and no number is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.cli import layout

COLUMNS = ("condition", "holds", "numbers", "distance")
ROWS = [
    ("any of", "yes", "2 alternatives", ""),
    ("  volatility_spikes", "no", "0.9722496631 against 1.4", "-0.4278 ATR"),
    ("  bands_expand", "no", "24.31293233 against 50", "-25.69 percentage points"),
    ("  opened", "yes", "2024-09-16 08:07:55.202 to 2024-09-16 09:00", "+1.29 % (+0.79 ATR)"),
]


@pytest.mark.parametrize("room", range(74, 130, 5))
def test_every_word_of_a_table_stands_whole_within_the_room(room: int) -> None:
    laid = layout.table(COLUMNS, ROWS, ("distance",), room)
    assert laid is not None
    names, lines = laid
    assert max(map(len, [*names, *lines])) <= room
    shown = "\n".join([*names, *lines])
    for row in (COLUMNS, *ROWS):
        for cell in row:
            for word in ("2024-09-16 08:07:55.202", "+0.79 ATR", "+1.29 %", *cell.split()):
                assert word in shown, word


def test_a_table_takes_as_many_lines_as_it_must_and_numbers_end_at_the_same_place() -> None:
    laid = layout.table(("name", "in USDT"), [("one", "1.50"), ("two", "12.50")], ("in USDT",), 40)
    assert laid == (["name  in USDT"], ["one      1.50", "two     12.50"])


def test_where_not_even_the_longest_words_fit_there_is_no_table() -> None:
    assert layout.table(COLUMNS, ROWS, (), 40) is None


def test_a_row_in_a_block_is_folded_where_one_value_is_longer_than_the_terminal() -> None:
    about = "how far the close is below the highest high of the last candles, in percent of their range"
    ((first, lines),) = layout.stacked(("name", "unit", "what it is"), [("williams_r", "score", about)], 40)
    assert first == "williams_r"
    assert max(map(len, lines)) <= 40
    assert " ".join(" ".join(lines).split()) == f"unit score what it is {about}"


def test_what_is_longer_than_the_room_stays_whole_to_be_copied() -> None:
    word = "0" * 64
    assert layout.folded(f"The head is {word}. Keep it.", 30) == ["The head is", f"{word}.", "Keep it."]


def test_signs_that_take_two_columns_or_none_are_counted_so() -> None:
    assert layout.columns_of("日本") == 4
    assert layout.columns_of("e\u0301") == 1
    assert layout.columns_of("\x1b[1mbold\x1b[0m") == 4
    assert layout.columns_of("→ …") == 3


@given(st.lists(st.text("ab1%,.-\n ", max_size=30), min_size=1, max_size=4), st.integers(20, 90))
def test_no_word_is_lost_however_narrow_it_is(cells: list[str], room: int) -> None:
    columns = [f"c{place}" for place in range(len(cells))]
    laid = layout.table(columns, [cells], (), room)
    if laid is None:
        return
    shown = "\n".join(laid[1])
    assert all(len(line) <= room for line in laid[1])
    assert sorted("".join(shown.split())) == sorted("".join("".join(cells).split()))
