"""The sequential test of drift: by hand, by simulation, and as the page on it says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fsm.backtest.drift.rates import KINDS, measure, poisson_interval, row
from fsm.backtest.drift.sequential import LIVE_MIN, Promise, first_alarm, stands, threshold, windows

PAGE = Path(__file__).parents[5] / "docs" / "drift.md"


def promise(*r: float, a_year: float = 30) -> Promise:
    return Promise(strategy="any", r=r, trades_a_year=a_year)


FAIR = promise(*([2.0, -1.0, -1.0, 2.0, -1.0] * 12))


def test_where_it_stands_is_the_largest_t_of_all_windows_worked_out_by_hand() -> None:
    """Sixty trades with mean 0.2; the newest eight of nine live ones lost 1 R each, the first won 2."""
    live = [2.0, *[-1.0] * 8]
    deviation = math.sqrt(60 / 59 * (0.4 * 1.8**2 + 0.6 * 1.2**2))
    of_eight = (0.2 + 1.0) / (deviation * math.sqrt(1 / 60 + 1 / 8))
    of_all = (0.2 + 6 / 9) / (deviation * math.sqrt(1 / 60 + 1 / 9))
    found = stands(FAIR, live)
    assert found is not None
    assert of_eight > of_all
    assert found.statistic == pytest.approx(of_eight, abs=1e-12)
    assert (found.trades, found.mean) == (8, -1.0)


def test_the_scan_after_each_trade_is_what_a_look_at_that_moment_says() -> None:
    rng = np.random.default_rng(3)
    live = rng.choice(FAIR.r, 70).tolist()
    seen = [stands(FAIR, live[: count + 1]) for count in range(len(live))]
    tops = [found.statistic if found is not None else -math.inf for found in seen]
    for passed in (0.5, 1.0, 1.5, 2.0, max(tops)):
        by_hand = next((at for at, top in enumerate(tops) if top > passed + 1e-12), None)
        assert first_alarm(FAIR, live, passed) == by_hand
    assert all(found is None for found in seen[: LIVE_MIN - 1])
    assert windows(70) == [8, 16, 32, 64]


def test_the_threshold_is_the_same_each_time_and_higher_for_fewer_false_alarms() -> None:
    assert threshold(FAIR, 0.1) == threshold(FAIR, 0.1)
    assert threshold(FAIR, 0.01) > threshold(FAIR, 0.1) > threshold(FAIR, 1.0)


def test_a_strategy_that_loses_every_trade_is_noticed_and_one_that_wins_more_never_is() -> None:
    passed = threshold(FAIR, 0.1)
    at = first_alarm(FAIR, [-1.0] * 40, passed)
    assert at is not None
    assert at < 20
    assert first_alarm(FAIR, [2.0] * 90, passed) is None


def test_false_alarms_are_as_seldom_as_stated_and_the_page_says_what_was_measured() -> None:
    """A thousand years of one row, measured anew: the page has the very same figures."""
    found = measure(KINDS[0], level=0.1)
    low, high = found.interval
    assert low <= 0.1
    assert high < 0.2
    assert row(found) in PAGE.read_text("utf-8"), "write it anew: python -m fsm drift --table"


def test_every_row_of_the_page_is_no_worse_than_stated() -> None:
    rows = [
        line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(tuple(f"| {k.name}" for k in KINDS))
    ]
    assert len(rows) == len(KINDS)
    for line in rows:
        interval = line.split("(")[-1].split(")")[0]
        low, high = map(float, interval.split(" to "))
        assert low <= 0.1, line
        assert high < 0.15, line


def test_intervals_of_a_rate_are_those_of_the_tables() -> None:
    """Exact 95 % limits of a Poisson mean: 0 → 3.69, 10 → 4.80 to 18.39, 100 → 81.36 to 121.63."""
    assert poisson_interval(10, 1) == pytest.approx((4.80, 18.39), abs=0.03)
    assert poisson_interval(100, 10) == pytest.approx((8.136, 12.163), abs=0.003)
    assert poisson_interval(0, 1)[0] == 0
