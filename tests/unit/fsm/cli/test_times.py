"""Times as people type and read them."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.cli.times import Time, shown, typed

JUNE_30 = 1_751_241_600_000
HOUR = 3_600_000


def parsed(text: str, *, end: bool = False) -> int:
    return Time(end=end).convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2025-06-30", JUNE_30),
        ("2025-06-30T14:00", JUNE_30 + 14 * HOUR),
        ("2025-06-30 14:00", JUNE_30 + 14 * HOUR),
        ("2025-06-30T14:00:01.250Z", JUNE_30 + 14 * HOUR + 1_250),
        ("2025-06-30T14:00+02:00", JUNE_30 + 12 * HOUR),
        (" 1751241600000 ", JUNE_30),
        ("20250630", JUNE_30),
    ],
)
def test_a_time_may_be_a_date_a_date_with_a_time_or_milliseconds(text: str, at_ms: int) -> None:
    assert parsed(text) == at_ms


def test_a_date_that_ends_a_range_means_the_end_of_that_day() -> None:
    assert parsed("2025-06-30", end=True) == JUNE_30 + 24 * HOUR
    assert parsed("2025-06-30T00:00", end=True) == JUNE_30


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01", "1751241600", "99999999999999", "14:00"])
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"write 2025-06-30|milliseconds"):
        parsed(text)


def test_a_time_shows_no_more_than_it_has() -> None:
    assert shown(None) == ""
    assert shown(JUNE_30) == "2025-06-30 00:00"
    assert shown(JUNE_30 + 1_000) == "2025-06-30 00:00:01"
    assert shown(JUNE_30 + 5) == "2025-06-30 00:00:00.005"


@given(st.integers(min_value=10**11, max_value=10**13 - 1))
def test_what_is_printed_can_be_typed_again(at_ms: int) -> None:
    assert parsed(typed(at_ms)) == at_ms
    assert parsed(shown(at_ms)) == at_ms
