"""Understands Binance's orders of both families, and writes ours as request parameters.

Regular orders: /fapi/v1/order, /fapi/v1/openOrders. Conditional orders have their own id space and endpoints
since 2025-12-09: /fapi/v1/algoOrder, /fapi/v1/openAlgoOrders; anywhere else they get -4120 (checked 2026-11).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.binance import fields
from exchange.binance.codec_account import side_of
from exchange.binance.fields import OnUnreadable, Row
from exchange.origin import Origin, Stated
from exchange.types import (
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    WorkingType,
)

_ZERO = Decimal(0)


_ID_PREFIXES = (
    ("settlement_autoclose-", Origin.SETTLEMENT),
    ("adl_autoclose-", Origin.ADL),
    ("autoclose-", Origin.LIQUIDATION),
)
_WHOLE_IDS = {"adl_autoclose": Origin.ADL}


class UnsendableOrder(ValueError):
    """The request contradicts itself, so it was not sent; the caller has a bug."""


def order_params(request: OrderRequest, *, hedge: bool = False) -> dict[str, str]:
    """Parameters of POST /fapi/v1/order; RESULT makes a MARKET order answer with its final state (checked 2026-11).

    ``hedge``: a closing order as hedge mode wants it, with the leg that it closes and without reduceOnly (-4062).
    """
    _check_id(request.client_id)
    limit = request.type is OrderType.LIMIT
    if limit is (request.price is None):
        raise UnsendableOrder("price belongs to LIMIT orders, and only to them")
    params = {
        "symbol": request.symbol,
        "side": request.side.value,
        "type": request.type.value,
        "quantity": _amount(request.quantity, "quantity"),
    }
    if request.price is not None:
        params["price"] = _amount(request.price, "price")
        params["timeInForce"] = (request.time_in_force or TimeInForce.GTC).value
    if request.good_till_ms is not None:
        params["goodTillDate"] = str(request.good_till_ms)
    if hedge:
        params["positionSide"] = _leg_closed_by(request.side)
    elif request.reduce_only:
        params["reduceOnly"] = "true"
    params["newClientOrderId"] = request.client_id
    params["newOrderRespType"] = "RESULT"
    return params


def _leg_closed_by(side: Side) -> str:
    return "LONG" if side is Side.SELL else "SHORT"


def algo_params(request: AlgoRequest, *, hedge: bool = False) -> dict[str, str]:
    """Parameters of POST /fapi/v1/algoOrder: triggerPrice, not stopPrice (-1102 otherwise, checked 2026-11).

    closePosition excludes quantity (-4137) and reduceOnly (-4138).
    """
    _check_id(request.client_id)
    if request.close_position is (request.quantity is not None) or (request.close_position and request.reduce_only):
        raise UnsendableOrder(
            "a conditional order has either closePosition or a quantity, and reduceOnly only with one"
        )
    params = {
        "algoType": "CONDITIONAL",
        "symbol": request.symbol,
        "side": request.side.value,
        "type": request.type.value,
        "triggerPrice": _amount(request.trigger_price, "triggerPrice"),
        "workingType": request.working_type.value,
    }
    if hedge:
        params["positionSide"] = _leg_closed_by(request.side)
    if request.quantity is not None:
        params["quantity"] = _amount(request.quantity, "quantity")
        if not hedge:
            params["reduceOnly"] = "true" if request.reduce_only else "false"
    else:
        params["closePosition"] = "true"
    params["clientAlgoId"] = request.client_id
    return params


def order(payload: object, what: str = "GET /fapi/v1/order") -> Order:
    """One regular order. avgPrice is not guaranteed in answers to place and cancel (CM-UM notice, 2026-07-15)."""
    source = fields.row(payload, what)
    return Order(
        symbol=fields.text(source, "symbol", what),
        order_id=fields.whole(source, "orderId", what),
        client_id=fields.text(source, "clientOrderId", what),
        side=side_of(source, "side", what),
        type=fields.text_or(source, "type", "UNRECOGNISED"),
        status=order_status(source.get("status")),
        price=fields.number_or(source, "price", _ZERO),
        quantity=fields.number_or(source, "origQty", _ZERO),  # "0" on closePosition orders (R26)
        executed_quantity=_executed(source, what),
        average_price=fields.positive_or_none(source, "avgPrice"),
        reduce_only=fields.flag_or(source, "reduceOnly", False),
        update_time_ms=fields.moment_or(source, "updateTime", fields.moment_or(source, "time", 0)),
        time_in_force=fields.text_or(source, "timeInForce", "GTC"),
        origin=stated_origin(fields.text(source, "clientOrderId", what)),
    )


def stated_origin(client_id: str) -> Stated:
    """Orders of the exchange's own have special client ids: whole words (user data streams, checked 2026-11)."""
    if client_id in _WHOLE_IDS:
        return _WHOLE_IDS[client_id]
    return next((origin for prefix, origin in _ID_PREFIXES if client_id.startswith(prefix)), msgspec.UNSET)


