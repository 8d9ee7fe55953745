"""How things stand, as the command line and the dashboard ask for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from store import queries
from store.database import Store
from store.journal import Journal


@pytest.fixture
def filled(store: Store, journal: Journal, story: Any) -> Store:
    for batch in story.day(trades=3):
        journal.commit(batch)
    return store


def test_symbols_come_in_order_with_their_records(filled: Store) -> None:
    assert [(row.symbol, row.state) for row in queries.symbols(filled)] == [
        ("BTCUSDT", "PROTECTED"),
        ("ETHUSDT", "SIGNALLED"),
    ]
    assert queries.symbol(filled, "XRPUSDT") is None


def test_trades_come_newest_first_page_by_page(filled: Store, story: Any) -> None:
    every = queries.trades(filled)
    assert len(every) == queries.trades_count(filled) == 8
    assert [row.opened_ms for row in every] == sorted((row.opened_ms for row in every), reverse=True)
    pages = [queries.trades(filled, limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [row for page in pages for row in page] == every
    assert {row.status for row in queries.trades(filled, symbol="ETHUSDT")} == {"PENDING", "CLOSED"}
    assert queries.trades_count(filled, status="CLOSED") == 6
    assert queries.trades_count(filled, symbol="BTCUSDT", since_ms=story.start + 20 * story.hour) == 3
    assert queries.trade(filled, "nobody") is None


def test_positions_show_what_is_held_and_what_it_is_worth(filled: Store) -> None:
    (position,) = queries.positions(filled)
    assert (position.symbol, position.side, position.size) == ("BTCUSDT", "SHORT", Decimal("0.120"))
    assert (position.mark, position.upnl) == (Decimal("42100.5"), Decimal("11.94"))


def test_orders_and_fills_of_a_trade(filled: Store) -> None:
    purposes = [order.purpose for order in queries.orders(filled, trade_id="BTCUSDT-1")]
    assert purposes == ["ClosePosition", "PlaceTarget", "PlaceStop", "PlaceEntry"]
    entry = queries.orders(filled, trade_id="BTCUSDT-1")[-1]
    assert (entry.status, entry.order_id, entry.average_price) == ("FILLED", 77_001, Decimal("42001.00"))
    assert len(queries.orders(filled, symbol="ETHUSDT", limit=5)) == 5
    assert queries.orders(filled, limit=2, offset=1) == queries.orders(filled)[1:3]
    assert entry not in queries.open_orders(filled)
    assert [fill.fill_id for fill in queries.fills(filled, trade_id="BTCUSDT-1")] == [12, 11]
    fills = queries.fills(filled, symbol="BTCUSDT", since_ms=queries.fills(filled)[0].at_ms)
    assert [fill.fill_id for fill in fills] == [32, 31]
    assert len(queries.orders(filled, symbol="BTCUSDT", trade_id="BTCUSDT-1")) == 4
    assert queries.fills(filled, symbol="ETHUSDT", trade_id="BTCUSDT-1") == []
    assert fills[0].maker is False
    assert fills[0].commission == Decimal("1.26003")


def test_an_empty_database_answers_every_question(store: Store) -> None:
    assert queries.symbols(store) == queries.trades(store) == queries.positions(store) == queries.orders(store) == []
    assert queries.account(store) is None
    assert queries.latest_equity(store) is None
    assert queries.equity(store) == []
    assert queries.latest_decisions(store) == []
    assert queries.pnl(store, since_ms=0, until_ms=10**15).trades == 0
    assert queries.transitions(store).rows == []
