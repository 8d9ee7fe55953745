"""Equity and PnL, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

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
    assert len(thinned) == 10
    assert thinned[-1] == every[-1]
    assert [point.at_ms for point in thinned] == sorted(point.at_ms for point in thinned)
    early = queries.equity(store, until_ms=story.start + 8_000, points=3)
    assert [point.at_ms - story.start for point in early] == [2_000, 4_000, 7_000]
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
