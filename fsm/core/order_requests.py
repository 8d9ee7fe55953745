"""Turns a trade's legs into the exact orders that the exchange is asked for."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg, client_id
from exchange.types import AlgoRequest, ConditionalType, OrderRequest, OrderType, TimeInForce
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.intents import ClosePosition, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.records import EntryLeg, StopLeg, TargetLeg, Trade


def leg_id(context: DecisionContext, symbol: str, number: int, leg: Leg, index: int, attempt: int) -> str:
    return client_id(context.database_id, symbol, number, leg, index, attempt, epoch=context.epoch)


def entry_id(context: DecisionContext, symbol: str, number: int) -> str:
    """There is one entry a trade, and it is sent once."""
    return leg_id(context, symbol, number, Leg.ENTRY, 0, 1)


def stop_leg(trade: Trade, trigger_price: Decimal, version: int, context: DecisionContext) -> StopLeg:
    return StopLeg(
        client_id=leg_id(context, trade.symbol, trade.number, Leg.STOP, version, 1),
        trigger_price=trigger_price,
        working_type=context.policy.orders.working_type,
        version=version,
    )


def next_stop_attempt(trade: Trade, stop: StopLeg, context: DecisionContext) -> StopLeg:
    """The same stop under a new id: the one before has definitely ended."""
    attempt = stop.attempt + 1
    cid = leg_id(context, trade.symbol, trade.number, Leg.STOP, stop.version, attempt)
    return replace(stop, client_id=cid, attempt=attempt)


def place_entry(trade: Trade) -> PlaceEntry:
    """MARKET, or LIMIT that the exchange itself expires (GTD)."""
    entry: EntryLeg = trade.entry
    is_limit = entry.price is not None
    request = OrderRequest(
        symbol=trade.symbol,
        side=trade.side.entry_side,
        type=OrderType.LIMIT if is_limit else OrderType.MARKET,
        quantity=entry.quantity,
        client_id=entry.client_id,
        price=entry.price,
        time_in_force=TimeInForce.GTD if is_limit else None,
        good_till_ms=entry.expires_ms,
    )
    return PlaceEntry(symbol=trade.symbol, request=request)


def place_stop(trade: Trade, stop: StopLeg) -> PlaceStop:
    """The closePosition stop: its size is the whole position, whatever that becomes."""
    request = AlgoRequest(
        symbol=trade.symbol,
        side=trade.side.exit_side,
        type=ConditionalType.STOP_MARKET,
        trigger_price=stop.trigger_price,
        working_type=stop.working_type,
        client_id=stop.client_id,
        close_position=True,
    )
    return PlaceStop(symbol=trade.symbol, request=request)


def planned_stop(trade: Trade, context: DecisionContext) -> PlaceStop:
    """The stop as the trade's record has it, or as it will have it after the first fill."""
    return place_stop(trade, trade.stop or stop_leg(trade, trade.stop_price_initial, 1, context))


def place_bridge(trade: Trade, stop: StopLeg, context: DecisionContext) -> PlaceStop:
    """A reduce-only stop at the new price that rests while the closePosition stop is replaced.

    The exchange refuses a second closePosition stop, so make-before-break needs this one (R3). It covers the
    whole position also where lots became larger since: what is asked for beyond it is not sold.
    """
    filters, held = context.filters, trade.open_quantity
    covering = context.edition > 1
    request = AlgoRequest(
        symbol=trade.symbol,
        side=trade.side.exit_side,
        type=ConditionalType.STOP_MARKET,
        trigger_price=stop.trigger_price,
        working_type=stop.working_type,
        client_id=bridge_id(context, trade, stop),
        quantity=filters.covering_quantity(held) if covering else filters.floor_quantity(held, market=True),
        reduce_only=True,
    )
    return PlaceStop(symbol=trade.symbol, request=request)


def bridge_id(context: DecisionContext, trade: Trade, stop: StopLeg) -> str:
    return leg_id(context, trade.symbol, trade.number, Leg.BRIDGE, stop.version, stop.attempt)


def place_target(trade: Trade, target: TargetLeg, context: DecisionContext) -> PlaceTarget:
    """A take-profit: reduce-only with a quantity, or closePosition for the last one."""
    request = AlgoRequest(
        symbol=trade.symbol,
        side=trade.side.exit_side,
        type=ConditionalType.TAKE_PROFIT_MARKET,
        trigger_price=target.trigger_price,
        working_type=context.policy.orders.working_type,
        client_id=target.client_id,
        quantity=target.quantity,
        close_position=target.quantity is None,
        reduce_only=target.quantity is not None,
    )
    return PlaceTarget(symbol=trade.symbol, index=target.index, request=request)


def close_piece(
    trade: Trade, quantity: Decimal, piece: int, context: DecisionContext, *, limit: Decimal | None = None
) -> ClosePosition:
    """One reduce-only piece of an exit, not above the largest market lot; LIMIT IOC when ``limit`` is given.

    Less than the smallest lot is asked for as one lot: the exchange clamps reduce-only orders to the position.
    """
    filters, market = context.filters, limit is None
    largest = filters.market_quantity_max if market else filters.quantity_max
    lot = filters.floor_quantity(min(quantity, largest) if largest else quantity, market=market)
    smallest = max(filters.market_quantity_min, filters.market_step_size) if market else filters.quantity_min
    request = OrderRequest(
        symbol=trade.symbol,
        side=trade.side.exit_side,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=lot or smallest or quantity,
        client_id=close_id(context, trade, piece),
        price=limit,
        reduce_only=True,
        time_in_force=None if limit is None else TimeInForce.IOC,
    )
    return ClosePosition(symbol=trade.symbol, request=request)


def close_id(context: DecisionContext, trade: Trade, piece: int) -> str:
    return leg_id(context, trade.symbol, trade.number, Leg.CLOSE, piece, 1)
