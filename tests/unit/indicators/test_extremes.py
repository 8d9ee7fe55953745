"""Highs, lows and swings, computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Values = Callable[..., list[Any]]


def rows(highs: Sequence[float], lows: Sequence[float] | None = None) -> list[tuple[float, float, float, float]]:
    lows = lows if lows is not None else [1.0] * len(highs)
    return [(low, high, low, low) for high, low in zip(highs, lows, strict=True)]


def test_recent_extremes_include_the_current_candle(values: Values) -> None:
    candles = rows([5.0, 7.0, 6.0, 4.0], [3.0, 2.0, 4.0, 4.0])
    assert values("recent_high", candles, period=2) == [None, 7.0, 7.0, 6.0]
    assert values("recent_low", candles, period=2) == [None, 2.0, 2.0, 4.0]
    assert values("recent_high", candles, period=1) == [5.0, 7.0, 6.0, 4.0]


def test_donchian_extremes_leave_the_current_candle_out(values: Values) -> None:
    candles = rows([5.0, 7.0, 6.0, 9.0], [3.0, 2.0, 4.0, 1.0])
    assert values("donchian_high", candles, period=2) == [None, None, 7.0, 7.0]
    assert values("donchian_low", candles, period=2) == [None, None, 2.0, 2.0]


def test_a_breakout_closes_beyond_the_donchian_high_but_never_beyond_the_recent_one(values: Values) -> None:
    candles = [(5.0, 6.0, 4.0, 5.0), (5.0, 6.0, 4.0, 5.0), (6.0, 8.0, 6.0, 8.0)]
    assert values("close", candles)[-1] > values("donchian_high", candles, period=2)[-1]
    assert values("close", candles)[-1] <= values("recent_high", candles, period=2)[-1]


def test_a_swing_is_known_only_once_enough_candles_followed_it(values: Values) -> None:
    highs = [3.0, 4.0, 9.0, 5.0, 6.0, 4.0, 3.0]
    assert values("swing_high", rows(highs), left=2, right=2) == [None, None, None, None, 9.0, 9.0, 9.0]
    assert values("swing_high", rows(highs), left=1, right=1) == [None, None, None, 9.0, 9.0, 6.0, 6.0]


def test_a_swing_low_mirrors_a_swing_high(values: Values) -> None:
    lows = [7.0, 6.0, 1.0, 5.0, 4.0, 6.0]
    candles = rows([10.0] * 6, lows)
    assert values("swing_low", candles, left=1, right=1) == [None, None, None, 1.0, 1.0, 4.0]
    assert values("swing_low", candles, left=2, right=3) == [None, None, None, None, None, 1.0]


def test_of_equal_highs_the_first_is_the_swing(values: Values) -> None:
    assert values("swing_high", rows([3.0, 5.0, 5.0, 4.0]), left=1, right=1) == [None, None, 5.0, 5.0]
    assert values("swing_high", rows([3.0, 4.0, 5.0, 5.0, 6.0]), left=1, right=2) == [None] * 5


def test_without_a_swing_there_is_no_value_however_long_it_takes(values: Values) -> None:
    assert set(values("swing_high", rows([5.0] * 50), left=1, right=1)) == {None}
    assert set(values("swing_low", [float(price) for price in range(1, 50)], left=1, right=1)) == {None}


def test_a_swing_is_remembered_long_after_its_candle_was_purged(values: Values) -> None:
    highs = [3.0, 90.0, 3.0, *[2.0] * 500]
    assert values("swing_high", rows(highs), left=1, right=1)[-1] == 90.0
