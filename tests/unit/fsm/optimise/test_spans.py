"""Windows of walk-forward, laid by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fsm.optimise.parameters import SearchError
from fsm.optimise.spans import DAY_MS, Fold, Span, Walk, folds_of

HOUR_MS = 3_600_000
YEAR = Span("whole", 0, 365 * DAY_MS)


def days(folds: tuple[Fold, ...]) -> list[tuple[float, float, float, float]]:
    return [
        (fold.train.from_ms / DAY_MS, fold.train.to_ms / DAY_MS, fold.test.from_ms / DAY_MS, fold.test.to_ms / DAY_MS)
        for fold in folds
    ]


def test_rolling_windows_end_where_the_data_ends() -> None:
    """364 days without the gap, for 4 judging windows and one three times as long: 52 days each."""
    assert days(folds_of(Walk(folds=4), YEAR, HOUR_MS)) == [
        (0, 156, 157, 209),
        (52, 208, 209, 261),
        (104, 260, 261, 313),
        (156, 312, 313, 365),
    ]


def test_anchored_windows_all_begin_at_the_first() -> None:
    assert days(folds_of(Walk(folds=4, anchored=True), YEAR, HOUR_MS)) == [
        (0, 156, 157, 209),
        (0, 208, 209, 261),
        (0, 260, 261, 313),
        (0, 312, 313, 365),
    ]


def test_lengths_may_be_given_and_what_is_left_is_at_the_beginning() -> None:
    walk = Walk(folds=2, train_days=100, test_days=30, gap_days=5)
    assert days(folds_of(walk, YEAR, HOUR_MS)) == [(200, 300, 305, 335), (230, 330, 335, 365)]
    assert days(folds_of(Walk(folds=2, test_days=30, gap_days=0), YEAR, HOUR_MS)) == [
        (215, 305, 305, 335),
        (245, 335, 335, 365),
    ]
    assert days(folds_of(Walk(folds=2, train_days=300, gap_days=1), YEAR, HOUR_MS)) == [
        (0, 301 - 1, 301, 333),
        (32, 332, 333, 365),
    ]


def test_no_window_judges_what_another_one_judges_nor_what_it_was_searched_in() -> None:
    for walk in (Walk(folds=7), Walk(folds=7, anchored=True), Walk(folds=3, gap_days=0.5)):
        folds = folds_of(walk, YEAR, HOUR_MS)
        assert all(fold.train.to_ms + round(walk.gap_days * DAY_MS) == fold.test.from_ms for fold in folds)
        assert all(a.test.to_ms == b.test.from_ms for a, b in pairwise(folds))
        assert folds[0].train.from_ms >= YEAR.from_ms
        assert folds[-1].test.to_ms == YEAR.to_ms


def test_no_windows_where_none_are_wanted() -> None:
    assert folds_of(Walk(folds=0), YEAR, HOUR_MS) == ()


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SearchError, match="5 windows do not fit into 365 days"):
        folds_of(Walk(folds=5, train_days=300, test_days=30), YEAR, HOUR_MS)
    with pytest.raises(SearchError, match="do not fit"):
        folds_of(Walk(folds=100, gap_days=364.9), YEAR, HOUR_MS)
