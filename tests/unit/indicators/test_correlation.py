"""How much prices move together: against numpy and by hand."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from decimal import Decimal
from random import Random

import numpy as np
import pytest

from indicators.candle import Timeframe
from indicators.correlation import RETURNS, RETURNS_MIN, correlation, independent, mean_correlation, read_on

HOUR_MS = 3_600_000
MONDAY_MS = 1_704_067_200_000


def walk(seed: int, count: int, shared: float = 0.0) -> dict[int, float]:
    """Closes whose returns have so much of a common part."""
    own, common = Random(seed), Random(0)
    price, found = 100.0, {}
    for hour in range(count):
        price *= 1 + 0.01 * (shared * common.gauss(0, 1) + (1 - shared**2) ** 0.5 * own.gauss(0, 1))
        found[MONDAY_MS + hour * HOUR_MS] = price
    return found


def test_it_is_pearsons_of_the_log_returns() -> None:
    one, other = walk(1, 500, 0.8), walk(2, 500, 0.8)
    returns = [np.diff(np.log(list(closes.values()))) for closes in (one, other)]
    expected = float(np.corrcoef(*returns)[0, 1])
    assert float(correlation(one, other, HOUR_MS)) == pytest.approx(expected, abs=0.005)
    assert correlation(one, one, HOUR_MS) == 1
    assert correlation(one, other, HOUR_MS) == correlation(other, one, HOUR_MS)


def test_only_the_newest_thirty_days_count() -> None:
    one, other = walk(1, 3_000), walk(2, 3_000, 0.5)
    newest = [dict(list(closes.items())[-RETURNS - 1 :]) for closes in (one, other)]
    assert correlation(one, other, HOUR_MS) == correlation(*newest, HOUR_MS)


def test_missing_candles_are_left_out_on_both_sides() -> None:
    one, other = walk(1, 400, 0.7), walk(2, 400, 0.7)
    holes = {MONDAY_MS + hour * HOUR_MS for hour in range(100, 120)}
    with_holes = {at_ms: close for at_ms, close in other.items() if at_ms not in holes}
    assert float(correlation(one, with_holes, HOUR_MS)) == pytest.approx(
        float(correlation(one, other, HOUR_MS)), abs=0.06
    )


@pytest.mark.parametrize("count", [1, 50, RETURNS_MIN])
def test_where_too_little_is_known_they_count_as_one(count: int) -> None:
    """So many closes have one return less than is needed, at the most."""
    assert correlation(walk(1, count), walk(2, count), HOUR_MS) == 1
    assert correlation({}, walk(2, count), HOUR_MS) == 1
    assert correlation(walk(1, count + RETURNS_MIN), walk(2, count + RETURNS_MIN), HOUR_MS) < 1


def test_a_price_that_never_moves_counts_as_one_with_any_other() -> None:
    still = dict.fromkeys(walk(1, 300), 5.0)
    assert correlation(still, walk(2, 300), HOUR_MS) == 1


def test_the_mean_is_that_of_all_pairs() -> None:
    three = [walk(seed, 500, 0.8) for seed in (1, 2, 3)]
    pairs = [correlation(three[a], three[b], HOUR_MS) for a, b in ((0, 1), (0, 2), (1, 2))]
    mean = mean_correlation(three, HOUR_MS)
    assert mean is not None
    assert float(mean) == pytest.approx(float(sum(pairs)) / 3, abs=0.01)
    assert mean_correlation(three[:1], HOUR_MS) is None
    assert mean_correlation([walk(1, 50), walk(2, 50)], HOUR_MS) is None


def test_three_that_correlate_at_0_71_are_1_24_independent_ones() -> None:
    assert independent(3, Decimal("0.71")) == Decimal("1.24")
    assert (independent(3, Decimal(0)), independent(3, Decimal(1)), independent(1, Decimal(1))) == (3, 1, 1)
    assert independent(2, Decimal("-0.5")) == 2


def test_returns_are_those_of_an_hour_or_the_next_longer_candles() -> None:
    frames = [Timeframe.M1, Timeframe.H1, Timeframe.H4]
    assert read_on(frames) is Timeframe.H1
    assert read_on([Timeframe.M15, Timeframe.H4, Timeframe.D1]) is Timeframe.H4
    assert read_on([Timeframe.M1, Timeframe.M5]) is Timeframe.M5


def test_closes_are_read_one_by_one_and_not_kept() -> None:
    alive: list[weakref.ref[Told]] = []

    def told() -> Iterator[Told]:
        for seed in range(1, 5):
            assert sum(each() is not None for each in alive) <= 1  # the one that was read last
            closes = Told(walk(seed, 300, 0.5))
            alive.append(weakref.ref(closes))
            yield closes
            del closes

    found = mean_correlation(told(), HOUR_MS)
    assert found == mean_correlation([walk(seed, 300, 0.5) for seed in range(1, 5)], HOUR_MS)


class Told(dict[int, float]):
    """Closes that may be watched."""
