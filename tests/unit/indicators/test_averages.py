"""Moving averages, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from talipp.indicators import EMA, SMMA

from indicators.forms import ExponentialAverage, WilderAverage
from indicators.series import Series

Values = Callable[..., list[Any]]


def test_the_ema_starts_as_a_mean_and_then_weighs_each_close(values: Values) -> None:
    # weight 2/(3+1): 0.5 of the close and 0.5 of the average before
    assert values("ema", [1.0, 2.0, 3.0, 4.0, 8.0], period=3) == [None, None, 2.0, 3.0, 5.5]


def test_the_sma_is_the_mean_of_the_last_closes(values: Values) -> None:
    assert values("sma", [1.0, 3.0, 5.0, 1.0], period=2) == [None, 2.0, 4.0, 3.0]


@pytest.mark.parametrize("price", [0.1, 0.3, 1 / 3, 96_123.45])
def test_the_sma_of_equal_closes_is_just_that_close(values: Values, price: float) -> None:
    assert values("sma", [price] * 60, period=20)[19:] == [price] * 41


def test_the_sma_forgets_a_price_as_soon_as_it_leaves_the_window(values: Values) -> None:
    assert values("sma", [1e9, 0.1, 0.3, 0.2], period=2)[2:] == [0.2, 0.25]


def test_the_slope_is_the_move_of_the_ema_in_percent_of_the_close(values: Values) -> None:
    # ema(3): 2, 3, 5.5
    slopes = values("ema_slope", [1.0, 2.0, 3.0, 4.0, 8.0], period=3, lookback=1)
    assert slopes == [None, None, None, 25.0, 31.25]
    assert values("ema_slope", [1.0, 2.0, 3.0, 4.0, 8.0], period=3, lookback=2) == [None, None, None, None, 43.75]


def test_a_falling_market_has_a_negative_slope(values: Values) -> None:
    assert values("ema_slope", [4.0, 3.0, 2.0, 1.0], period=2, lookback=1)[-1] < 0


def test_the_separation_is_in_percent_of_the_slow_average(values: Values) -> None:
    # ema(3) of 2, 2, 2, 6: 2, then 4. ema(2): 2, 2, then 2/3 of 6 and 1/3 of 2
    separation = values("ema_separation", [2.0, 2.0, 2.0, 6.0], fast=2, slow=3)
    assert separation[:3] == [None, None, 0.0]
    assert separation[3] == pytest.approx(100 * (14 / 3 - 4) / 4)


def test_a_flat_market_has_neither_slope_nor_separation(values: Values) -> None:
    assert values("ema_slope", [0.1] * 300, period=20, lookback=5)[-1] == pytest.approx(0.0, abs=1e-12)
    assert values("ema_separation", [0.1] * 300)[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("period", [2, 20, 200])
def test_talipp_itself_agrees_but_for_the_rounding_of_the_seed(period: int, walk: Series) -> None:
    for ours, theirs in ((ExponentialAverage(period), EMA(period)), (WilderAverage(period), SMMA(period))):
        for close in walk.close.tolist()[:1_000]:
            ours.add(close)
            theirs.add(close)
            assert ours[-1] == (None if theirs[-1] is None else pytest.approx(theirs[-1], rel=1e-12))
