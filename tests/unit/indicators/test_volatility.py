"""True range and its averages, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from talipp.indicators import ATR

from indicators.forms import AverageTrueRange
from indicators.series import Series
from indicators.volatility import true_range

Values = Callable[..., list[Any]]

ROWS = [(10.0, 12.0, 8.0, 10.0), (10.0, 13.0, 9.0, 12.0), (18.0, 20.0, 18.0, 19.0), (10.0, 11.0, 10.0, 10.0)]


def test_the_true_range_reaches_to_the_close_before(values: Values) -> None:
    # 12-8 = 4; 13-9 = 4; a jump up: 20-12 = 8; a jump down: 19-10 = 9
    assert values("atr", ROWS, period=2) == [None, 4.0, (4.0 + 8.0) / 2, (6.0 + 9.0) / 2]


def test_the_first_true_range_is_the_candles_own(walk: Series) -> None:
    assert true_range(walk)[0] == walk.high[0] - walk.low[0]


def test_atr_percent_is_relative_to_the_close(values: Values) -> None:
    assert values("atr_pct", ROWS, period=2) == [None, 100 * 4.0 / 12.0, 100 * 6.0 / 19.0, 100 * 7.5 / 10.0]


def test_the_atr_ratio_compares_with_the_recent_mean(values: Values) -> None:
    percent = [100 * 4.0 / 12.0, 100 * 6.0 / 19.0, 75.0]
    ratio = values("atr_ratio", ROWS, period=2, window=2)
    assert ratio[:2] == [None, None]
    assert ratio[2:] == [
        pytest.approx(percent[1] / ((percent[0] + percent[1]) / 2)),
        pytest.approx(percent[2] / ((percent[1] + percent[2]) / 2)),
    ]


def test_a_market_that_never_moved_has_no_range_and_the_usual_volatility(values: Values) -> None:
    assert values("atr", [5.0] * 4, period=2) == [None, 0.0, 0.0, 0.0]
    assert values("atr_pct", [5.0] * 4, period=2) == [None, 0.0, 0.0, 0.0]
    assert values("atr_ratio", [5.0] * 4, period=2, window=2) == [None, None, 1.0, 1.0]


def test_the_candle_range_is_in_percent_of_the_close(values: Values) -> None:
    assert values("candle_range", [(10.0, 12.0, 8.0, 10.0), (5.0, 5.0, 5.0, 5.0)]) == [40.0, 0.0]


@pytest.mark.parametrize("period", [2, 14])
def test_talipp_itself_agrees_but_for_the_rounding_of_the_seed(period: int, walk: Series) -> None:
    ours, theirs = AverageTrueRange(period), ATR(period)
    for candle in walk.candles()[:1_000]:
        ours.add(candle)
        theirs.add(candle)
        assert ours[-1] == (None if theirs[-1] is None else pytest.approx(theirs[-1], rel=1e-12))
