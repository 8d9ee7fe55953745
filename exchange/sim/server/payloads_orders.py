"""Orders and executions as Binance's JSON, both families (trade pages, checked 2026-11).

The answers to place and cancel leave out avgPrice and cumQuote, which Binance has not guaranteed since 2026-07-15.
"""

from __future__ import annotations

from decimal import Decimal

from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.server.numerals import Numerals, money
from exchange.types import AlgoStatus, Fill, OrderStatus, OrderType, Side, WorkingType

Json = dict[str, object]

_ZERO = Decimal(0)
STP_MODE = "EXPIRE_MAKER"  # the default for single orders; own orders never meet here


def order_row(order: OrderState, numerals: Numerals) -> Json:
    """The answer to POST and DELETE /fapi/v1/order."""
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status.value,
        "clientOrderId": order.client_id,
        "price": numerals.ordered(order.price),
        "origQty": numerals.ordered_quantity(order.quantity),
        "executedQty": numerals.ordered_quantity(order.executed),
        "cumQty": numerals.ordered_quantity(order.executed),
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side.value,
        "positionSide": "BOTH",
        "stopPrice": numerals.ordered(order.trigger_price),
        "workingType": (order.working_type or WorkingType.CONTRACT_PRICE).value,
        "priceProtect": False,
        "origType": order.original_type or order.type.value,
        "priceMatch": "NONE",
        "selfTradePreventionMode": STP_MODE,
        "goodTillDate": order.good_till_ms or 0,
        "updateTime": order.updated_ms,
    }


def accepted_row(order: OrderState, numerals: Numerals) -> Json:
    """With newOrderRespType ACK: the order as it was accepted, whatever has become of it since."""
    row = order_row(order, numerals)
    nothing = numerals.quantity(_ZERO)
    return {**row, "status": OrderStatus.NEW.value, "executedQty": nothing, "cumQty": nothing}


def queried_row(order: OrderState, numerals: Numerals) -> Json:
    """GET /fapi/v1/order and the lists."""
    return {
        **order_row(order, numerals),
        "avgPrice": average(order.average_price),
        "cumQuote": money(order.quote),
        "time": order.created_ms,
    }


def algo_row(algo: AlgoState, numerals: Numerals) -> Json:
    """The answer to POST /fapi/v1/algoOrder."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type.value,
        "symbol": algo.symbol,
        "side": algo.side.value,
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": numerals.ordered_quantity(algo.quantity),
        "algoStatus": algo.status.value,
        "triggerPrice": numerals.ordered(algo.trigger_price),
        "price": numerals.price(_ZERO),
        "icebergQuantity": None,
        "selfTradePreventionMode": STP_MODE,
        "workingType": algo.working_type.value,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": False,
        "reduceOnly": algo.reduce_only,
        "activatePrice": "",
        "callbackRate": "",
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.triggered_ms or 0,
        "goodTillDate": 0,
    }


def queried_algo_row(algo: AlgoState, numerals: Numerals, *, listed: bool) -> Json:
    """GET /fapi/v1/algoOrder and the lists; actualType and actualQty appear with the real order."""
    row = {
        **algo_row(algo, numerals),
        "actualOrderId": "" if algo.actual_order_id is None else str(algo.actual_order_id),
        "actualPrice": "0.00000" if algo.actual_price is None else average(algo.actual_price),
        "tpOrderType": "",
    }
    if algo.actual_order_id is not None:
        row |= {"actualType": OrderType.MARKET.value, "actualQty": numerals.ordered_quantity(algo.executed)}
    if listed:
        nothing = numerals.price(_ZERO)
        row |= {"tpTriggerPrice": nothing, "tpPrice": nothing, "slTriggerPrice": nothing, "slPrice": nothing}
    return row


def cancelled_algo_row(algo: AlgoState) -> Json:
    """DELETE /fapi/v1/algoOrder: here the code is a text."""
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def fill_row(fill: Fill, numerals: Numerals) -> Json:
    """GET /fapi/v1/userTrades. Fills of a triggered order carry the real order's id."""
    return {
        "buyer": fill.side is Side.BUY,
        "commission": money(fill.commission),
        "commissionAsset": fill.commission_asset,
        "id": fill.fill_id,
        "maker": fill.maker,
        "orderId": fill.order_id,
        "price": numerals.ordered(fill.price),
        "qty": numerals.ordered_quantity(fill.quantity),
        "quoteQty": money(fill.price * fill.quantity),
        "baseQty": "0",
        "marginAsset": "USDT",
        "realizedPnl": money(fill.realized_pnl),
        "side": fill.side.value,
        "positionSide": "BOTH",
        "symbol": fill.symbol,
        "pair": fill.symbol,
        "time": fill.time_ms,
    }


def average(price: Decimal | None) -> str:
    """An average price; it may lie between ticks."""
    return format((price or _ZERO).quantize(Decimal("1E-8")), "f")


def is_forgotten(status: OrderStatus | AlgoStatus, executed: Decimal, updated_ms: int, now_ms: int) -> bool:
    """True when queries no longer find it: ended without a fill 3 days ago, or anything 90 days ago."""
    day_ms = 86_400_000
    if status.is_open:
        return False
    return now_ms - updated_ms > (90 if executed else 3) * day_ms
