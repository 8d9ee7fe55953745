"""Orders as the tests of the contract send them, each under an id of its own."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

from exchange.client_ids import Leg, client_id
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
    WorkingType,
)
from tests.contract.grounds import BTC

DATABASE = "c0ffee00"
_trades = count(1)


def new_id(leg: Leg = Leg.ENTRY, symbol: str = BTC) -> str:
    """An id that no order has had."""
    return client_id(DATABASE, symbol, next(_trades), leg, 0, 0)


def market(side: Side, quantity: str, **more: Any) -> OrderRequest:
    leg = Leg.CLOSE if more.get("reduce_only") else Leg.ENTRY
    symbol = more.get("symbol", BTC)
    wanted = {"symbol": symbol, "client_id": new_id(leg, symbol), **more}
    return OrderRequest(side=side, type=OrderType.MARKET, quantity=Decimal(quantity), **wanted)


def limit(
    side: Side, quantity: str, price: str, time_in_force: TimeInForce = TimeInForce.GTC, **more: Any
) -> OrderRequest:
    symbol = more.get("symbol", BTC)
    wanted = {"symbol": symbol, "client_id": new_id(Leg.ENTRY, symbol), **more}
    return OrderRequest(
        side=side,
        type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(price),
        time_in_force=time_in_force,
        **wanted,
    )


def stop(side: Side, trigger: str, quantity: str | None = None, **more: Any) -> AlgoRequest:
    """closePosition unless it has a quantity, and reduce-only then; by the mark price."""
    return _conditional(ConditionalType.STOP_MARKET, Leg.STOP, side, trigger, quantity, more)


def target(side: Side, trigger: str, quantity: str | None = None, **more: Any) -> AlgoRequest:
    return _conditional(ConditionalType.TAKE_PROFIT_MARKET, Leg.TARGET, side, trigger, quantity, more)


def _conditional(
    kind: ConditionalType, leg: Leg, side: Side, trigger: str, quantity: str | None, more: dict[str, Any]
) -> AlgoRequest:
    symbol = more.get("symbol", BTC)
    wanted = {
        "symbol": symbol,
        "client_id": new_id(leg, symbol),
        "working_type": WorkingType.MARK_PRICE,
        "close_position": quantity is None,
        "reduce_only": quantity is not None,
        **more,
    }
    return AlgoRequest(
        side=side,
        type=kind,
        trigger_price=Decimal(trigger),
        quantity=None if quantity is None else Decimal(quantity),
        **wanted,
    )
