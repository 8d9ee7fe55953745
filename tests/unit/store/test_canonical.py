"""What is hashed can be written down by anybody with a JSON library."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.canonical import digest, finite

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
)
ROWS = st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1), VALUES, max_size=12)


@given(row=ROWS)
def test_the_digest_is_that_of_sorted_compact_json_without_nulls(row: dict[str, str | int | None]) -> None:
    present = {name: value for name, value in row.items() if value is not None}
    text = json.dumps(present, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if "\x7f" not in text:  # the one character that the two libraries spell differently
        assert digest(tuple(row), tuple(row.values())) == hashlib.sha256(text.encode()).hexdigest()


@given(row=ROWS, other=ROWS)
def test_different_rows_have_different_digests(
    row: dict[str, str | int | None], other: dict[str, str | int | None]
) -> None:
    def present(columns: dict[str, str | int | None]) -> dict[str, str | int]:
        return {name: value for name, value in columns.items() if value is not None}

    same = digest(tuple(row), tuple(row.values())) == digest(tuple(other), tuple(other.values()))
    assert same == (present(row) == present(other))


def test_the_order_of_columns_does_not_matter_and_their_types_do() -> None:
    assert digest(("a", "b"), (1, "2")) == digest(("b", "a"), ("2", 1))
    assert len({digest(("a",), (value,)) for value in (1, "1", 1.0, "1.0", "", None)}) == 6


def test_columns_and_values_must_pair_up() -> None:
    with pytest.raises(ValueError, match="shorter"):
        digest(("a", "b"), (1,))


def test_only_finite_numbers_are_numbers() -> None:
    assert finite(1) == 1.0
    assert isinstance(finite(1), float)
    for bad in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match="cannot be journalled"):
            finite(bad)
