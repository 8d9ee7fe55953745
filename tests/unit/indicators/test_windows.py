"""Sums run from left to right, on every Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.windows import (
    delayed,
    mean,
    price_mean,
    quotient,
    smoothed,
    window_deviation,
    window_max,
    window_mean,
    window_min,
    window_price_mean,
)

floats = st.lists(st.floats(-1e9, 1e9), max_size=40)


def test_a_mean_is_added_from_left_to_right() -> None:
    # Python's sum() gives 2.0 / 4 from version 3.12 on, as it carries the rounding error along.
    assert mean([1e16, 1.0, 1.0, -1e16], 4) == 0.0


def test_equal_prices_have_that_price_as_their_mean() -> None:
    assert mean([0.1] * 10, 10) != 0.1
    assert price_mean([0.1] * 10, 10) == 0.1


@given(values=floats, period=st.integers(1, 12))
def test_windows_of_an_array_are_what_lists_give(values: list[float], period: int) -> None:
    array = np.array(values, dtype=np.float64)
    ends = range(period, len(values) + 1)
    missing = [np.nan] * min(period - 1, len(values))
    for windowed, of_list in (
        (window_mean(array, period), [mean(values[end - period : end], period) for end in ends]),
        (window_price_mean(array, period), [price_mean(values[end - period : end], period) for end in ends]),
        (window_max(array, period), [max(values[end - period : end]) for end in ends]),
        (window_min(array, period), [min(values[end - period : end]) for end in ends]),
    ):
        assert np.array_equal(windowed, np.array(missing + of_list), equal_nan=True)


@given(values=floats, period=st.integers(1, 12))
def test_deviations_are_what_numpy_says_to_within_rounding(values: list[float], period: int) -> None:
    array = np.array(values, dtype=np.float64)
    ours = window_deviation(array, window_price_mean(array, period), period)
    for end in range(period, len(values) + 1):
        scale = float(np.abs(array).max())
        assert ours[end - 1] == pytest.approx(np.std(array[end - period : end]), rel=1e-9, abs=1e-9 * scale)


def test_wilders_average_starts_as_a_mean_and_then_moves_by_one_part_in_the_period() -> None:
    averages = smoothed(np.array([1.0, 3.0, 4.0, 7.0]), 2)
    assert np.isnan(averages[0])
    assert averages[1:].tolist() == [2.0, 3.0, 5.0]
    assert np.isnan(smoothed(np.array([1.0]), 2)).all()


def test_delaying_moves_values_later() -> None:
    assert delayed(np.array([1.0, 2.0, 3.0]), 1)[1:].tolist() == [1.0, 2.0]
    assert np.isnan(delayed(np.array([1.0, 2.0]), 5)).all()


def test_a_quotient_by_zero_is_what_it_is_told_to_be() -> None:
    assert quotient(np.array([1.0, 1.0]), np.array([2.0, 0.0]), otherwise=7.0).tolist() == [0.5, 7.0]
