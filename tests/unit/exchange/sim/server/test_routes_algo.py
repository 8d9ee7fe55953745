"""Conditional orders over REST: a family of their own, with its own ids, lists and refusals (R1, R2, R10, R26)."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio
ALGO = "/fapi/v1/algoOrder"
HOUR_MS = 3_600_000


async def test_a_stop_is_told_in_its_own_words(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    placed = await bench.algo("SELL", "STOP_MARKET", "59000", quantity="0.01", reduceOnly="true", clientAlgoId="sl-1")
    assert (placed["clientAlgoId"], placed["orderType"], placed["algoStatus"]) == ("sl-1", "STOP_MARKET", "NEW")
    assert (placed["triggerPrice"], placed["quantity"], placed["reduceOnly"]) == ("59000.00", "0.010", True)
    assert placed["workingType"] == "CONTRACT_PRICE"
    asked = await bench.call("GET", ALGO, clientAlgoId="sl-1")
    assert (asked["algoId"], asked["actualOrderId"], asked["actualPrice"]) == (placed["algoId"], "", "0.00000")
    assert "actualQty" not in asked


async def test_regular_calls_do_not_see_it_and_its_own_calls_do(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    placed = await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true", clientAlgoId="sl-1")
    assert placed["quantity"] == "0.000"
    assert await bench.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT") == []
    assert (await bench.call("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="sl-1"))["code"] == -2013
    await bench.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert [row["algoId"] for row in await bench.call("GET", "/fapi/v1/openAlgoOrders")] == [placed["algoId"]]
    cancelled = await bench.call("DELETE", ALGO, algoId=placed["algoId"])
    assert cancelled == {"algoId": placed["algoId"], "clientAlgoId": "sl-1", "code": "200", "msg": "success"}
    assert (await bench.call("DELETE", ALGO, algoId=placed["algoId"]))["code"] == -2011
    assert (await bench.call("GET", ALGO, algoId=9))["code"] == -2013
    assert (await bench.call("GET", ALGO))["code"] == -1102


async def test_a_triggered_stop_leads_to_the_order_and_the_trades_behind_it(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    placed = await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true", clientAlgoId="sl-1")
    await bench.advance(HOUR_MS)
    asked = await bench.call("GET", ALGO, algoId=placed["algoId"])
    assert (asked["algoStatus"], asked["actualType"], asked["actualQty"]) == ("FINISHED", "MARKET", "0.010")
    order_id = int(asked["actualOrderId"])
    order = await bench.call("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=order_id)
    assert (order["type"], order["origType"], order["clientOrderId"]) == ("MARKET", "STOP_MARKET", "sl-1")
    trades = await bench.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", orderId=order_id)
    assert [trade["price"] for trade in trades] == ["58988.20"]
    history = await bench.call("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT")
    assert [row["algoStatus"] for row in history] == ["FINISHED"]


async def test_all_of_a_symbol_are_cancelled_at_once(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true")
    await bench.algo("SELL", "TAKE_PROFIT_MARKET", "65000", closePosition="true")
    assert len(await bench.call("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")) == 2
    assert (await bench.call("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT"))["code"] == 200
    assert await bench.call("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT") == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"algoType": None}, -1102),
        ({"algoType": "VP"}, -1102),
        ({"type": None}, -1102),
        ({"type": "LIMIT"}, -1116),
        ({"type": "TRAILING_STOP_MARKET"}, -1016),
        ({"triggerPrice": None, "stopPrice": "59000"}, -1102),
        ({"triggerPrice": "61000"}, -2021),
        ({"triggerPrice": "59000.05"}, -4014),
        ({"workingType": "LAST"}, -4031),
        ({"quantity": None, "closePosition": "true", "reduceOnly": "true"}, -1106),
        ({"closePosition": "true"}, -4137),
        ({"quantity": None}, -1102),
        ({"priceProtect": "true"}, -1016),
        ({"timeInForce": "GTE_GTC"}, -1016),
        ({"timeInForce": "DAY"}, -1115),
        ({"positionSide": "SHORT"}, -4061),
    ],
)
async def test_a_conditional_order_that_cannot_be_is_refused(bench: Any, params: Any, code: int) -> None:
    await bench.order("BUY", "0.01")
    given = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}
    order = {**given, "triggerPrice": "59000", "quantity": "0.01", **params}
    response = await bench.send("POST", ALGO, **order)
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_close_position_needs_a_position_and_only_one_of_a_kind(bench: Any) -> None:
    assert (await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true"))["code"] == -4509
    await bench.order("BUY", "0.01")
    await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true")
    assert (await bench.algo("SELL", "STOP_MARKET", "58500", closePosition="true"))["code"] == -4130
    assert "algoId" in await bench.algo("SELL", "TAKE_PROFIT_MARKET", "65000", closePosition="true")
