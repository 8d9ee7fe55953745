"""Regular orders over REST: place, test, query, cancel, lists, batches, and the dead man's switch."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from exchange.errors import Refusal
from exchange.sim.core import admission
from exchange.sim.core.orders import OrderState
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.endpoint import Endpoint, signed
from exchange.sim.server.params import Params
from exchange.sim.server.payloads_orders import accepted_row, fill_row, is_forgotten, order_row, queried_row
from exchange.sim.server.refusals import missing, not_modelled, not_required
from exchange.sim.server.weights import by_symbol
from exchange.types import OrderRequest, OrderType, Side, TimeInForce

Json = dict[str, object]

BATCH_PLACE_MAX, BATCH_CANCEL_MAX = 5, 10
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
TRADES_KEPT_MS = 90 * DAY_MS  # three months since 2026-08-26
ALL_CANCELLED: Json = {"code": 200, "msg": "The operation of cancel all open order is done."}

_LISTS = ("orderIdList", "orderidlist", "origClientOrderIdList", "origclientorderidlist")
_NOT_FOUND = Refusal(-2013, "Order does not exist.")


class Reply(StrEnum):
    """newOrderRespType."""

    ACK = "ACK"
    RESULT = "RESULT"


def place(emulator: Emulator, params: Params) -> object:
    request = order_request(emulator, params)
    reply = params.choice("newOrderRespType", Reply, Refusal(-1136, "Invalid newOrderRespType."), Reply.ACK)
    order_id = emulator.write(lambda: emulator.venue.place_order(request)).order_id
    order, numerals = state_of(emulator, order_id), emulator.numerals[request.symbol]
    return accepted_row(order, numerals) if reply is Reply.ACK else order_row(order, numerals)


def test(emulator: Emulator, params: Params) -> object:
    """Looked at and not placed."""
    admission.admit_order(emulator.state, order_request(emulator, params))
    return {}


def query(emulator: Emulator, params: Params) -> object:
    order = find(emulator, params)
    if order is None:
        raise _NOT_FOUND
    return queried_row(order, emulator.numerals[order.symbol])


def query_open(emulator: Emulator, params: Params) -> object:
    order = find(emulator, params)
    if order is None or not order.status.is_open:
        raise _NOT_FOUND
    return queried_row(order, emulator.numerals[order.symbol])


def cancel(emulator: Emulator, params: Params) -> object:
    order = find(emulator, params)
    if order is None:
        raise Refusal(-2011, "Unknown order sent.")
    emulator.write(lambda: emulator.venue.cancel_order(order.symbol, order_id=order.order_id))
    return order_row(state_of(emulator, order.order_id), emulator.numerals[order.symbol])


def cancel_all(emulator: Emulator, params: Params) -> object:
    symbol = emulator.symbol(params)
    emulator.write(lambda: emulator.venue.cancel_all_orders(symbol))
    return ALL_CANCELLED


def open_orders(emulator: Emulator, params: Params) -> object:
    """Never conditional ones."""
    return [
        queried_row(order, emulator.numerals[symbol])
        for symbol in emulator.symbols(params)
        for order in emulator.state.orders.open(symbol)
        if order.order_id not in emulator.hidden
    ]


def all_orders(emulator: Emulator, params: Params) -> object:
    symbols, limit = set(emulator.symbols(params)), params.limit(500, 1_000)
    first_id = params.whole_or("orderId", 0) or 0
    start_ms, end_ms = window(emulator, params)
    found = [
        order
        for order in emulator.state.orders
        if order.symbol in symbols
        and order.order_id >= first_id
        and (first_id or start_ms <= order.created_ms <= end_ms)
        and not _is_gone(emulator, order)
    ]
    chosen = found[:limit] if first_id or "startTime" in params else found[-limit:]
    return [
        {**queried_row(order, emulator.numerals[order.symbol]), "pair": order.symbol, "cumBase": "0"}
        for order in chosen
    ]


def place_batch(emulator: Emulator, params: Params) -> object:
    """Each order for itself: an error stands where its order would."""
    rows = _listed(params, "batchOrders")
    if not 1 <= len(rows) <= BATCH_PLACE_MAX:
        raise Refusal(-4082, "Invalid number of batch place orders.")
    return [_each(lambda row=row: place(emulator, _row_params(row))) for row in rows]  # type: ignore[misc]


def cancel_batch(emulator: Emulator, params: Params) -> object:
    """By ids or client ids. ccxt writes these two names in small letters, and the exchange takes them (2026-11)."""
    symbol = emulator.symbol(params)
    name = next((name for name in _LISTS if name in params), "origClientOrderIdList")
    one = "orderId" if name.lower() == "orderidlist" else "origClientOrderId"
    rows = _listed(params, name)
    if not 1 <= len(rows) <= BATCH_CANCEL_MAX:
        raise Refusal(-4082, "Invalid number of batch cancel orders.")
    requests = [Params({"symbol": symbol, one: str(row)}) for row in rows]
    return [_each(lambda request=request: cancel(emulator, request)) for request in requests]  # type: ignore[misc]


def countdown(emulator: Emulator, params: Params) -> object:
    """POST /fapi/v1/countdownCancelAll: regular orders only; what it does to conditional ones is not documented."""
    symbol, wait_ms = emulator.symbol(params), params.whole("countdownTime")
    due_ms = emulator.now_ms + wait_ms
    emulator.countdowns[symbol] = due_ms if wait_ms else 0

    def strike() -> None:
        if emulator.countdowns.get(symbol) == due_ms:
            emulator.venue.cancel_all_orders(symbol)

    if wait_ms:
        emulator.later(due_ms, strike)
    return {"symbol": symbol, "countdownTime": str(wait_ms)}


def user_trades(emulator: Emulator, params: Params) -> object:
    symbol, limit = emulator.symbol(params), params.limit(500, 1_000)
    order_id, first_id = params.whole_or("orderId"), params.whole_or("fromId")
    start_ms, end_ms = window(emulator, params)
    if first_id is not None or order_id is not None:
        start_ms, end_ms = 0, emulator.now_ms
    start_ms = max(start_ms, emulator.now_ms - TRADES_KEPT_MS)
    found = [
        fill
        for fill in emulator.venue.fills(symbol, after_fill_id=(first_id or 1) - 1)
        if start_ms <= fill.time_ms <= end_ms and order_id in (None, fill.order_id)
    ]
    chosen = found[:limit] if first_id is not None or "startTime" in params else found[-limit:]
    return [fill_row(fill, emulator.numerals[symbol]) for fill in chosen]


def order_request(emulator: Emulator, params: Params) -> OrderRequest:
    """What POST /fapi/v1/order asks for; each parameter that makes no sense has its refusal."""
    symbol = emulator.symbol(params)
    side = params.choice("side", Side, Refusal(-1117, "Invalid side."))
    kind = admission.regular_type(params.text("type"))
    refuse_unmodelled(params)
    limit = kind is OrderType.LIMIT
    if not limit and "timeInForce" in params:
        raise not_required("timeInForce")
    time_in_force = _time_in_force(params) if limit else None
    return OrderRequest(
        symbol=symbol,
        side=side,
        type=kind,
        quantity=params.decimal("quantity"),
        price=params.decimal("price") if limit else params.decimal_or_none("price"),
        time_in_force=time_in_force,
        good_till_ms=params.whole("goodTillDate") if time_in_force is TimeInForce.GTD else None,
        reduce_only=closes_a_leg(emulator, params, side) or params.flag("reduceOnly"),
        client_id=params.text_or("newClientOrderId") or emulator.new_client_id(),
    )


def closes_a_leg(emulator: Emulator, params: Params, side: Side) -> bool:
    """Whether this order closes a leg of an account in hedge mode; its positionSide must fit the mode (-4061)."""
    leg = params.text_or("positionSide", "BOTH")
    if leg not in ("BOTH", "LONG", "SHORT"):
        raise Refusal(-4060, "Invalid position side.")
    if (leg == "BOTH") is emulator.modes.hedge:
        raise Refusal(-4061, "Order's position side does not match user's setting.")
    if leg == "BOTH":
        return False
    if "reduceOnly" in params:
        raise not_required("reduceOnly")
    if (leg == "LONG") is not (side is Side.SELL):
        raise not_modelled("opening in hedge mode")
    return True


def refuse_unmodelled(params: Params) -> None:
    """Prices that the book should choose."""
    if params.text_or("priceMatch", "NONE") != "NONE":
        raise not_modelled("priceMatch")


def find(emulator: Emulator, params: Params) -> OrderState | None:
    """The order a request names, unless queries no longer find it."""
    symbol = emulator.symbol(params)
    order_id, client_id = params.whole_or("orderId"), params.text_or("origClientOrderId")
    if order_id is not None:
        found = emulator.state.orders.get(order_id)
    elif client_id is not None:
        found = emulator.state.orders.find(client_id)
    else:
        raise Refusal(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    if found is None or found.symbol != symbol or _is_gone(emulator, found):
        return None
    return found


def state_of(emulator: Emulator, order_id: int) -> OrderState:
    found = emulator.state.orders.get(order_id)
    assert found is not None
    return found


def window(emulator: Emulator, params: Params) -> tuple[int, int]:
    """startTime to endTime, at most 7 days; the last 7 days without."""
    start_ms, end_ms = params.whole_or("startTime"), params.whole_or("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > WEEK_MS:
        raise Refusal(-4165, "Invalid time interval; maximum time interval is 7 days")
    if start_ms is not None:
        return start_ms, end_ms if end_ms is not None else start_ms + WEEK_MS
    end_ms = emulator.now_ms if end_ms is None else end_ms
    return end_ms - WEEK_MS, end_ms


def _time_in_force(params: Params) -> TimeInForce:
    text = params.text("timeInForce")
    if text == "RPI":
        raise not_modelled("timeInForce RPI")
    return params.choice("timeInForce", TimeInForce, Refusal(-1115, "Invalid timeInForce."))


def _is_gone(emulator: Emulator, order: OrderState) -> bool:
    if order.order_id in emulator.hidden:
        return True
    return is_forgotten(order.status, order.executed, order.updated_ms, emulator.now_ms)


def _listed(params: Params, name: str) -> list[object]:
    try:
        return msgspec.json.decode(params.text(name), type=list[object])
    except msgspec.DecodeError:
        raise missing(name) from None


def _row_params(row: object) -> Params:
    if not isinstance(row, dict):
        raise missing("batchOrders")
    return Params(
        {str(name): str(value).lower() if isinstance(value, bool) else str(value) for name, value in row.items()}
    )


def _each(action: Callable[[], object]) -> object:
    try:
        return action()
    except Refusal as refusal:
        return {"code": refusal.code, "msg": refusal.message}


ENDPOINTS: tuple[Endpoint, ...] = (
    signed("POST", "/fapi/v1/order", place, 0, orders=(1, 1)),
    signed("POST", "/fapi/v1/order/test", test, 0),
    signed("GET", "/fapi/v1/order", query, 1),
    signed("DELETE", "/fapi/v1/order", cancel, 1),
    signed("GET", "/fapi/v1/openOrder", query_open, 1),
    signed("GET", "/fapi/v1/openOrders", open_orders, by_symbol(1, 40)),
    signed("GET", "/fapi/v1/allOrders", all_orders, 5),
    signed("DELETE", "/fapi/v1/allOpenOrders", cancel_all, 1),
    signed("POST", "/fapi/v1/batchOrders", place_batch, 5, orders=(5, 1)),
    signed("DELETE", "/fapi/v1/batchOrders", cancel_batch, 1),
    signed("POST", "/fapi/v1/countdownCancelAll", countdown, 10),
    signed("GET", "/fapi/v1/userTrades", user_trades, 5),
)
