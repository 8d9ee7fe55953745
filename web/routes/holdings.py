"""Answers about what is held and traded: positions, orders, trades, candles, and how fast positions were protected."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from store import queries
from store.database import Store
from store.trade_rows import TradeRow
from store.views import PositionRow
from web import documents
from web.documents import Bucket
from web.endpoint import Context, Endpoint, Limit, Name, NoQuery, Offset, When, milliseconds
from web.routes.account import protection_deadline_ms
from web.routes.timeframes import Timeframe
from web.views import (
    Candles,
    CandleView,
    Orders,
    Positions,
    PositionView,
    ProtectionTimes,
    TargetView,
    Trades,
)

PROTECTION_BUCKETS_MS = (100, 250, 500, 1_000, 2_000, 3_000, 5_000)
PROTECTION_TRADES_MAX = 5_000
"""Newest trades that the histogram looks at: years of a swing bot, and milliseconds to read."""


class OrdersQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``open`` leaves only orders that may still rest on the exchange; ``limit`` and ``offset`` then do not count."""

    symbol: Name | None = None
    trade: Name | None = None
    open: bool = False
    limit: Limit = 100
    offset: Offset = 0


class TradesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    symbol: Name | None = None
    status: Literal["PENDING", "OPEN", "CLOSED", "ABANDONED"] | None = None
    since: When | None = None
    limit: Limit = 50
    offset: Offset = 0


class CandlesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Candles as they were used; the newest ``limit`` of those that open before ``until``."""

    symbol: Name
    timeframe: Timeframe = "1h"
    since: When | None = None
    until: When | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 500


class _Trade(msgspec.Struct, frozen=True):
    """The part of an open trade's record that the projections have no column for."""

    targets: tuple[TargetView, ...] = ()


class _Record(msgspec.Struct, frozen=True):
    state: str
    trade: _Trade | None = None


def positions(store: Store, query: NoQuery, context: Context) -> Positions:
    records = {row.symbol: msgspec.json.decode(row.record_json, type=_Record) for row in queries.symbols(store)}
    verified = documents.health(store).stops
    return Positions(
        [
            _position(
                row,
                queries.trade(store, row.trade_id),
                records.get(row.symbol),
                _age_ms(row, verified.get(row.symbol), context.wall_ms()),
            )
            for row in queries.positions(store)
        ]
    )


def _position(row: PositionRow, trade: TradeRow | None, record: _Record | None, age_ms: int | None) -> PositionView:
    risk = trade.risk_usdt if trade else None
    held = record.trade if record else None
    return PositionView(
        symbol=row.symbol,
        state=record.state if record else "UNKNOWN",
        trade_id=row.trade_id,
        side=row.side,
        size=row.size,
        entry=row.entry,
        mark=row.mark,
        upnl=row.upnl,
        r=round(float(row.upnl / risk), 4) if risk and row.upnl is not None else None,
        risk_usdt=risk,
        stop_price=row.stop_price,
        stop_client_order_id=row.stop_client_order_id,
        stop_verified_age_ms=age_ms,
        targets=list(held.targets) if held else [],
        liquidation_price=row.liquidation_price,
        strategy=trade.strategy_used if trade else None,
        regime=trade.regime_at_entry if trade else None,
        opened_ms=row.opened_ms,
        protected_ms=row.protected_ms,
        updated_ms=row.updated_ms,
    )


def _age_ms(row: PositionRow, verified: documents.SeenStop | None, wall_ms: int) -> int | None:
    """How long ago the stop that is in force was seen; None when the last look saw another one, or none was told of."""
    if verified is None or row.stop_client_order_id is None:
        return None
    if verified.client_id not in (None, row.stop_client_order_id):
        return None
    return max(0, wall_ms - verified.verified_wall_ms)


