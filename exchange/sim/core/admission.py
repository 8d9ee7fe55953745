"""Says no to orders as Binance does, before anything happens: each refusal with its code (checked 2026-11).

Order of the checks where the exchange leaves it open: identity, shape, filters, reduce-only accounting, counts,
prices, then margin.
"""

from __future__ import annotations

import re
from decimal import Decimal

from exchange.errors import Refusal
from exchange.filters import would_trigger
from exchange.sim.core import margin, pricing
from exchange.sim.core.state import VenueState
from exchange.sim.playback.candle_path import Quote
from exchange.types import (
    AlgoRequest,
    OrderRequest,
    OrderType,
    Refused,
    Side,
    TimeInForce,
    WorkingType,
)

ALGO_ORDERS_MAX = 200  # open conditional orders of an account over all symbols (change log 2025-12-29)
GOOD_TILL_MIN_MS = 600_000  # goodTillDate must be more than 600 s away
_CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
_CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def regular_type(text: str) -> OrderType:
    """The type of a regular order; conditional ones must go to the other family (-4120)."""
    if text in _CONDITIONAL:
        raise Refusal(
            -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
        )
    if text not in OrderType._value2member_map_:
        raise Refusal(-1116, "Invalid orderType.")
    return OrderType(text)


def is_marketable(side: Side, price: Decimal, last: Decimal) -> bool:
    """True when a limit order would execute on arrival."""
    return not pricing.is_beyond(last, price, side)


def admit_order(state: VenueState, request: OrderRequest) -> None:
    """Raises Refusal unless the order may be accepted."""
    filters = state.rules(request.symbol)
    _check_client_id(request.client_id, taken=state.orders.is_taken(request.client_id))
    quote = state.quote(request.symbol)
    if request.type is OrderType.MARKET and request.price is not None:
        raise Refusal(-1106, "Parameter 'price' sent when not required.")
    _check_good_till(state, request)
    _raise(filters.check_order(request, quote.mark))
    if request.reduce_only:
        check_reduce_only(state, request.symbol, request.side)
    rests = request.type is OrderType.LIMIT and request.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
    if rests and filters.orders_max and len(state.orders.open(request.symbol)) >= filters.orders_max:
        raise Refusal(-2025, "Reach max open order limit.")
    price = _check_execution(state, request, quote)
    if not request.reduce_only:
        check_opening(state, request.symbol, request.side, request.quantity, price)


def admit_algo(state: VenueState, request: AlgoRequest) -> None:
    """Raises Refusal unless the conditional order may rest. Margin is nobody's concern before it triggers."""
    filters = state.rules(request.symbol)
    _check_client_id(request.client_id, taken=state.algos.is_taken(request.client_id))
    quote = state.quote(request.symbol)
    _raise(filters.check_algo(request, quote.mark))
    if request.close_position:
        _check_close_position(state, request)
    if state.algos.open_count() >= ALGO_ORDERS_MAX:
        raise Refusal(-4045, "Reach max stop order limit.")
    reference = quote.mark if request.working_type is WorkingType.MARK_PRICE else quote.last
    if would_trigger(request.type, request.side, request.trigger_price, reference):
        raise Refusal(-2021, "Order would immediately trigger.")


def check_reduce_only(state: VenueState, symbol: str, side: Side) -> None:
    """There must be something left to reduce beside the orders that already rest on this side."""
    reducible = state.holding(symbol).reducible(side)
    same_side = [order for order in state.orders.open(symbol) if order.side is side]
    covered = sum((order.remaining for order in same_side if order.reduce_only), Decimal(0))
    if reducible == 0 or covered >= reducible:
        raise Refusal(-2022, "ReduceOnly Order is rejected.")
    closing = sum((order.remaining for order in same_side if not order.reduce_only), Decimal(0))
    if closing >= reducible:
        raise Refusal(-4118, "ReduceOnly Order Failed. Please check your existing position and open orders.")


def check_opening(state: VenueState, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> None:
    """Position limit of the leverage (-2027), then margin with the fee and the loss at entry (-2019).

    Binance's own margin check leaves the fee out; here it is in, so that opening never makes the free wallet negative.
    """
    holding = state.holding(symbol)
    mark = state.quotes[symbol].mark
    notional = price * quantity
    signed = side.sign * holding.quantity * mark
    resting = sum(
        (
            (order.price or mark) * order.remaining
            for order in state.orders.open(symbol)
            if order.side is side and not order.reduce_only
        ),
        Decimal(0),
    )
    config = state.config(symbol)
    if signed + resting + notional > margin.notional_max(config.leverage, state.brackets[symbol]):
        raise Refusal(-2027, "Exceeded the maximum allowable position at current leverage.")
    needed = state.order_margin(symbol, side, notional) - state.order_margin(symbol)
    if needed <= 0:
        return
    opening = max(quantity - holding.reducible(side), Decimal(0))
    loss = max(side.sign * (price - mark) * opening, Decimal(0))
    fee = notional * state.settings.taker_rate
    if needed + loss + fee > state.available():
        raise Refusal(-2019, "Margin is insufficient.")


def _check_execution(state: VenueState, request: OrderRequest, quote: Quote) -> Decimal:
    """What the order would execute at; refuses what can not execute as it asks to."""
    filters = state.filters[request.symbol]
    limit = request.price
    if limit is None:
        worst = filters.market_price_limit(request.side, quote.mark)
        first = next(
            pricing.executions(
                request.side,
                request.quantity,
                quote.last,
                worst=worst,
                clip=False,
                filters=filters,
                settings=state.settings,
            ),
            None,
        )
        if first is None:
            raise Refusal(-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.")
        return first[0]
    marketable = is_marketable(request.side, limit, quote.last)
    if request.time_in_force is TimeInForce.GTX and marketable:
        raise Refusal(-5022, "Due to the order could not be executed as maker, the Post Only order will be rejected.")
    if request.time_in_force is TimeInForce.FOK:
        given = pricing.executions(
            request.side,
            request.quantity,
            quote.last,
            worst=limit,
            clip=True,
            filters=filters,
            settings=state.settings,
        )
        if not marketable or sum(quantity for _, quantity in given) < request.quantity:
            raise Refusal(-5021, "Due to the order could not be filled immediately, the FOK order has been rejected.")
    return limit


def _check_close_position(state: VenueState, request: AlgoRequest) -> None:
    if state.holding(request.symbol).reducible(request.side) == 0:
        raise Refusal(
            -4509,
            "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
        )
    for algo in state.algos.open(request.symbol):
        if algo.close_position and algo.side is request.side and algo.type is request.type:
            raise Refusal(
                -4130,
                "An open stop or take profit order with GTE and closePosition in the direction is existing.",
            )


def _check_good_till(state: VenueState, request: OrderRequest) -> None:
    if request.time_in_force is not TimeInForce.GTD:
        return
    if request.good_till_ms is None or request.good_till_ms <= state.now_ms + GOOD_TILL_MIN_MS:
        raise Refusal(-5040, "The goodTillDate timestamp must be greater than the current time plus 600 seconds.")


def _check_client_id(client_id: str, *, taken: bool) -> None:
    if not _CLIENT_ID.match(client_id):
        raise Refusal(-4015, "Client order id is not valid.")
    if taken:
        raise Refusal(-4116, "ClientOrderId is duplicated.")


def _raise(refused: Refused | None) -> None:
    if refused is not None:
        raise Refusal(int(refused.code), refused.message, refused.reason)
