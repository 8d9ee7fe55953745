"""Regular orders: what every exchange behind the port does with them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.types import (
    Confirmed,
    MarginType,
    OrderRequest,
    OrderStatus,
    OrderType,
    Refused,
    Side,
    TimeInForce,
    Unknown,
)
from tests.contract.grounds import BTC, ETH, Ground
from tests.contract.requests import limit, market, new_id, stop

pytestmark = pytest.mark.anyio


async def test_a_market_order_is_executed_and_can_be_read_back(ground: Ground) -> None:
    request = market(Side.BUY, "0.010")
    outcome = await ground.exchange.place_order(request)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert (outcome.order.status, outcome.order.executed_quantity) == (OrderStatus.FILLED, Decimal("0.010"))
    assert outcome.order.average_price is None, "the answer does not tell it, a query does"
    found = await ground.exchange.order(BTC, request.client_id)
    assert found is not None
    assert (found.order_id, found.client_id, found.side) == (outcome.order.order_id, request.client_id, Side.BUY)
    assert found.average_price == Decimal("60012")  # two hundredths of a per cent of slippage
    [position] = await ground.exchange.positions(BTC)
    assert (position.quantity, position.entry_price) == (Decimal("0.010"), Decimal("60012"))
    assert await ground.exchange.open_orders(BTC) == []


async def test_what_was_sent_has_left_and_what_was_not_has_not(ground: Ground) -> None:
    sent, kept = market(Side.BUY, "0.010"), market(Side.BUY, "0.010")
    await ground.exchange.place_order(sent)
    protective = stop(Side.SELL, "59000")
    await ground.exchange.place_algo(protective)
    assert [ground.exchange.has_left(x.client_id) for x in (sent, protective, kept)] == [True, True, False]


async def test_nothing_holds_requests_up_on_a_calm_exchange_and_a_naked_symbol_is_taken_note_of(ground: Ground) -> None:
    ground.exchange.set_naked(BTC, True)
    ground.exchange.set_naked(BTC, False)
    assert ground.exchange.pause() is None


async def test_a_reduce_only_order_closes_and_never_turns_a_position(ground: Ground) -> None:
    await ground.exchange.place_order(market(Side.SELL, "0.010"))
    outcome = await ground.exchange.place_order(market(Side.BUY, "0.030", reduce_only=True))
    assert isinstance(outcome, Confirmed)
    positions = await ground.exchange.positions(BTC)
    assert sum((row.quantity for row in positions), Decimal(0)) == 0


async def test_a_limit_order_rests_is_listed_and_is_cancelled_once(ground: Ground) -> None:
    request = limit(Side.BUY, "0.010", "59000.1")
    outcome = await ground.exchange.place_order(request)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.status is OrderStatus.NEW
    [listed] = await ground.exchange.open_orders(BTC)
    assert (listed.client_id, listed.price, listed.quantity) == (
        request.client_id,
        Decimal("59000.1"),
        Decimal("0.010"),
    )
    assert [order.client_id for order in await ground.exchange.open_orders()] == [request.client_id]
    cancelled = await ground.exchange.cancel_order(BTC, request.client_id)
    assert isinstance(cancelled, Confirmed)
    assert cancelled.order is not None
    assert cancelled.order.status is OrderStatus.CANCELED
    assert await ground.exchange.open_orders(BTC) == []
    found = await ground.exchange.order(BTC, request.client_id)
    assert found is not None
    assert found.status is OrderStatus.CANCELED


async def test_a_limit_order_is_filled_when_its_price_is_reached(ground: Ground) -> None:
    request = limit(Side.BUY, "0.010", "59000")
    await ground.exchange.place_order(request)
    await ground.price("58990")
    found = await ground.exchange.order(BTC, request.client_id)
    assert found is not None
    assert found.status is OrderStatus.FILLED
    fills = await ground.exchange.fills(BTC, start_ms=await ground.now_ms() - 1)
    assert [(fill.order_id, fill.maker, fill.price) for fill in fills][-1] == (found.order_id, True, Decimal("59000"))


async def test_cancelling_what_has_ended_is_confirmed_with_how_it_ended(ground: Ground) -> None:
    """R16: -2011 on a cancel is settled by looking."""
    request = market(Side.BUY, "0.010")
    await ground.exchange.place_order(request)
    outcome = await ground.exchange.cancel_order(BTC, request.client_id)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.status is OrderStatus.FILLED


async def test_cancelling_what_nobody_knows_is_refused(ground: Ground) -> None:
    outcome = await ground.exchange.cancel_order(BTC, new_id())
    assert isinstance(outcome, Refused)
    assert outcome.code == -2011


async def test_an_order_that_nobody_knows_is_none(ground: Ground) -> None:
    assert await ground.exchange.order(BTC, new_id()) is None
    assert await ground.exchange.algo(BTC, new_id()) is None


async def test_an_order_that_is_good_till_a_date_expires_then(ground: Ground) -> None:
    now_ms = await ground.now_ms()
    request = limit(Side.BUY, "0.010", "59000", TimeInForce.GTD, good_till_ms=now_ms + 700_000)
    assert isinstance(await ground.exchange.place_order(request), Confirmed)
    await ground.advance(699_000)
    assert len(await ground.exchange.open_orders(BTC)) == 1
    await ground.advance(2_000)
    found = await ground.exchange.order(BTC, request.client_id)
    assert found is not None
    assert found.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)


async def test_what_exceeds_the_book_expires_and_only_the_rest_is_held(ground: Ground) -> None:
    await ground.depth("600")
    request = limit(Side.BUY, "0.030", "60000", TimeInForce.IOC)
    outcome = await ground.exchange.place_order(request)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    [position] = await ground.exchange.positions(BTC)
    assert outcome.order.executed_quantity == position.quantity
    assert Decimal(0) < position.quantity <= Decimal("0.030")


REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("an unknown symbol", {"symbol": "NOSUCHUSDT"}, -1121),
    ("a quantity below the smallest lot", {"quantity": Decimal("0.0001")}, -4004),
    ("a quantity above the largest lot", {"quantity": Decimal("121")}, -4005),
    ("a quantity with too many decimals", {"quantity": Decimal("0.0105")}, -1111),
    ("a notional too small", {"symbol": ETH, "quantity": Decimal("0.003")}, -4164),
    ("more margin than there is", {"quantity": Decimal("60")}, -2019),
    ("reducing nothing", {"reduce_only": True}, -2022),
]
REFUSED_LIMIT: list[tuple[str, dict[str, Any], int]] = [
    ("a price with too many decimals", {"price": Decimal("59000.005")}, -1111),
    ("a price between two ticks", {"price": Decimal("59000.05")}, -4014),
    ("a price below the least", {"price": Decimal("100")}, -4013),
    ("a price above the band", {"price": Decimal("63000.1")}, -4016),
    ("a price below the band", {"side": Side.SELL, "price": Decimal("56999.9")}, -4024),
    ("post only that would take", {"price": Decimal("60100"), "time_in_force": TimeInForce.GTX}, -5022),
    ("fill or kill that cannot", {"price": Decimal("59000"), "time_in_force": TimeInForce.FOK}, -5021),
]


@pytest.mark.parametrize(("changed", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_market_order_is_refused_by_code(ground: Ground, changed: dict[str, Any], code: int) -> None:
    usual = {"symbol": BTC, "side": Side.BUY, "type": OrderType.MARKET, "quantity": Decimal("0.010")}
    outcome = await ground.exchange.place_order(OrderRequest(**{**usual, "client_id": new_id(), **changed}))
    assert isinstance(outcome, Refused), outcome
    assert outcome.code == code
    assert await ground.exchange.positions() == []


@pytest.mark.parametrize(("changed", "code"), [row[1:] for row in REFUSED_LIMIT], ids=[row[0] for row in REFUSED_LIMIT])
async def test_a_limit_order_is_refused_by_code(ground: Ground, changed: dict[str, Any], code: int) -> None:
    usual = {"symbol": BTC, "side": Side.BUY, "type": OrderType.LIMIT, "quantity": Decimal("0.010")}
    usual |= {"price": Decimal("59000"), "time_in_force": TimeInForce.GTC, "client_id": new_id()}
    outcome = await ground.exchange.place_order(OrderRequest(**{**usual, **changed}))
    assert isinstance(outcome, Refused), outcome
    assert outcome.code == code
    assert await ground.exchange.open_orders() == []


async def test_more_than_the_leverage_allows_is_refused_before_margin_is_looked_at(ground: Ground) -> None:
    assert isinstance(await ground.exchange.ensure_leverage(BTC, 150), Confirmed)
    outcome = await ground.exchange.place_order(market(Side.BUY, "6"))
    assert isinstance(await ground.exchange.ensure_leverage(BTC, 20), Confirmed)
    assert isinstance(outcome, Refused)
    assert outcome.code == -2027


async def test_writes_about_a_symbol_that_does_not_exist_are_refused_and_raise_nothing(ground: Ground) -> None:
    exchange, nowhere = ground.exchange, "NOSUCHUSDT"
    for outcome in (
        await exchange.cancel_all(nowhere),
        await exchange.ensure_leverage(nowhere, 5),
        await exchange.ensure_margin_type(nowhere, MarginType.ISOLATED),
        await exchange.place_algo(stop(Side.SELL, "58000", symbol=nowhere)),
        await exchange.place_order(market(Side.SELL, "1", symbol=nowhere, reduce_only=True)),
    ):
        assert isinstance(outcome, Refused)
        assert outcome.code == -1121


async def test_r16_the_same_order_again_while_it_rests_is_the_order_that_rests(ground: Ground) -> None:
    request = limit(Side.BUY, "0.010", "59000")
    first = await ground.exchange.place_order(request)
    second = await ground.exchange.place_order(request)
    assert isinstance(first, Confirmed)
    assert isinstance(second, Confirmed)
    assert first.order is not None
    assert second.order is not None
    assert second.order.order_id == first.order.order_id
    assert len(await ground.exchange.open_orders(BTC)) == 1


async def test_r16_another_order_under_the_id_of_one_that_rests_is_refused(ground: Ground) -> None:
    request = limit(Side.BUY, "0.010", "59000")
    await ground.exchange.place_order(request)
    outcome = await ground.exchange.place_order(limit(Side.SELL, "0.010", "61000", client_id=request.client_id))
    assert isinstance(outcome, Refused)
    assert outcome.code == -4116


@pytest.mark.parametrize("answer", [True, False], ids=["executed", "never arrived"])
async def test_r16_r17_a_write_without_an_answer_is_unknown_and_the_look_settles_it(
    ground: Ground, answer: bool
) -> None:
    await ground.lose("/fapi/v1/order", answer=answer)
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Unknown)
    found = await ground.exchange.order(BTC, request.client_id)
    assert (found is not None) is answer
    held = sum((row.quantity for row in await ground.exchange.positions(BTC)), Decimal(0))
    assert held == (Decimal("0.010") if answer else 0)


async def test_both_families_are_cancelled_together_and_only_of_the_symbol(ground: Ground) -> None:
    await ground.exchange.place_order(market(Side.BUY, "0.010"))
    await ground.exchange.place_order(limit(Side.BUY, "0.010", "59000"))
    await ground.exchange.place_order(limit(Side.BUY, "0.100", "2900", symbol=ETH))
    await ground.exchange.place_algo(stop(Side.SELL, "58000"))
    assert isinstance(await ground.exchange.cancel_all(BTC), Confirmed)
    assert await ground.exchange.open_orders(BTC) == []
    assert await ground.exchange.open_algos() == []
    assert [order.symbol for order in await ground.exchange.open_orders()] == [ETH]
    assert isinstance(await ground.exchange.cancel_all(BTC), Confirmed)
