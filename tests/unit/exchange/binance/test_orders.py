"""Placing and cancelling against a real server: every answer becomes an Outcome, and both families are served."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exchange.binance.client import BinanceClient
from exchange.binance.replies import ToldToWait
from exchange.types import (
    AlgoRequest,
    AlgoStatus,
    ConditionalType,
    Confirmed,
    OrderRequest,
    OrderStatus,
    OrderType,
    Refused,
    Side,
    Unknown,
    WorkingType,
)

pytestmark = pytest.mark.anyio
PLACE, QUERY, CANCEL = "POST /fapi/v1/order", "GET /fapi/v1/order", "DELETE /fapi/v1/order"
ALGO_PLACE, ALGO_QUERY, ALGO_CANCEL = (f"{verb} /fapi/v1/algoOrder" for verb in ("POST", "GET", "DELETE"))
ENTRY = OrderRequest(
    symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.010"), client_id="f0000000a-1-1-E0.1"
)
STOP = AlgoRequest(
    symbol="BTCUSDT",
    side=Side.SELL,
    type=ConditionalType.STOP_MARKET,
    trigger_price=Decimal("58800.0"),
    working_type=WorkingType.MARK_PRICE,
    client_id="f0000000a-1-1-S1.1",
    close_position=True,
)
LOST = {"msg": "Unknown error, please check your request or try again later."}


def order_row(**changes: Any) -> dict[str, Any]:
    return {
        "orderId": 4611875134427365377, "symbol": "BTCUSDT", "status": "FILLED", "clientOrderId": ENTRY.client_id,
        "price": "0", "origQty": "0.010", "executedQty": "0.010", "type": "MARKET", "reduceOnly": False, "side": "BUY",
        "updateTime": 1,
    } | changes  # fmt: skip


def algo_row(**changes: Any) -> dict[str, Any]:
    return {
        "algoId": 7, "clientAlgoId": STOP.client_id, "orderType": "STOP_MARKET", "symbol": "BTCUSDT", "side": "SELL",
        "algoStatus": "NEW", "triggerPrice": "58800.00", "workingType": "MARK_PRICE", "closePosition": True,
        "quantity": "0", "reduceOnly": False, "updateTime": 1,
    } | changes  # fmt: skip


def error(answer: Any, code: int, message: str = "no") -> Any:
    return answer({"code": code, "msg": message}, status=400)


async def test_a_market_order_is_confirmed_with_its_result(exchange: Any, client: BinanceClient) -> None:
    exchange.on(PLACE, order_row())
    outcome = await client.place_order(ENTRY)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert (outcome.order.status, outcome.order.average_price) == (OrderStatus.FILLED, None)
    assert exchange.calls(PLACE)[0].params["newClientOrderId"] == ENTRY.client_id


async def test_a_refusal_carries_binances_code(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(PLACE, error(answer, -2019, "Margin is insufficient."))
    outcome = await client.place_order(ENTRY)
    assert isinstance(outcome, Refused)
    assert outcome.code == -2019
    assert "Margin is insufficient" in outcome.message


async def test_an_order_that_contradicts_itself_is_refused_here(exchange: Any, client: BinanceClient) -> None:
    wrong = OrderRequest(symbol="BTCUSDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(1), client_id="x")
    outcome = await client.place_order(wrong)
    assert isinstance(outcome, Refused)
    assert outcome.code == -1102
    assert exchange.asked == []


OPENINGS: list[tuple[dict[str, Any], int]] = [
    ({"symbol": "NOBODYUSDT"}, -1121),
    ({"symbol": "XAUUSDT"}, -4140),
    ({"symbol": "BTCUSDT_260327"}, -4140),
    ({"quantity": Decimal("0.0005")}, -4004),
    ({"quantity": Decimal("0.0015")}, -1111),
    ({"quantity": Decimal(1001)}, -4005),
    ({"type": OrderType.LIMIT, "price": Decimal("60000.05")}, -4014),
    ({"type": OrderType.LIMIT, "price": Decimal(1)}, -4013),
]


@pytest.mark.parametrize(("change", "code"), OPENINGS)
async def test_an_order_that_opens_never_leaves_against_its_filters(
    exchange: Any, client: BinanceClient, change: dict[str, Any], code: int
) -> None:
    outcome = await client.place_order(msgspec.structs.replace(ENTRY, **change))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert exchange.asked == []


async def test_an_order_that_closes_is_left_to_the_exchange_to_judge(exchange: Any, client: BinanceClient) -> None:
    exchange.on(PLACE, order_row())
    closing = msgspec.structs.replace(ENTRY, symbol="NOBODYUSDT", reduce_only=True)
    assert isinstance(await client.place_order(closing), Confirmed)


async def test_r16_r17_a_503_that_was_executed_is_unknown_and_then_found(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(PLACE, answer(LOST, status=503))
    exchange.on(QUERY, order_row())
    assert isinstance(await client.place_order(ENTRY), Unknown)
    assert exchange.names() == [PLACE], "it is neither sent again nor decided here"
    found = await client.order("BTCUSDT", ENTRY.client_id)
    assert found is not None
    assert found.status is OrderStatus.FILLED


async def test_r16_a_2xx_that_cannot_be_read_is_unknown_because_the_order_may_rest(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    for body in (b"<html>", b"{}", b'{"orderId": 1}'):
        exchange.on(PLACE, answer(body))
        assert isinstance(await client.place_order(ENTRY), Unknown)


async def test_r16_minus_4116_means_the_earlier_attempt_was_accepted(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(PLACE, error(answer, -4116, "ClientOrderId is duplicated."))
    exchange.on(QUERY, order_row(status="PARTIALLY_FILLED", executedQty="0.004"))
    outcome = await client.place_order(ENTRY)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.executed_quantity == Decimal("0.004")


async def test_r16_minus_4116_without_a_trace_stays_unknown(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(PLACE, error(answer, -4116))
    exchange.on(QUERY, error(answer, -2013, "Order does not exist."))
    outcome = await client.place_order(ENTRY)
    assert isinstance(outcome, Unknown)
    assert "look again" in outcome.reason
    exchange.on(QUERY, answer(LOST, status=503))
    assert isinstance(await client.place_order(ENTRY), Unknown)


async def test_an_id_that_belongs_to_a_different_order_is_a_refusal(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(PLACE, error(answer, -4116))
    exchange.on(QUERY, order_row(origQty="0.020"))
    outcome = await client.place_order(ENTRY)
    assert isinstance(outcome, Refused)
    assert "another order" in outcome.message


async def test_r1_a_stop_goes_to_the_algo_endpoint_under_our_own_id(exchange: Any, client: BinanceClient) -> None:
    exchange.on(ALGO_PLACE, algo_row())
    outcome = await client.place_algo(STOP)
    assert isinstance(outcome, Confirmed)
    assert outcome.algo_order is not None
    assert (outcome.algo_order.client_id, outcome.algo_order.close_position) == (STOP.client_id, True)
    assert exchange.names() == [ALGO_PLACE]
    assert exchange.asked[-1].params["clientAlgoId"] == STOP.client_id


async def test_r1_minus_4120_is_a_plain_refusal_and_not_tried_again(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(ALGO_PLACE, error(answer, -4120, "use the Algo Order API endpoints instead"))
    outcome = await client.place_algo(STOP)
    assert isinstance(outcome, Refused)
    assert (outcome.code, len(exchange.names())) == (-4120, 1)


async def test_r59_a_stop_without_a_position_is_refused_once_whoever_sent_it_knows_when_again(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(ALGO_PLACE, error(answer, -4509))
    outcome = await client.place_algo(STOP)
    assert isinstance(outcome, Refused)
    assert (outcome.code, len(exchange.names())) == (-4509, 1)


@pytest.mark.parametrize("code", [-4116, -4130])
async def test_a_stop_that_was_placed_before_is_read_back(
    exchange: Any, client: BinanceClient, answer: Any, code: int
) -> None:
    exchange.on(ALGO_PLACE, error(answer, code))
    exchange.on(ALGO_QUERY, algo_row())
    outcome = await client.place_algo(STOP)
    assert isinstance(outcome, Confirmed)
    assert outcome.algo_order is not None
    assert outcome.algo_order.status is AlgoStatus.NEW


async def test_minus_4130_without_ours_is_somebody_elses_stop(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(ALGO_PLACE, error(answer, -4130))
    exchange.on(ALGO_QUERY, error(answer, -2013))
    outcome = await client.place_algo(STOP)
    assert isinstance(outcome, Refused)
    assert outcome.code == -4130


@pytest.mark.parametrize("change", [{"algoStatus": "EXPIRED"}, {"triggerPrice": "58000"}, {"side": "BUY"}])
async def test_a_stop_that_ended_or_is_a_different_one_does_not_count_as_placed(
    exchange: Any, client: BinanceClient, answer: Any, change: dict[str, str]
) -> None:
    exchange.on(ALGO_PLACE, error(answer, -4116))
    exchange.on(ALGO_QUERY, algo_row(**change))
    assert isinstance(await client.place_algo(STOP), Refused)


async def test_minus_4116_for_a_stop_nobody_shows_is_unknown(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(ALGO_PLACE, error(answer, -4116))
    exchange.on(ALGO_QUERY, error(answer, -2013))
    assert isinstance(await client.place_algo(STOP), Unknown)
    exchange.on(ALGO_QUERY, answer(b"", status=502))
    assert isinstance(await client.place_algo(STOP), Unknown)


async def test_a_cancel_is_confirmed_with_the_order_as_it_ended(exchange: Any, client: BinanceClient) -> None:
    exchange.on(CANCEL, order_row(status="CANCELED", executedQty="0"))
    outcome = await client.cancel_order("BTCUSDT", ENTRY.client_id)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.status is OrderStatus.CANCELED


@pytest.mark.parametrize("status", ["FILLED", "CANCELED", "EXPIRED"])
async def test_a_cancel_that_came_too_late_tells_how_the_order_ended(
    exchange: Any, client: BinanceClient, answer: Any, status: str
) -> None:
    exchange.on(CANCEL, error(answer, -2011, "Unknown order sent."))
    exchange.on(QUERY, order_row(status=status))
    outcome = await client.cancel_order("BTCUSDT", ENTRY.client_id)
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.status == status


async def test_a_cancel_of_an_order_nobody_finds_is_refused_as_evidence(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(CANCEL, error(answer, -2011))
    exchange.on(QUERY, error(answer, -2013))
    outcome = await client.cancel_order("BTCUSDT", ENTRY.client_id)
    assert isinstance(outcome, Refused)
    assert outcome.code == -2011


async def test_a_refused_cancel_of_an_order_that_is_still_open_says_so(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(CANCEL, error(answer, -2011))
    exchange.on(QUERY, order_row(status="NEW"))
    outcome = await client.cancel_order("BTCUSDT", ENTRY.client_id)
    assert isinstance(outcome, Refused)
    assert "still open" in outcome.message
    exchange.on(QUERY, answer(b"", status=502))
    assert isinstance(await client.cancel_order("BTCUSDT", ENTRY.client_id), Unknown)


async def test_a_conditional_order_is_cancelled_by_its_own_id_and_a_code_in_text(
    exchange: Any, client: BinanceClient
) -> None:
    exchange.on(ALGO_CANCEL, {"algoId": 7, "clientAlgoId": STOP.client_id, "code": "200", "msg": "success"})
    assert await client.cancel_algo("BTCUSDT", STOP.client_id) == Confirmed()
    assert exchange.asked[-1].params["clientAlgoId"] == STOP.client_id
    assert "symbol" not in exchange.asked[-1].params


@pytest.mark.parametrize(("code", "status", "confirmed"), [
    (-2011, "FINISHED", True), (-2011, "EXPIRED", True), (-2011, "NEW", False),
    (-4117, "TRIGGERING", False), (-4117, "TRIGGERED", False), (-4117, "FINISHED", True),
])  # fmt: skip
async def test_a_refused_cancel_of_a_stop_is_settled_by_reading_it(
    exchange: Any, client: BinanceClient, answer: Any, code: int, status: str, confirmed: bool
) -> None:
    exchange.on(ALGO_CANCEL, error(answer, code))
    exchange.on(ALGO_QUERY, algo_row(algoStatus=status))
    outcome = await client.cancel_algo("BTCUSDT", STOP.client_id)
    assert isinstance(outcome, Confirmed if confirmed else Refused)


async def test_a_cancel_of_a_stop_nobody_finds_is_refused_and_other_errors_keep_their_meaning(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(ALGO_CANCEL, error(answer, -2011))
    exchange.on(ALGO_QUERY, error(answer, -2013))
    assert isinstance(await client.cancel_algo("BTCUSDT", STOP.client_id), Refused)
    exchange.on(ALGO_QUERY, answer(b"", status=500))
    assert isinstance(await client.cancel_algo("BTCUSDT", STOP.client_id), Unknown)
    exchange.on(ALGO_CANCEL, error(answer, -2015))
    assert isinstance(await client.cancel_algo("BTCUSDT", STOP.client_id), Refused)


ALL, ALL_ALGOS = "DELETE /fapi/v1/allOpenOrders", "DELETE /fapi/v1/algoOpenOrders"
DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


async def test_cancel_all_sweeps_both_families(exchange: Any, client: BinanceClient) -> None:
    exchange.on(ALL, DONE)
    exchange.on(ALL_ALGOS, DONE)
    assert await client.cancel_all("BTCUSDT") == Confirmed()
    assert sorted(exchange.names()) == sorted([ALL, ALL_ALGOS])


@pytest.mark.parametrize("failing", [ALL, ALL_ALGOS])
async def test_cancel_all_sweeps_the_other_family_even_if_one_fails(
    exchange: Any, client: BinanceClient, answer: Any, failing: str
) -> None:
    exchange.on(ALL, DONE)
    exchange.on(ALL_ALGOS, DONE)
    exchange.on(failing, error(answer, -1121))
    assert isinstance(await client.cancel_all("BTCUSDT"), Refused)
    assert {ALL, ALL_ALGOS} <= set(exchange.names())
    exchange.on(failing, answer(LOST, status=503))
    assert isinstance(await client.cancel_all("BTCUSDT"), Unknown)


async def test_r45_a_spent_budget_is_a_refusal_with_the_code_of_too_many_requests(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(PLACE, answer(b"", status=429))
    outcome = await client.place_order(ENTRY)
    assert isinstance(outcome, Refused)
    assert outcome.code == -1003


async def test_closing_has_a_higher_priority_than_opening(exchange: Any, client: BinanceClient, clock: Any) -> None:
    exchange.on(PLACE, order_row())
    await client.server_time_ms()
    now_s = clock.monotonic()
    client.http.budget.refused(ToldToWait(cause="HTTP 429"), sent_s=now_s, now_s=now_s, now_ms=clock.now_ms())
    assert isinstance(await client.place_order(ENTRY), Refused)
    closing = OrderRequest(
        symbol="BTCUSDT",
        side=Side.SELL,
        type=OrderType.MARKET,
        quantity=Decimal("0.010"),
        client_id="x",
        reduce_only=True,
    )
    assert isinstance(await client.place_order(closing), Confirmed)
    assert exchange.calls(PLACE)[0].params["reduceOnly"] == "true"


async def test_not_found_is_none_in_both_families_and_anything_else_is_raised(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(QUERY, error(answer, -2013))
    exchange.on(ALGO_QUERY, error(answer, -2013))
    assert await client.order("BTCUSDT", "x") is None
    assert await client.algo("BTCUSDT", "x") is None
    exchange.on(ALGO_QUERY, algo_row(symbol="ETHUSDT"))
    assert await client.algo("BTCUSDT", STOP.client_id) is None
    exchange.on(QUERY, error(answer, -1121))
    exchange.on(ALGO_QUERY, error(answer, -1121))
    for read in (client.order, client.algo):
        with pytest.raises(Exception, match="-1121"):
            await read("BTCUSDT", "x")


async def test_open_orders_of_all_symbols_cost_forty(exchange: Any, client: BinanceClient) -> None:
    exchange.on("GET /fapi/v1/openOrders", [order_row(status="NEW")])
    exchange.on("GET /fapi/v1/openAlgoOrders", [algo_row()])
    assert len(await client.open_orders()) == 1
    assert len(await client.open_algos("BTCUSDT")) == 1
    used = next(w.used for w in client.http.budget.windows.all if w.kind == "REQUEST_WEIGHT")
    assert used == 1 + 40 + 1
