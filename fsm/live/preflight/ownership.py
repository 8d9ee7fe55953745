"""Tells whether the account behind a key is the one that a database was made with: it knows an order of ours."""

from __future__ import annotations

from exchange.port import Exchange
from store import queries
from store.database import Store

ASKED_MAX = 5
"""Newest orders that are asked for. One that filled is known for 90 days (GET /fapi/v1/order, checked 2026-11);
cancelled ones, as most stops and targets are, are forgotten after three."""


async def knows_our_orders(exchange: Exchange, store: Store) -> bool:
    """True when the account knows an order that this database has placed and that was filled. Raises ExchangeError.

    Ids carry the database's own id, so no other account has one of them.
    """
    filled = [row for row in queries.orders(store) if row.family == "ORDER" and row.executed_quantity > 0]
    for row in filled[:ASKED_MAX]:
        if await exchange.order(row.symbol, row.client_order_id) is not None:
            return True
    return False
