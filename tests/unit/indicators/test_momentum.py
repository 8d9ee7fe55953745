"""The relative strength index, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Values = Callable[..., list[Any]]


def test_the_rsi_is_the_share_of_rises_in_the_average_change(values: Values) -> None:
    # changes +2, -1: means 1 and 0.5; then +3: (1 + 3) / 2 and 0.5 / 2
    strength = values("rsi", [10.0, 12.0, 11.0, 14.0], period=2)
    assert strength[:2] == [None, None]
    assert strength[2:] == [pytest.approx(100 * 1 / 1.5), pytest.approx(100 * 2 / 2.25)]


def test_only_rises_make_100_and_only_falls_0(values: Values) -> None:
    assert values("rsi", [1.0, 2.0, 3.0, 4.0], period=2) == [None, None, 100.0, 100.0]
    assert values("rsi", [4.0, 3.0, 2.0, 1.0], period=2) == [None, None, 0.0, 0.0]


def test_a_market_that_never_moved_is_neither_strong_nor_weak(values: Values) -> None:
    assert values("rsi", [7.0] * 5, period=2) == [None, None, 50.0, 50.0, 50.0]


def test_a_pause_after_a_move_keeps_the_strength_it_had(values: Values) -> None:
    strength = values("rsi", [10.0, 12.0, *[11.0] * 100], period=2)
    assert strength[-1] == pytest.approx(100 * 1 / 1.5)


def test_a_pause_so_long_that_the_averages_vanish_leaves_a_strength_within_bounds(values: Values) -> None:
    strength = values("rsi", [10.0, 12.0, *[11.0] * 3_000], period=2)
    assert all(0.0 <= value <= 100.0 for value in strength[2:])
