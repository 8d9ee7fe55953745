"""Directional movement, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Values = Callable[..., list[Any]]

# highs 10, 12, 13, 11; lows 8, 9, 7, 6. Upwards: 2, 0 (the low fell by more), 0. Downwards: 0, 2, 1.
# True ranges from the second candle on, closes 9, 11, 8: 3, 6, 5.
ROWS = [(9.0, 10.0, 8.0, 9.0), (9.0, 12.0, 9.0, 11.0), (11.0, 13.0, 7.0, 8.0), (8.0, 11.0, 6.0, 7.0)]


def test_the_directional_indicators_are_shares_of_the_true_range(values: Values) -> None:
    # seeds: up 1, down 1, range 4.5; then up 0.5, down 1, range 4.75
    assert values("plus_di", ROWS, period=2) == [None, None, pytest.approx(100 / 4.5), pytest.approx(50 / 4.75)]
    assert values("minus_di", ROWS, period=2) == [None, None, pytest.approx(100 / 4.5), pytest.approx(100 / 4.75)]


def test_the_adx_averages_how_one_sided_they_are(values: Values) -> None:
    # 0 at the third candle; 0.5 / 1.5 at the fourth
    assert values("adx", ROWS, period=2) == [None, None, None, pytest.approx(100 * (0 + 1 / 3) / 2)]


def test_a_straight_rise_is_all_direction(values: Values) -> None:
    rise = [(price, price + 1.0, price, price + 1.0) for price in range(10, 20)]
    assert values("adx", rise, period=2)[3:] == [100.0] * 7
    assert values("plus_di", rise, period=2)[2:] == [100.0] * 8
    assert values("minus_di", rise, period=2)[2:] == [0.0] * 8


def test_candles_that_reach_out_equally_on_both_sides_have_no_direction(values: Values) -> None:
    widening = [(50.0, 51.0 + step, 49.0 - step, 50.0) for step in range(6)]
    assert values("plus_di", widening, period=2)[2:] == [0.0] * 4
    assert values("adx", widening, period=2)[3:] == [0.0] * 3


def test_a_market_that_never_moved_has_no_direction(values: Values) -> None:
    assert values("plus_di", [5.0] * 6, period=2) == [None, None, 0.0, 0.0, 0.0, 0.0]
    assert values("adx", [5.0] * 6, period=2) == [None, None, None, 0.0, 0.0, 0.0]
