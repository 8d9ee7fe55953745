"""Equity and PnL, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from store import queries
from store.batch import Batch
from store.database import Store
from store.journal import Journal


def test_pnl_counts_trades_by_when_they_were_closed(store: Store, journal: Journal, story: Any) -> None:
    hour, start = story.hour, story.start
    nets = ["0.1", "0.2", "-0.3", "0", "1000000.00000001"]
    for number, net in enumerate(nets, start=1):
        journal.commit(Batch(transitions=story.round_trip("BTCUSDT", number, start + number * 12 * hour, net=net)))
    journal.commit(Batch(transitions=story.round_trip("ETHUSDT", 1, start + 99 * hour)[:4]))
    every = queries.pnl(store, since_ms=0, until_ms=10**15)
    assert (every.trades, every.wins, every.losses) == (5, 3, 1)
    assert every.net_pnl == Decimal("1000000.00000001")  # 0.1 + 0.2 - 0.3 is nothing at all
    assert (every.fees, every.funding) == (Decimal("25.0"), Decimal("-0.5"))
    day = 24 * hour
    assert every.days == (
        (start, Decimal("0.1")),
        (start + day, Decimal("-0.1")),
        (start + 2 * day, Decimal("1000000.00000001")),
    )
    closed = [start + number * 12 * hour + 5 * hour for number in range(1, 6)]
    part = queries.pnl(store, since_ms=closed[1], until_ms=closed[3])
    assert (part.trades, part.net_pnl) == (2, Decimal("-0.1"))


def test_equity_is_thinned_to_about_the_points_asked_for_and_keeps_the_newest(
    store: Store, journal: Journal, story: Any
) -> None:
    journal.commit(Batch(equity=[story.equity(story.start + k * 1_000, str(10_000 + k)) for k in range(1_000)]))
    every = queries.equity(store, points=5_000)
    assert [point.equity for point in every] == [Decimal(10_000 + k) for k in range(1_000)]
    thinned = queries.equity(store, points=10)
    assert 6 <= len(thinned) <= 10
    assert thinned[-1] == every[-1]
    assert [point.at_ms for point in thinned] == sorted(point.at_ms for point in thinned)
    early = queries.equity(store, until_ms=story.start + 8_000, points=3)
    assert [point.at_ms - story.start for point in early] == [0, 7_000]
    part = queries.equity(store, since_ms=story.start + 5_000, until_ms=story.start + 8_000)
    assert [point.equity for point in part] == [Decimal(10_005), Decimal(10_006), Decimal(10_007)]
    latest = queries.latest_equity(store)
    assert latest is not None
    assert (latest.equity, latest.balance, latest.unrealized_pnl) == (
        Decimal(10_999),
        Decimal("10000.00"),
        Decimal(999),
    )


def test_a_single_snapshot_is_a_series(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(equity=[story.equity(5)]))
    assert [point.at_ms for point in queries.equity(store, points=1)] == [5]


def test_thinning_keeps_the_lowest_and_the_highest_of_every_span(store: Store, journal: Journal, story: Any) -> None:
    """A fall between two points that are kept is a fall all the same."""
    equities = [10_000, 10_500, 10_400, 9_600, 10_300, 10_200, 10_600, 9_900, 10_100, 10_000, 9_990, 9_980]
    rows = [story.equity(story.start + k * 1_000, str(value)) for k, value in enumerate(equities)]
    journal.commit(Batch(equity=rows))
    kept = [int(point.equity) for point in queries.equity(store, points=6)]
    assert kept == [10_500, 9_600, 10_200, 10_600, 9_900, 9_980]
    assert queries.worst_fall(store) == pytest.approx((10_500 - 9_600) / 10_500)
    assert queries.worst_fall(store, since_ms=story.start + 6_000) == pytest.approx((10_600 - 9_900) / 10_600)


def test_there_is_no_fall_where_nothing_was_read(store: Store) -> None:
    assert queries.worst_fall(store) == 0.0
