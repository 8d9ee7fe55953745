"""Regular orders over REST: shapes of answers, refusals, lists, batches, and how long orders can be found."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
ORDER = "/fapi/v1/order"
DAY_MS = 86_400_000


async def limit(bench: Any, price: str = "59000", **params: object) -> Any:
    given = {"type": "LIMIT", "price": price, "timeInForce": "GTC", "newOrderRespType": "ACK"}
    return await bench.order("BUY", "0.010", **{**given, **params})


async def test_a_market_order_is_answered_with_ack_unless_the_result_is_asked_for(bench: Any) -> None:
    accepted = await bench.order("BUY", "0.01", newOrderRespType=None)
    result = await bench.order("BUY", "0.01")
    assert (accepted["status"], accepted["executedQty"]) == ("NEW", "0.000")
    assert (result["status"], result["executedQty"], result["origQty"]) == ("FILLED", "0.010", "0.010")


async def test_answers_to_place_and_cancel_say_nothing_of_prices_and_queries_do(bench: Any) -> None:
    placed = await bench.order("BUY", "0.01")
    asked = await bench.call("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
    assert "avgPrice" not in placed
    assert "cumQuote" not in placed
    assert (asked["avgPrice"], asked["cumQuote"]) == ("60012.00000000", "600.12000000")
    assert asked["orderId"] > 2**53


async def test_an_order_is_found_by_either_id_on_its_symbol_only(bench: Any) -> None:
    placed = await limit(bench, newClientOrderId="mine-1")
    by_id = await bench.call("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
    by_name = await bench.call("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine-1")
    nothing = await bench.call("GET", ORDER, symbol="BTCUSDT")
    assert by_id == by_name
    assert nothing["code"] == -1102
    assert (await bench.call("GET", ORDER, symbol="BTCUSDT", orderId=1))["code"] == -2013


async def test_an_order_without_a_client_id_gets_one(bench: Any) -> None:
    names = {(await limit(bench))["clientOrderId"] for _ in range(3)}
    assert len(names) == 3


async def test_a_client_id_is_refused_while_an_open_order_has_it(bench: Any) -> None:
    await limit(bench, newClientOrderId="twice")
    assert (await limit(bench, newClientOrderId="twice"))["code"] == -4116


async def test_cancelling_answers_with_the_order_and_then_knows_it_no_more(bench: Any) -> None:
    placed = await limit(bench)
    cancelled = await bench.call("DELETE", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
    assert cancelled["status"] == "CANCELED"
    for order_id in (placed["orderId"], 5):
        assert (await bench.call("DELETE", ORDER, symbol="BTCUSDT", orderId=order_id))["code"] == -2011


async def test_open_orders_are_listed_and_single_and_cancelled_all_at_once(bench: Any) -> None:
    placed = [await limit(bench, str(price)) for price in (59_000, 58_500)]
    listed = await bench.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
    assert [row["orderId"] for row in listed] == [row["orderId"] for row in placed]
    one = {"symbol": "BTCUSDT", "orderId": placed[0]["orderId"]}
    assert (await bench.call("GET", "/fapi/v1/openOrder", **one))["status"] == "NEW"
    done = await bench.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert (done["code"], await bench.call("GET", "/fapi/v1/openOrders")) == (200, [])
    assert (await bench.call("GET", "/fapi/v1/openOrder", **one))["code"] == -2013


async def test_all_orders_have_the_closed_ones_for_a_week_at_a_time(bench: Any) -> None:
    first, second = await bench.order("BUY", "0.01"), await limit(bench)
    rows = await bench.call("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")
    assert [row["orderId"] for row in rows] == [first["orderId"], second["orderId"]]
    later = await bench.call("GET", "/fapi/v1/allOrders", symbol="BTCUSDT", orderId=second["orderId"])
    assert [row["orderId"] for row in later] == [second["orderId"]]
    now = bench.emulator.now_ms
    refused = await bench.call("GET", "/fapi/v1/allOrders", symbol="BTCUSDT", startTime=now - 8 * DAY_MS, endTime=now)
    assert refused["code"] == -4165


async def test_an_order_that_ended_without_a_fill_is_forgotten_after_three_days(
    make_bench: Any, make_feed: Any
) -> None:
    bench = make_bench(feeds=[make_feed("BTCUSDT", [], flat=60_000.0, ahead=24 * 6)])
    filled, empty = await bench.order("BUY", "0.01"), await limit(bench)
    await bench.call("DELETE", ORDER, symbol="BTCUSDT", orderId=empty["orderId"])
    await bench.advance(3 * DAY_MS + 1)
    assert (await bench.call("GET", ORDER, symbol="BTCUSDT", orderId=empty["orderId"]))["code"] == -2013
    assert (await bench.call("GET", ORDER, symbol="BTCUSDT", orderId=filled["orderId"]))["status"] == "FILLED"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"symbol": None}, -1102),
        ({"side": "LONG"}, -1117),
        ({"type": "NONSENSE"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"quantity": None}, -1102),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "0"}, -4003),
        ({"quantity": "0.0001"}, -4004),
        ({"quantity": "0.0015"}, -1111),
        ({"timeInForce": "GTC"}, -1106),
        ({"price": "60000"}, -1106),
        ({"positionSide": "LONG"}, -4061),
        ({"positionSide": "UP"}, -4060),
        ({"priceMatch": "QUEUE"}, -1016),
        ({"reduceOnly": "maybe"}, -1102),
        ({"reduceOnly": "true"}, -2022),
        ({"newClientOrderId": "not this one!"}, -4015),
        ({"newOrderRespType": "FULL"}, -1136),
        ({"type": "LIMIT", "price": "60000"}, -1102),
        ({"type": "LIMIT", "price": "60000", "timeInForce": "DAY"}, -1115),
        ({"type": "LIMIT", "price": "60000", "timeInForce": "RPI"}, -1016),
        ({"type": "LIMIT", "price": "60000.05", "timeInForce": "GTC"}, -4014),
        ({"type": "LIMIT", "price": "60000.001", "timeInForce": "GTC"}, -1111),
        ({"type": "LIMIT", "price": "60000", "timeInForce": "GTX"}, -5022),
        ({"type": "LIMIT", "price": "59000", "timeInForce": "FOK"}, -5021),
        ({"type": "LIMIT", "price": "59000", "timeInForce": "GTD"}, -1102),
        ({"quantity": "50"}, -2019),
    ],
)
async def test_an_order_that_cannot_be_is_refused_by_code_and_400(bench: Any, params: Any, code: int) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", **params}
    response = await bench.send("POST", ORDER, **order)
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_a_test_order_is_checked_and_not_placed(bench: Any) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert await bench.call("POST", "/fapi/v1/order/test", **order) == {}
    assert (await bench.call("POST", "/fapi/v1/order/test", **{**order, "quantity": "50"}))["code"] == -2019
    assert await bench.call("GET", "/fapi/v1/allOrders", symbol="BTCUSDT") == []


async def test_each_order_of_a_batch_stands_for_itself(bench: Any) -> None:
    good = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.01",
        "price": "59000",
        "timeInForce": "GTC",
    }
    rows = await bench.call("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([good, {**good, "side": "UP"}]))
    assert rows[0]["status"] == "NEW"
    assert rows[1]["code"] == -1117
    ids = json.dumps([rows[0]["orderId"], 5])
    cancelled = await bench.call("DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", orderIdList=ids)
    assert cancelled[0]["status"] == "CANCELED"
    assert cancelled[1]["code"] == -2011
    six = await bench.call("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([good] * 6))
    assert six["code"] == -4082
    assert (await bench.call("POST", "/fapi/v1/batchOrders", batchOrders="{"))["code"] == -1102


async def test_the_countdown_cancels_regular_orders_and_leaves_stops(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    await limit(bench, "57000")
    await bench.algo("SELL", "STOP_MARKET", "57000", closePosition="true")
    counting = await bench.call("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=5_000)
    assert counting == {"symbol": "BTCUSDT", "countdownTime": "5000"}
    await bench.advance(4_000)
    await bench.call("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=5_000)
    await bench.advance(4_000)
    assert len(await bench.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")) == 1
    await bench.advance(1_000)
    assert await bench.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT") == []
    assert len(await bench.call("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")) == 1


async def test_a_countdown_that_was_set_to_zero_does_nothing(bench: Any) -> None:
    await limit(bench, "57000")
    for wait in (1_000, 0):
        await bench.call("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=wait)
    await bench.advance(2_000)
    assert len(await bench.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")) == 1


async def test_trades_tell_fee_profit_and_whose_order_it_was(bench: Any) -> None:
    bought = await bench.order("BUY", "0.01")
    sold = await bench.order("SELL", "0.01", reduceOnly="true")
    rows = await bench.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
    assert [(row["orderId"], row["side"], row["buyer"]) for row in rows] == [
        (bought["orderId"], "BUY", True),
        (sold["orderId"], "SELL", False),
    ]
    assert (rows[0]["price"], rows[0]["commission"], rows[0]["realizedPnl"]) == ("60012.00", "0.30006000", "0.00000000")
    assert (rows[1]["price"], rows[1]["realizedPnl"]) == ("59988.00", "-0.24000000")
    only = {"symbol": "BTCUSDT", "orderId": sold["orderId"]}
    assert await bench.call("GET", "/fapi/v1/userTrades", **only) == rows[1:]
    assert await bench.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", fromId=2) == rows[1:]
    assert await bench.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", limit=1) == rows[1:]
    assert (await bench.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", limit=1001))["code"] == -1130
