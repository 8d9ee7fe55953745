"""How things stand: symbols, the account, trades, positions, orders, fills and intents."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from peewee import ModelSelect

from store.database import Store
from store.models import AccountState, Fill, Intent, Order, Position, SymbolState, Trade
from store.queries.fetching import fetch, fetch_one, unindexed
from store.rows import OPEN_ORDER_STATUSES, FillRow
from store.sqlite import reading
from store.statements import FILL_EXISTS
from store.trade_rows import TradeRow
from store.views import AccountRow, IntentRow, OrderRow, PositionRow, SymbolRow

ABANDONED = "ABANDONED"
IDS_AT_ONCE = 500
"""Values that one statement is given; SQLite takes more, but not without end."""


def symbols(store: Store) -> list[SymbolRow]:
    """Every symbol's machine, in symbol order."""
    return fetch(store, SymbolState.select().order_by(SymbolState.symbol), SymbolRow)


def symbol(store: Store, name: str) -> SymbolRow | None:
    """One symbol's machine."""
    return fetch_one(store, SymbolState.select().where(SymbolState.symbol == name), SymbolRow)


def account(store: Store) -> AccountRow | None:
    """The account's record, None before the first event that carried one."""
    return fetch_one(store, AccountState.select(), AccountRow)


def trades(
    store: Store,
    *,
    symbol: str | None = None,
    status: str | None = None,
    since_ms: int | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[TradeRow]:
    """Trades, newest first; without ``status``, those that were never filled and ended so are left out."""
    query = _trades(symbol, status, since_ms).order_by(Trade.opened_ms.desc(), Trade.id.desc())
    return fetch(store, query.limit(limit).offset(offset), TradeRow)


def trades_closed(store: Store, *, since_ms: int, until_ms: int) -> list[TradeRow]:
    """Every trade that ended with fills within the span (its end is outside), oldest first."""
    ended = (Trade.status == "CLOSED") & (Trade.closed_ms >= since_ms) & (Trade.closed_ms < until_ms)
    return fetch(store, Trade.select().where(ended).order_by(Trade.closed_ms, Trade.id), TradeRow)


def trades_count(
    store: Store, *, symbol: str | None = None, status: str | None = None, since_ms: int | None = None
) -> int:
    """How many ``trades`` there are under the same filter."""
    with reading(store.path):
        return int(_trades(symbol, status, since_ms).bind(store.database).count())


def trade(store: Store, trade_id: str) -> TradeRow | None:
    """One trade."""
    return fetch_one(store, Trade.select().where(Trade.id == trade_id), TradeRow)


def positions(store: Store) -> list[PositionRow]:
    """Every open position of ours, in symbol order."""
    return fetch(store, Position.select().order_by(Position.symbol), PositionRow)


def orders(
    store: Store, *, symbol: str | None = None, trade_id: str | None = None, limit: int = 100, offset: int = 0
) -> list[OrderRow]:
    """Orders of ours, newest first."""
    query, created_ms = _of_trade(Order.select(), Order, Order.created_ms, symbol, trade_id)
    ordered = query.order_by(created_ms.desc(), Order.client_order_id.desc())
    return fetch(store, ordered.limit(limit).offset(offset), OrderRow)


def open_orders(store: Store) -> list[OrderRow]:
    """Orders of ours that may still rest on the exchange, newest first."""
    query = Order.select().where(Order.status.in_(OPEN_ORDER_STATUSES))
    return fetch(store, query.order_by(Order.created_ms.desc(), Order.client_order_id.desc()), OrderRow)


def fills(
    store: Store,
    *,
    symbol: str | None = None,
    trade_id: str | None = None,
    since_ms: int | None = None,
    limit: int = 1_000,
) -> list[FillRow]:
    """Executions, newest first."""
    query, at_ms = _of_trade(Fill.select(), Fill, Fill.at_ms, symbol, trade_id)
    if since_ms is not None:
        query = query.where(at_ms >= since_ms)
    return fetch(store, query.order_by(at_ms.desc(), Fill.id.desc()).limit(limit), FillRow)


def has_fill(store: Store, symbol: str, fill_id: int) -> bool:
    """Whether the journal has this execution as one of a trade of ours."""
    with reading(store.path):
        found = store.connection.execute(f"{FILL_EXISTS} AND trade_id IS NOT NULL", (symbol, fill_id)).fetchone()
    return found is not None


def intents(store: Store, transition_id: int) -> list[IntentRow]:
    """What a transition asked for, in order."""
    query = Intent.select().where(Intent.transition_id == transition_id).order_by(Intent.ordinal)
    return fetch(store, query, IntentRow)


def _trades(symbol: str | None, status: str | None, since_ms: int | None) -> ModelSelect[Any]:
    query = Trade.select().where(Trade.status != ABANDONED if status is None else Trade.status == status)
    if symbol is not None:
        query = query.where(Trade.symbol == symbol)
    if since_ms is not None:
        query = query.where(Trade.opened_ms >= since_ms)
    return query


def _of_trade(
    query: ModelSelect[Any], model: Any, time: Any, symbol: str | None, trade_id: str | None
) -> tuple[ModelSelect[Any], Any]:
    """The query for a symbol and a trade, and its time column as it is to be used further."""
    if trade_id is None:
        return (query if symbol is None else query.where(model.symbol == symbol)), time
    query = query.where(model.trade_id == trade_id)
    return (query if symbol is None else query.where(unindexed(model.symbol) == symbol)), unindexed(time)


def orders_known(store: Store, client_ids: Collection[str]) -> set[str]:
    """Those of these client ids that this journal has decided on."""
    wanted, found = sorted(client_ids), set[str]()
    with reading(store.path):
        for first in range(0, len(wanted), IDS_AT_ONCE):
            batch = wanted[first : first + IDS_AT_ONCE]
            sql = f"SELECT client_order_id FROM orders WHERE client_order_id IN ({', '.join('?' * len(batch))})"  # noqa: S608
            found.update(client_id for (client_id,) in store.connection.execute(sql, batch))
    return found


def newest_ms(store: Store) -> int | None:
    """When this journal was last at work: its newest transition, or the newest word of a bot that ran. None: never."""
    sql = "SELECT max(at_ms) FROM transitions UNION ALL SELECT max(at_ms) FROM documents WHERE name = 'health'"
    with reading(store.path):
        found = [at_ms for (at_ms,) in store.connection.execute(sql) if at_ms is not None]
    return max(found, default=None)
