"""Reads a symbol back in one round trip, for the moment in which a position waits for its stop to be confirmed.

A usual look asks for orders first and for the position afterwards. Here everything is asked at once: an answer that is
a moment older than another one can only make the next look necessary, since nothing is concluded from what is absent
once.
"""

from __future__ import annotations

import asyncio

import structlog

from exchange.client_ids import Leg, parse
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.types import AlgoOrder, Fill, LookRequest, Order, SymbolSnapshot
from fsm.live.trading.executor import REGULAR_LEGS

log = structlog.get_logger("fsm.lane")


async def read_back(
    exchange: Exchange, symbol: str, request: LookRequest, at_ms: int, *, whole: bool = False
) -> SymbolSnapshot:
    """A snapshot without account and ledger, and without conditional orders that do not rest: ``whole`` asks for the
    stops that are tracked by their names as well, which shows how they ended. Raises ExchangeError."""
    entries = [cid for cid in request.tracked if _is_regular(cid)]
    stops = [cid for cid in request.tracked if whole and _is_stop(cid)]
    (resting, positions, orders), (fills, more_orders, more_algos) = await asyncio.gather(
        asyncio.gather(exchange.open_algos(symbol), exchange.positions(symbol), exchange.open_orders(symbol)),
        asyncio.gather(
            _fills(exchange, symbol, request),
            asyncio.gather(*(exchange.order(symbol, cid) for cid in entries)),
            asyncio.gather(*(exchange.algo(symbol, cid) for cid in stops)),
        ),
    )
    algos: dict[str, AlgoOrder] = {algo.client_id: algo for algo in (*filter(None, more_algos), *resting)}
    all_orders: dict[str, Order] = {order.client_id: order for order in (*orders, *filter(None, more_orders))}
    return SymbolSnapshot(
        symbol=symbol,
        at_ms=at_ms,
        position=next((position for position in positions if position.symbol == symbol), None),
        orders=tuple(all_orders.values()),
        algo_orders=tuple(algos.values()),
        fills=tuple(fills),
    )


async def _fills(exchange: Exchange, symbol: str, request: LookRequest) -> list[Fill]:
    """Those that can be read: a stop that rests is seen also where fills are not told for a while."""
    if request.fills_after_id is None and request.fills_start_ms is None:
        return []
    try:
        return await exchange.fills(symbol, after_fill_id=request.fills_after_id, start_ms=request.fills_start_ms)
    except ExchangeError as error:
        log.info("fills_unread", symbol=symbol, reason=type(error).__name__, error=str(error))
        return []


def _is_regular(client_id: str) -> bool:
    parts = parse(client_id)
    return parts is not None and parts.leg in REGULAR_LEGS


def _is_stop(client_id: str) -> bool:
    parts = parse(client_id)
    return parts is not None and parts.leg in (Leg.STOP, Leg.BRIDGE)
