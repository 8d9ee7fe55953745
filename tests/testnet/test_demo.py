"""Small orders on Binance's demo exchange: what the simulator claims, asked of the real thing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from exchange.binance.client import BinanceClient
from exchange.client_ids import Leg, client_id
from exchange.filters import Rounding, SymbolFilters
from exchange.types import (
    AlgoRequest,
    AlgoStatus,
    ConditionalType,
    Confirmed,
    LookRequest,
    MarginType,
    OrderRequest,
    OrderStatus,
    OrderType,
    Refused,
    Side,
    SymbolSnapshot,
    TimeInForce,
    WorkingType,
)
from indicators.candle import Timeframe

pytestmark = [pytest.mark.anyio, pytest.mark.testnet]

SYMBOL = "ETHUSDT"
DATABASE = os.urandom(4).hex()  # ids of this run collide with nobody's
NOTIONAL_ROOM = Decimal("1.3")


def _id(leg: Leg, number: int = 0) -> str:
    return client_id(DATABASE, SYMBOL, int.from_bytes(os.urandom(3)), leg, number, 0)


async def _terms(demo: BinanceClient) -> tuple[SymbolFilters, Decimal, Decimal]:
    """Filters, mark price, and the smallest quantity that is surely enough."""
    filters, price = (await demo.filters())[SYMBOL], (await demo.mark_price(SYMBOL)).mark_price
    step = filters.market_step_size
    return filters, price, filters.floor_quantity(filters.notional_min * NOTIONAL_ROOM / price, market=True) + step


def _stop(filters: SymbolFilters, price: Decimal) -> AlgoRequest:
    return AlgoRequest(
        symbol=SYMBOL,
        side=Side.SELL,
        type=ConditionalType.STOP_MARKET,
        trigger_price=filters.round_price(price * Decimal("0.9"), Rounding.DOWN),
        working_type=WorkingType.MARK_PRICE,
        client_id=_id(Leg.STOP),
        close_position=True,
    )


@asynccontextmanager
async def _long(demo: BinanceClient) -> AsyncIterator[tuple[SymbolFilters, Decimal, Decimal]]:
    """A small long position for as long as the block; afterwards nothing of ours is left."""
    if any(row.quantity for row in await demo.positions(SYMBOL)):
        pytest.skip(f"not run: the demo account already holds {SYMBOL}; close it first")
    filters, price, quantity = await _terms(demo)
    await demo.ensure_margin_type(SYMBOL, MarginType.ISOLATED)
    await demo.ensure_leverage(SYMBOL, 5)
    entry = OrderRequest(
        symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, quantity=quantity, client_id=_id(Leg.ENTRY)
    )
    try:
        outcome = await demo.place_order(entry)
        assert isinstance(outcome, Confirmed), outcome
        yield filters, price, quantity
    finally:
        closing = OrderRequest(
            symbol=SYMBOL,
            side=Side.SELL,
            type=OrderType.MARKET,
            quantity=quantity,
            client_id=_id(Leg.CLOSE),
            reduce_only=True,
        )
        await demo.place_order(closing)
        await demo.cancel_all(SYMBOL)


async def test_the_clock_the_account_and_the_candles_can_be_read(demo: BinanceClient) -> None:
    await demo.server_time_ms()
    assert abs(demo.clock_offset_ms) < 60_000
    assert not (await demo.account_modes()).hedge, "set the demo account to one-way mode"
    assert (await demo.account()).equity > 0
    candles = await demo.candles(SYMBOL, Timeframe.H1, limit=50)
    assert len(candles) == 50
    assert candles[-1].open_time_ms + Timeframe.H1.ms <= await demo.server_time_ms()


async def test_a_small_order_is_placed_seen_and_cancelled(demo: BinanceClient) -> None:
    filters, price, _ = await _terms(demo)
    limit = filters.round_price(price * Decimal("0.97"), Rounding.DOWN)
    quantity = filters.floor_quantity(filters.notional_min * NOTIONAL_ROOM / limit, market=False) + filters.step_size
    request = OrderRequest(
        symbol=SYMBOL,
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=quantity,
        price=limit,
        time_in_force=TimeInForce.GTC,
        client_id=_id(Leg.ENTRY),
    )
    try:
        assert isinstance(await demo.place_order(request), Confirmed)
        assert request.client_id in {order.client_id for order in await demo.open_orders(SYMBOL)}
    finally:
        outcome = await demo.cancel_order(SYMBOL, request.client_id)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.status is OrderStatus.CANCELED


async def test_r1_stop_and_target_of_a_position_are_seen_and_both_families_are_swept(demo: BinanceClient) -> None:
    async with _long(demo) as (filters, price, quantity):
        protection = _stop(filters, price)
        goal = AlgoRequest(
            symbol=SYMBOL,
            side=Side.SELL,
            type=ConditionalType.TAKE_PROFIT_MARKET,
            trigger_price=filters.round_price(price * Decimal("1.1"), Rounding.UP),
            working_type=WorkingType.MARK_PRICE,
            client_id=_id(Leg.TARGET),
            quantity=quantity,
            reduce_only=True,
        )
        for request in (protection, goal):
            outcome = await demo.place_algo(request)
            assert isinstance(outcome, Confirmed), outcome
        listed = {algo.client_id: algo for algo in await demo.open_algos(SYMBOL)}
        assert listed[protection.client_id].close_position
        assert listed[goal.client_id].reduce_only
        again = await demo.place_algo(protection)
        assert isinstance(again, Confirmed), "R16: the same stop again is the stop that rests"
    assert not {protection.client_id, goal.client_id} & {algo.client_id for algo in await demo.open_algos(SYMBOL)}


async def test_r12_a_stop_that_is_missing_is_noticed_by_a_look_and_put_back(demo: BinanceClient) -> None:
    async with _long(demo) as (filters, price, quantity):
        lost = _stop(filters, price)
        assert isinstance(await demo.place_algo(lost), Confirmed)
        assert _covering(await _look(demo, lost.client_id)) == [lost.client_id]
        assert isinstance(await demo.cancel_algo(SYMBOL, lost.client_id), Confirmed)
        naked = await _look(demo, lost.client_id)
        assert naked.position is not None
        assert naked.position.quantity == quantity
        assert _covering(naked) == []
        replacement = _stop(filters, price)
        assert isinstance(await demo.place_algo(replacement), Confirmed)
        assert _covering(await _look(demo, lost.client_id, replacement.client_id)) == [replacement.client_id]


async def test_a_closing_stop_without_a_position_is_refused(demo: BinanceClient) -> None:
    if any(row.quantity for row in await demo.positions(SYMBOL)):
        pytest.skip(f"not run: the demo account already holds {SYMBOL}; close it first")
    filters, price, _ = await _terms(demo)
    outcome = await demo.place_algo(_stop(filters, price))
    assert isinstance(outcome, Refused)
    assert outcome.code == -4509


async def _look(demo: BinanceClient, *tracked: str) -> SymbolSnapshot:
    return await demo.look(SYMBOL, LookRequest(tracked=tracked))


def _covering(snapshot: SymbolSnapshot) -> list[str]:
    """Ids of the closing stops that rest."""
    return [algo.client_id for algo in snapshot.algo_orders if algo.close_position and algo.status is AlgoStatus.NEW]