def orders(store: Store, query: OrdersQuery, context: Context) -> Orders:
    if query.open:
        found = [
            order
            for order in queries.open_orders(store)
            if query.symbol in (None, order.symbol) and query.trade in (None, order.trade_id)
        ]
        return Orders(limit=max(len(found), 1), offset=0, orders=found)
    found = queries.orders(store, symbol=query.symbol, trade_id=query.trade, limit=query.limit, offset=query.offset)
    return Orders(limit=query.limit, offset=query.offset, orders=found)


def trades(store: Store, query: TradesQuery, context: Context) -> Trades:
    since_ms = milliseconds(query.since, "since")
    found = queries.trades(
        store, symbol=query.symbol, status=query.status, since_ms=since_ms, limit=query.limit, offset=query.offset
    )
    total = queries.trades_count(store, symbol=query.symbol, status=query.status, since_ms=since_ms)
    return Trades(total=total, limit=query.limit, offset=query.offset, trades=found)


def candles(store: Store, query: CandlesQuery, context: Context) -> Candles:
    found = queries.candles(
        store,
        query.symbol,
        query.timeframe,
        since_ms=milliseconds(query.since, "since") or 0,
        until_ms=milliseconds(query.until, "until"),
        limit=query.limit,
    )
    return Candles(
        symbol=query.symbol,
        timeframe=query.timeframe,
        candles=[
            CandleView(
                time_ms=row.open_time_ms, open=row.open, high=row.high, low=row.low, close=row.close, volume=row.volume
            )
            for row in found
        ],
    )


def protection_ms(rows: list[TradeRow]) -> list[int]:
    """Times from first fill to confirmed stop of the trades that have both, ascending."""
    return sorted(
        max(0, row.protected_ms - row.first_fill_ms)
        for row in rows
        if row.protected_ms is not None and row.first_fill_ms is not None
    )


def protection(store: Store, query: NoQuery, context: Context) -> ProtectionTimes:
    filled = [row for row in queries.trades(store, limit=PROTECTION_TRADES_MAX) if row.first_fill_ms is not None]
    times = protection_ms(filled)
    bounds = [-1, *PROTECTION_BUCKETS_MS]
    buckets = [
        Bucket(le_ms=top, count=sum(1 for time in times if bottom < time <= top))
        for bottom, top in zip(bounds, PROTECTION_BUCKETS_MS, strict=False)
    ]
    buckets.append(Bucket(le_ms=None, count=sum(1 for time in times if time > PROTECTION_BUCKETS_MS[-1])))
    return ProtectionTimes(
        trades=len(filled),
        unprotected=len(filled) - len(times),
        p50_ms=_quantile(times, Decimal("0.5")),
        p99_ms=_quantile(times, Decimal("0.99")),
        max_ms=times[-1] if times else None,
        deadline_ms=protection_deadline_ms(store),
        buckets=buckets,
        measured=documents.health(store).protection,
    )


def _quantile(ascending: list[int], share: Decimal) -> int | None:
    """The smallest value that is not less than ``share`` of all."""
    return ascending[-(-int(len(ascending) * share * 100) // 100) - 1] if ascending else None


READS = (
    Endpoint(
        path="/api/positions",
        summary="Open positions with entry, stop, targets, R, and when the stop was last verified",
        answer=Positions,
        read=positions,
    ),
    Endpoint(
        path="/api/orders",
        summary="Orders of the bot, newest first",
        query=OrdersQuery,
        answer=Orders,
        read=orders,
    ),
    Endpoint(
        path="/api/trades",
        summary="Trades, newest first; entries that never filled only with status=ABANDONED",
        query=TradesQuery,
        answer=Trades,
        read=trades,
    ),
    Endpoint(
        path="/api/candles/{symbol}",
        summary="Candles as the bot used them, oldest first",
        query=CandlesQuery,
        answer=Candles,
        read=candles,
    ),
    Endpoint(
        path="/api/protection",
        summary="How long it took from first fill to confirmed stop",
        answer=ProtectionTimes,
        read=protection,
    ),
)
