"""Tells whether the account behind a key is the one that a database was made with: it knows an order of ours."""

from __future__ import annotations

from exchange.port import Exchange
from store import queries
from store.database import Store

ASKED_MAX = 5
"""Newest orders that are asked for. The exchange forgets ids after a while, and what was never accepted at once."""


async def knows_our_orders(exchange: Exchange, store: Store) -> bool:
    """True when the account knows an order that this database has placed. Raises ExchangeError.

    Ids carry the database's own id, so no other account has one of them.
    """
    placed = [row for row in queries.orders(store) if row.order_id is not None]
    for row in placed[:ASKED_MAX]:
        ask = exchange.order if row.family == "ORDER" else exchange.algo
        if await ask(row.symbol, row.client_order_id) is not None:
            return True
    return False
