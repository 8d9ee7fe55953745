"""Conditional orders: stop and target from their placement to their end."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.types import (
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    Confirmed,
    OrderStatus,
    Refused,
    Side,
    Unknown,
    WorkingType,
)
from tests.contract.grounds import BTC, ETH, Ground
from tests.contract.requests import market, new_id, stop, target

pytestmark = pytest.mark.anyio


async def _long(ground: Ground, quantity: str = "0.010") -> None:
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, quantity)), Confirmed)


async def _rests(ground: Ground, request: AlgoRequest) -> AlgoOrder:
    outcome = await ground.exchange.place_algo(request)
    assert isinstance(outcome, Confirmed), outcome
    assert outcome.algo_order is not None
    return outcome.algo_order


async def _held(ground: Ground) -> Decimal:
    return sum((row.quantity for row in await ground.exchange.positions(BTC)), Decimal(0))


async def test_r10_a_stop_rests_and_reads_back_as_it_was_asked_for(ground: Ground) -> None:
    await _long(ground)
    request = stop(Side.SELL, "58000.1")
    placed = await _rests(ground, request)
    [listed] = await ground.exchange.open_algos(BTC)
    found = await ground.exchange.algo(BTC, request.client_id)
    assert found == listed
    assert (listed.algo_id, listed.client_id) == (placed.algo_id, request.client_id)
    assert (listed.status, listed.side, listed.type) == (AlgoStatus.NEW, Side.SELL, "STOP_MARKET")
    assert (listed.trigger_price, listed.working_type) == (Decimal("58000.1"), WorkingType.MARK_PRICE)
    assert (listed.close_position, listed.quantity, listed.actual_order_id) == (True, None, None)
    assert await ground.exchange.open_orders(BTC) == []


async def test_a_target_with_a_quantity_reads_back_as_reduce_only(ground: Ground) -> None:
    await _long(ground)
    request = target(Side.SELL, "62000", "0.004")
    await _rests(ground, request)
    [listed] = await ground.exchange.open_algos()
    assert (listed.quantity, listed.reduce_only, listed.close_position) == (Decimal("0.004"), True, False)
    assert listed.type == "TAKE_PROFIT_MARKET"


async def test_a_stop_that_fires_closes_everything_under_the_id_it_announces(ground: Ground) -> None:
    await _long(ground)
    request = stop(Side.SELL, "58000")
    await _rests(ground, request)
    await ground.price("57900")
    assert await _held(ground) == 0
    found = await ground.exchange.algo(BTC, request.client_id)
    assert found is not None
    assert found.status is AlgoStatus.FINISHED
    assert found.executed_quantity == Decimal("0.010")
    [*_, last] = await ground.exchange.fills(BTC, start_ms=await ground.now_ms() - 1)
    assert last.order_id == found.actual_order_id
    assert (last.side, last.quantity) == (Side.SELL, Decimal("0.010"))
    assert last.realized_pnl < 0 < last.commission


async def test_a_target_that_fires_takes_its_part_and_the_stop_covers_the_rest(ground: Ground) -> None:
    await _long(ground)
    await _rests(ground, stop(Side.SELL, "58000"))
    await _rests(ground, target(Side.SELL, "61000", "0.004"))
    await ground.price("61010")
    assert await _held(ground) == Decimal("0.006")
    [left] = await ground.exchange.open_algos(BTC)
    assert left.close_position
    await ground.price("57990")
    assert await _held(ground) == 0


async def test_r13_the_stop_listens_to_the_price_it_was_told_to(ground: Ground) -> None:
    await _long(ground)
    await _rests(ground, stop(Side.SELL, "58000"))
    await ground.price("57000", mark="59000")
    assert await _held(ground) == Decimal("0.010")
    await _rests(ground, stop(Side.SELL, "56500", "0.004", working_type=WorkingType.CONTRACT_PRICE))
    await ground.price("56400", mark="59000")
    assert await _held(ground) == Decimal("0.006")


async def test_a_closing_sibling_expires_with_the_position_and_an_orphan_with_a_quantity_stays(ground: Ground) -> None:
    await _long(ground)
    sibling, orphan = stop(Side.SELL, "58000"), target(Side.SELL, "62000", "0.004")
    await _rests(ground, sibling)
    await _rests(ground, orphan)
    await ground.exchange.place_order(market(Side.SELL, "0.010", reduce_only=True))
    found = await ground.exchange.algo(BTC, sibling.client_id)
    assert found is not None
    assert found.status is AlgoStatus.EXPIRED
    assert [algo.client_id for algo in await ground.exchange.open_algos()] == [orphan.client_id]
    await ground.price("62100")
    left = await ground.exchange.algo(BTC, orphan.client_id)
    assert left is not None
    assert left.status is AlgoStatus.REJECTED
    assert await _held(ground) == 0


async def test_r2_a_second_closing_stop_is_refused_and_the_first_goes_on_resting(ground: Ground) -> None:
    await _long(ground)
    first = await _rests(ground, stop(Side.SELL, "58000"))
    outcome = await ground.exchange.place_algo(stop(Side.SELL, "58500"))
    assert isinstance(outcome, Refused)
    assert outcome.code == -4130
    assert [algo.algo_id for algo in await ground.exchange.open_algos(BTC)] == [first.algo_id]


async def test_r3_a_bridge_with_a_quantity_may_rest_beside_the_closing_stop(ground: Ground) -> None:
    await _long(ground)
    await _rests(ground, stop(Side.SELL, "58000"))
    await _rests(ground, stop(Side.SELL, "58500", "0.010"))
    assert len(await ground.exchange.open_algos(BTC)) == 2


async def test_r16_the_same_stop_again_is_the_stop_that_rests(ground: Ground) -> None:
    await _long(ground)
    request = stop(Side.SELL, "58000")
    first = await _rests(ground, request)
    assert (await _rests(ground, request)).algo_id == first.algo_id
    assert len(await ground.exchange.open_algos(BTC)) == 1


async def test_r16_another_stop_under_the_id_of_one_that_rests_is_refused(ground: Ground) -> None:
    await _long(ground)
    request = target(Side.SELL, "62000", "0.004")
    await _rests(ground, request)
    outcome = await ground.exchange.place_algo(target(Side.SELL, "63000", "0.004", client_id=request.client_id))
    assert isinstance(outcome, Refused)
    assert outcome.code == -4116


@pytest.mark.parametrize("answer", [True, False], ids=["accepted", "never arrived"])
async def test_r16_a_stop_without_an_answer_may_be_sent_again_at_once(ground: Ground, answer: bool) -> None:
    await _long(ground)
    await ground.lose("/fapi/v1/algoOrder", answer=answer)
    request = stop(Side.SELL, "58000")
    assert isinstance(await ground.exchange.place_algo(request), Unknown)
    assert (await ground.exchange.algo(BTC, request.client_id) is not None) is answer
    await _rests(ground, request)
    assert len(await ground.exchange.open_algos(BTC)) == 1


async def test_a_closing_stop_without_a_position_is_refused(ground: Ground) -> None:
    outcome = await ground.exchange.place_algo(stop(Side.SELL, "58000"))
    assert isinstance(outcome, Refused)
    assert outcome.code == -4509


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (stop(Side.SELL, "60000"), -2021),
        (target(Side.SELL, "59999.9"), -2021),
        (stop(Side.SELL, "58000.005"), -1111),
        (stop(Side.SELL, "58000.05"), -4014),
        (stop(Side.SELL, "100"), -4013),
        (stop(Side.SELL, "58000", "0.0001"), -4004),
        (stop(Side.SELL, "58000", "121"), -4005),
    ],
    ids=[
        "stop at the price",
        "target passed",
        "too many decimals",
        "between two ticks",
        "below the least price",
        "too little",
        "too much",
    ],
)
async def test_r4_a_conditional_order_is_refused_by_code(ground: Ground, request_: AlgoRequest, code: int) -> None:
    await _long(ground)
    outcome = await ground.exchange.place_algo(request_)
    assert isinstance(outcome, Refused), outcome
    assert outcome.code == code
    assert await ground.exchange.open_algos() == []


async def test_a_conditional_order_is_cancelled_once_and_then_not_open(ground: Ground) -> None:
    await _long(ground)
    request = stop(Side.SELL, "58000")
    await _rests(ground, request)
    assert isinstance(await ground.exchange.cancel_algo(BTC, request.client_id), Confirmed)
    assert await ground.exchange.open_algos(BTC) == []
    again = await ground.exchange.cancel_algo(BTC, request.client_id)
    assert isinstance(again, Confirmed)
    assert again.algo_order is not None
    assert again.algo_order.status is AlgoStatus.CANCELED


async def test_cancelling_a_conditional_order_that_nobody_knows_is_refused(ground: Ground) -> None:
    outcome = await ground.exchange.cancel_algo(BTC, new_id())
    assert isinstance(outcome, Refused)
    assert outcome.code == -2011


async def test_a_conditional_order_of_another_symbol_is_not_found_under_this_one(ground: Ground) -> None:
    await ground.exchange.place_order(market(Side.BUY, "0.100", symbol=ETH))
    request = stop(Side.SELL, "2900", symbol=ETH)
    await _rests(ground, request)
    assert await ground.exchange.algo(BTC, request.client_id) is None
    assert await ground.exchange.algo(ETH, request.client_id) is not None


async def test_a_triggered_order_is_a_regular_order_too(ground: Ground) -> None:
    await _long(ground)
    request = stop(Side.SELL, "58000")
    await _rests(ground, request)
    await ground.price("57900")
    found = await ground.exchange.order(BTC, request.client_id)
    assert found is not None
    assert found.status is OrderStatus.FILLED
