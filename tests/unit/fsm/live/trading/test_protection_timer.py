"""The watch of one symbol: entries are searched for with patience, and absence is believed only when it lasts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg, client_id
from exchange.types import Fill, Order, OrderRequest, OrderStatus, OrderType, Position, Side, SymbolSnapshot
from fsm.core.model.intents import PlaceEntry
from fsm.live.trading.entry_search import ABSENCES_MIN, ABSENT_S_MIN, ANSWER_S_MAX, EntrySearch, Finding
from fsm.live.trading.protection_timer import ProtectionTimer, ProtectionTimes

ID = client_id("5eed0001", "BTCUSDT", 1, Leg.ENTRY, 0, 1)
INTENT = PlaceEntry(
    symbol="BTCUSDT",
    request=OrderRequest(symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.1"), client_id=ID),
)


def snapshot(*, quantity: str = "0", order: Order | None = None) -> SymbolSnapshot:
    position = Position(
        symbol="BTCUSDT",
        quantity=Decimal(quantity),
        entry_price=Decimal(60_000),
        mark_price=Decimal(60_000),
        unrealized_pnl=Decimal(0),
        liquidation_price=None,
        isolated_wallet=Decimal(0),
        update_time_ms=0,
    )
    return SymbolSnapshot(
        symbol="BTCUSDT",
        at_ms=0,
        position=position,
        orders=(order,) if order else (),
        algo_orders=(),
        fills=(),
    )


ORDER = Order(
    symbol="BTCUSDT",
    order_id=1,
    client_id=ID,
    side=Side.BUY,
    type="MARKET",
    status=OrderStatus.FILLED,
    price=Decimal(0),
    quantity=Decimal("0.1"),
    executed_quantity=Decimal("0.1"),
    average_price=Decimal(60_000),
    reduce_only=False,
    update_time_ms=0,
)


class TestTheSearchForAnEntry:
    """R16, R20."""

    def test_seen_once_is_found(self) -> None:
        assert EntrySearch("1.0", INTENT, 0.0).judge(snapshot(order=ORDER), 0.1) is Finding.FOUND

    def test_absent_needs_many_looks_and_much_time(self) -> None:
        search = EntrySearch("1.0", INTENT, 0.0)
        for look in range(ABSENCES_MIN - 1):
            assert search.judge(snapshot(), ABSENT_S_MIN + look) is Finding.OPEN
        assert search.judge(snapshot(), ABSENT_S_MIN + ABSENCES_MIN) is Finding.ABSENT

    def test_many_looks_within_a_moment_prove_nothing(self) -> None:
        search = EntrySearch("1.0", INTENT, 0.0)
        assert {search.judge(snapshot(), 1.0) for _ in range(50)} == {Finding.OPEN}

    @staticmethod
    def waited(shown: SymbolSnapshot) -> Finding:
        """What is found once nobody waits any longer, if these looks find nothing before."""
        search = EntrySearch("1.0", INTENT, 0.0)
        for second in range(int(ANSWER_S_MAX)):
            assert search.judge(shown, float(second)) is Finding.OPEN
        return search.judge(shown, ANSWER_S_MAX)

    def test_with_a_position_that_may_be_its_own_it_is_never_absent_only_overdue(self) -> None:
        assert self.waited(snapshot(quantity="0.1")) is Finding.OVERDUE

    def test_a_position_the_other_way_is_somebody_elses_and_ends_the_search_later(self) -> None:
        """Found by torture (seed 11, 30 days): the symbol waited in ENTERING for as long as the position was there."""
        assert self.waited(snapshot(quantity="-0.1")) is Finding.ABSENT

    def test_a_fill_that_no_order_explains_may_be_the_entrys_whatever_is_open(self) -> None:
        """A long entry may have been filled against a short position of somebody else's, of which a part is left."""
        fill = Fill(
            symbol="BTCUSDT", fill_id=9, order_id=77, side=Side.BUY, price=Decimal(1), quantity=Decimal(1),
            commission=Decimal(0), commission_asset="USDT", realized_pnl=Decimal(0), maker=False, time_ms=0,
        )  # fmt: skip
        shown = replace(snapshot(quantity="-0.1"), fills=(fill,))
        assert self.waited(shown) is Finding.OVERDUE
        by_another_order = replace(ORDER, client_id="by-hand", order_id=77)
        assert self.waited(replace(shown, orders=(by_another_order,))) is Finding.ABSENT
        sold = replace(fill, side=Side.SELL)
        assert self.waited(replace(shown, fills=(sold,))) is Finding.ABSENT


class TestTheDeadline:
    """R5."""

    def test_nothing_is_owed_before_a_fill(self) -> None:
        assert ProtectionTimer(ProtectionTimes()).left_s(100.0, 5_000) is None

    def test_it_runs_from_the_first_fill(self) -> None:
        timer = ProtectionTimer(ProtectionTimes())
        timer.filled("E", 10.0)
        assert timer.left_s(12.0, 5_000) == pytest.approx(3.0)
        assert timer.left_s(15.0, 5_000) == pytest.approx(0.0)

    def test_once_acted_upon_it_is_counted_and_over(self) -> None:
        times = ProtectionTimes()
        timer = ProtectionTimer(times)
        timer.filled("E", 10.0)
        timer.gave_up()
        assert timer.left_s(20.0, 5_000) is None
        assert times.summary()["late"] == 1


def test_protection_times_are_summed_up() -> None:
    times = ProtectionTimes()
    assert times.summary() == {"count": 0, "p50_ms": None, "p99_ms": None, "max_ms": None, "late": 0}
    for ms in range(1, 101):
        times.add(float(ms))
    assert times.summary() == {"count": 100, "p50_ms": 51.0, "p99_ms": 100.0, "max_ms": 100.0, "late": 0}


def test_protection_times_fall_into_buckets_each_once() -> None:
    times = ProtectionTimes()
    for ms in (0.0, 25.0, 25.1, 80.0, 5_000.0, 5_000.1):
        times.add(ms)
    found = times.histogram()
    counts = {bucket["le_ms"]: bucket["count"] for bucket in found["buckets"]}
    assert counts == {25: 2, 50: 1, 100: 1, 250: 0, 500: 0, 1_000: 0, 2_000: 0, 3_000: 0, 5_000: 1, None: 1}
    assert found["sum_ms"] == pytest.approx(10_130.2)
