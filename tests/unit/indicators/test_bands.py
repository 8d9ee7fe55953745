"""Bollinger Bands and what is read from them, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Values = Callable[..., list[Any]]

PAIR = {"period": 2, "deviations": 2.0}
# Two closes a and b have the mean (a + b) / 2 and the deviation |a - b| / 2.
CLOSES = [4.0, 6.0, 6.0, 2.0, 6.0]


def test_the_bands_stand_two_deviations_from_the_mean(values: Values) -> None:
    assert values("bb_middle", CLOSES, **PAIR) == [None, 5.0, 6.0, 4.0, 4.0]
    assert values("bb_upper", CLOSES, **PAIR) == [None, 7.0, 6.0, 8.0, 8.0]
    assert values("bb_lower", CLOSES, **PAIR) == [None, 3.0, 6.0, 0.0, 0.0]


def test_the_deviation_is_that_of_the_whole_population(values: Values) -> None:
    closes = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]  # mean 5, deviation 2
    assert values("bb_upper", closes, period=8, deviations=1.0)[-1] == 7.0


def test_the_bandwidth_is_in_percent_of_the_middle(values: Values) -> None:
    assert values("bb_bandwidth", CLOSES, **PAIR) == [None, 80.0, 0.0, 200.0, 200.0]


def test_the_bandwidth_change_is_in_percent_and_0_where_there_was_no_width(values: Values) -> None:
    change = values("bb_bandwidth_change", CLOSES, lookback=1, **PAIR)
    assert change == [None, None, -100.0, 0.0, 0.0]
    assert values("bb_bandwidth_change", CLOSES, lookback=2, **PAIR) == [None, None, None, 150.0, 0.0]


def test_the_rank_counts_the_bandwidths_that_are_not_above_the_current_one(values: Values) -> None:
    # widths 80, 0, 200, 200
    rank = values("bandwidth_rank", CLOSES, window=3, **PAIR)
    assert rank == [None, None, None, 1.0, 1.0]
    narrowing = values("bandwidth_rank", [4.0, 6.0, 6.0, 2.0, 3.0], window=3, **PAIR)
    assert narrowing[-1] == 2 / 3  # widths 0, 200, 80
    assert values("bandwidth_rank", [4.0, 6.0, 2.0, 2.0], window=3, **PAIR)[-1] == 1 / 3  # widths 80, 200, 0


@pytest.mark.parametrize("price", [0.1, 0.3, 1 / 3, 96_123.45])
def test_a_market_that_stands_still_has_bands_without_width(values: Values, price: float) -> None:
    still = [price] * 140
    assert values("bb_upper", still)[-1] == price
    assert values("bb_lower", still)[-1] == price
    assert values("bb_bandwidth", still)[-1] == 0.0
    assert values("bb_bandwidth_change", still)[-1] == 0.0
    assert values("bandwidth_rank", still)[-1] == 1.0
    assert values("mean_reversion_score", still)[-1] == 0.0


def test_the_score_counts_how_often_the_close_changed_sides(values: Values) -> None:
    # means 1.5, 1.5, 1.5, 2: above, below, above, above
    closes = [1.0, 2.0, 1.0, 2.0, 2.5]
    assert values("mean_reversion_score", closes, period=2, window=1) == [None, None, 1.0, 1.0, 0.0]
    assert values("mean_reversion_score", closes, period=2, window=3) == [None, None, None, None, 2.0]


def test_a_close_on_the_middle_stays_on_the_side_it_came_from(values: Values) -> None:
    # above, on it, on it, above: no crossing; above, on it, below: one
    assert values("mean_reversion_score", [1.0, 2.0, 2.0, 2.0, 3.0], period=2, window=3)[-1] == 0.0
    assert values("mean_reversion_score", [1.0, 2.0, 2.0, 1.0], period=2, window=2)[-1] == 1.0
    assert values("mean_reversion_score", [1.0, 2.0, 2.0, 1.0], period=2, window=1)[-1] == 1.0


def test_the_first_side_taken_is_no_crossing(values: Values) -> None:
    assert values("mean_reversion_score", [2.0, 2.0, 2.0, 3.0], period=2, window=2)[-1] == 0.0
