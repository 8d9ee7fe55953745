"""Says whether an order may leave: what wants it is committed, or the plan of its trade names it (R18)."""

from __future__ import annotations

import msgspec

from exchange.client_ids import Leg, parse, symbol_tag
from fsm.core.model.records import SymbolRecord
from store import queries
from store.database import Store

_IS_WRITTEN = "SELECT 1 FROM orders WHERE client_order_id = ?"


def is_intended(store: Store, client_id: str) -> bool:
    """By the store's own connection, which must not be in a transaction."""
    connection = store.connection
    if connection.in_transaction:
        return False
    return connection.execute(_IS_WRITTEN, (client_id,)).fetchone() is not None or _is_planned(store, client_id)


def _is_planned(store: Store, client_id: str) -> bool:
    """A stop whose id and price follow from its trade's committed plan needs no row of its own."""
    parts = parse(client_id)
    if parts is None or (parts.leg, parts.index, parts.attempt) != (Leg.STOP, 1, 1):
        return False
    trades = [msgspec.json.decode(row.record_json, type=SymbolRecord).trade for row in queries.symbols(store)]
    return any(
        trade is not None and (symbol_tag(trade.symbol), trade.number) == (parts.symbol_tag, parts.trade_number)
        for trade in trades
    )
