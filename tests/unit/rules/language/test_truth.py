"""Kleene's logic: what is known of the whole when parts are unknown."""

from __future__ import annotations

import itertools

import pytest

from rules.language.truth import Truth, all_of, any_of

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        (TRUE, TRUE, TRUE, TRUE),
        (TRUE, FALSE, FALSE, TRUE),
        (TRUE, UNKNOWN, UNKNOWN, TRUE),
        (FALSE, FALSE, FALSE, FALSE),
        (FALSE, UNKNOWN, FALSE, UNKNOWN),
        (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    ],
)
def test_the_table_of_and_and_or(left: Truth, right: Truth, both: Truth, either: Truth) -> None:
    assert all_of([left, right]) is all_of([right, left]) is both
    assert any_of([left, right]) is any_of([right, left]) is either


def test_the_opposite_of_unknown_is_unknown() -> None:
    assert [truth.negated for truth in (TRUE, FALSE, UNKNOWN)] == [FALSE, TRUE, UNKNOWN]


def test_negation_swaps_and_with_or() -> None:
    for truths in itertools.product(Truth, repeat=3):
        assert all_of(truths).negated is any_of([truth.negated for truth in truths])


def test_all_of_nothing_holds_and_any_of_nothing_does_not() -> None:
    assert all_of([]) is TRUE
    assert any_of([]) is FALSE


@pytest.mark.parametrize("truth", list(Truth))
def test_a_truth_is_never_taken_for_a_bool(truth: Truth) -> None:
    with pytest.raises(TypeError, match="three values"):
        bool(truth)