def stated_at_first(client_id: str) -> Stated:
    """As 0.1.0 told them, which looked for parts of words."""
    if "adl_autoclose" in client_id:
        return Origin.ADL
    return Origin.LIQUIDATION if "autoclose-" in client_id else msgspec.UNSET


def orders(payload: object, on_unreadable: OnUnreadable | None = None) -> list[Order]:
    """GET /fapi/v1/openOrders."""
    return fields.readable(payload, "GET /fapi/v1/openOrders", order, on_unreadable)


def algo_order(payload: object, what: str = "GET /fapi/v1/algoOrder") -> AlgoOrder:
    """One conditional order. Ids, quantities and prices may be "", null or 0 while it has not triggered."""
    source = fields.row(payload, what)
    close_position = fields.flag_or(source, "closePosition", False)
    return AlgoOrder(
        symbol=fields.text(source, "symbol", what),
        algo_id=fields.whole(source, "algoId", what),
        client_id=fields.text(source, "clientAlgoId", what),
        side=side_of(source, "side", what),
        # orderType in the live API, type in older answers (checked 2026-11)
        type=fields.text_or(source, "orderType", fields.text_or(source, "type", "UNRECOGNISED")),
        status=algo_status(source.get("algoStatus")),
        trigger_price=fields.number_or(source, "triggerPrice", _ZERO),  # absent on trailing stops
        working_type=working_type(source.get("workingType")),
        quantity=None if close_position else fields.positive_or_none(source, "quantity"),
        close_position=close_position,
        reduce_only=fields.flag_or(source, "reduceOnly", False),
        update_time_ms=fields.moment_or(source, "updateTime", fields.moment_or(source, "createTime", 0)),
        actual_order_id=actual_order_id(source, "actualOrderId"),
        executed_quantity=fields.number_or(source, "actualQty", _ZERO),
    )


def algo_orders(payload: object, on_unreadable: OnUnreadable | None = None) -> list[AlgoOrder]:
    """GET /fapi/v1/openAlgoOrders, a plain list (checked 2026-11)."""
    return fields.readable(payload, "GET /fapi/v1/openAlgoOrders", algo_order, on_unreadable)


def order_status(value: object) -> OrderStatus:
    """NEW_INSURANCE, NEW_ADL and whatever comes next are kept as UNRECOGNISED."""
    if isinstance(value, str) and value in OrderStatus._value2member_map_:
        return OrderStatus(value)
    return OrderStatus.UNRECOGNISED


def algo_status(value: object) -> AlgoStatus:
    """A status that we do not know is neither open nor finished: the engine must look again."""
    if isinstance(value, str) and value in AlgoStatus._value2member_map_:
        return AlgoStatus(value)
    return AlgoStatus.UNRECOGNISED


def working_type(value: object) -> WorkingType:
    """CONTRACT_PRICE is the documented default (POST /fapi/v1/algoOrder, checked 2026-11)."""
    return WorkingType.MARK_PRICE if value == WorkingType.MARK_PRICE.value else WorkingType.CONTRACT_PRICE


def actual_order_id(source: Row, name: str) -> int | None:
    """The real order behind a triggered conditional one: "" or 0 until then, and beyond 2^53 at times."""
    value = fields.whole_or(source, name, 0)
    return value if value > 0 else None


def _executed(source: Row, what: str) -> Decimal:
    if source.get("executedQty") in (None, ""):
        return fields.number(source, "cumQty", what)
    return fields.number(source, "executedQty", what)


def _amount(value: Decimal, name: str) -> str:
    if not value.is_finite() or value <= 0:
        raise UnsendableOrder(f"{name} must be above zero, not {value}")
    return format(value.normalize(), "f")  # neither exponent nor trailing zeros, which could count as precision


def _check_id(client_id: str) -> None:
    # ^[.A-Z:/a-z0-9_-]{1,36}$ on POST /fapi/v1/order and /fapi/v1/algoOrder (checked 2026-11)
    if not 1 <= len(client_id) <= 36:
        raise UnsendableOrder(f"client id {client_id[:50]!r} must have 1 to 36 characters")
