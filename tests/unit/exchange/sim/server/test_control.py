"""The simulation's own interface: the clock, stepping from event to event, a stranger's hand on the account (R30)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
NOW_MS = 1_735_689_600_000 + 48 * HOUR_MS


async def states(bench: Any) -> list[str]:
    """What rests now, and the position."""
    account = await bench.sim("GET", "account")
    held = [row["quantity"] for row in account["positions"]]
    return [*held, *(row["client_id"] for row in (*account["orders"], *account["algoOrders"]))]


async def test_the_clock_stands_until_it_is_advanced(bench: Any) -> None:
    clock = await bench.sim("GET", "clock")
    assert clock == {"serverTime": NOW_MS, "speed": 0.0, "data_end": NOW_MS + 49 * HOUR_MS, "ended": False}
    bench.time.seconds += 60
    await bench.app.control.keep_time()
    assert (await bench.sim("GET", "clock"))["serverTime"] == NOW_MS
    answer = await bench.advance(90_000)
    assert (answer["serverTime"], answer["reached"], answer["events"]) == (NOW_MS + 90_000, True, [])


async def test_the_clock_runs_at_its_speed_and_can_be_given_another(make_bench: Any) -> None:
    bench = make_bench(speed=100.0)
    bench.time.seconds += 0.5
    await bench.app.control.keep_time()
    assert bench.emulator.now_ms == NOW_MS + 50_000
    await bench.sim("POST", "clock", speed=2)
    bench.time.seconds += 0.5
    await bench.app.control.keep_time()
    assert bench.emulator.now_ms == NOW_MS + 51_000
    await bench.advance(9_000)
    bench.time.seconds += 0.5
    await bench.app.control.keep_time()
    assert bench.emulator.now_ms == NOW_MS + 61_000


async def test_a_machine_that_cannot_keep_up_slows_the_clock_instead_of_making_it_jump(make_bench: Any) -> None:
    bench = make_bench(speed=10.0)
    bench.time.seconds += 3_600  # the process was stopped for an hour
    await bench.app.control.keep_time()
    assert bench.emulator.now_ms == NOW_MS
    bench.time.seconds += 0.5
    await bench.app.control.keep_time()
    assert bench.emulator.now_ms == NOW_MS + 5_000


async def test_the_clock_stops_where_the_data_ends(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    answer = await bench.advance(1_000 * HOUR_MS)
    assert (answer["serverTime"], answer["ended"], answer["reached"]) == (NOW_MS + 49 * HOUR_MS, True, True)
    assert (await bench.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=1))[0][0] == NOW_MS + 48 * HOUR_MS
    assert "orderId" in await bench.order("SELL", "0.01", reduceOnly="true")
    assert (await bench.advance(HOUR_MS))["serverTime"] == NOW_MS + 49 * HOUR_MS


async def test_stepping_stops_at_each_event_and_goes_on_from_there(bench: Any) -> None:
    await bench.order("BUY", "0.01", type="LIMIT", price="59000", timeInForce="GTC", newClientOrderId="e")
    entered = await bench.advance(HOUR_MS, until_event=True)
    assert not entered["reached"]
    assert NOW_MS < entered["serverTime"] < NOW_MS + HOUR_MS
    assert [event["event"] for event in entered["events"]] == ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
    assert entered["events"][1]["status"] == "FILLED"
    await bench.algo("SELL", "STOP_MARKET", "58500", closePosition="true", clientAlgoId="sl")
    left = NOW_MS + HOUR_MS - entered["serverTime"]
    stopped = await bench.advance(left, until_event=True)
    assert {event.get("client_id") for event in stopped["events"]} >= {"sl"}
    assert await states(bench) == []
    left = NOW_MS + HOUR_MS - stopped["serverTime"]
    assert (await bench.advance(left, until_event=True))["reached"]


async def test_what_an_instant_still_owes_comes_with_an_advance_of_nothing(make_bench: Any) -> None:
    bench = make_bench([(60_000, 60_000, 60_000, 60_000), (55_000, 55_000, 55_000, 55_000)])
    await bench.order("BUY", "0.01")
    await bench.algo("SELL", "STOP_MARKET", "58000", quantity="0.005", reduceOnly="true", clientAlgoId="a")
    await bench.algo("SELL", "STOP_MARKET", "57000", quantity="0.005", reduceOnly="true", clientAlgoId="b")
    async with bench.socket("/market/ws/btcusdt@kline_1h") as socket:
        first = await bench.advance(HOUR_MS, until_event=True)
        assert (first["serverTime"], first["reached"]) == (NOW_MS + HOUR_MS, False)
        assert not any(frame["k"]["x"] for frame in await socket.waiting())
        second = await bench.advance(0, until_event=True)
        assert (second["serverTime"], second["reached"]) == (NOW_MS + HOUR_MS, False)
        third = await bench.advance(0, until_event=True)
        assert third["reached"]
        assert [frame["k"]["x"] for frame in await socket.waiting()].count(True) == 1
    assert await states(bench) == []


async def test_funding_comes_before_triggers_and_both_before_the_close_is_told(make_bench: Any) -> None:
    due_ms = NOW_MS + 8 * HOUR_MS
    flat = (60_000.0,) * 4
    bench = make_bench([flat] * 8 + [(55_000.0,) * 4], rates={due_ms: 0.001})
    await bench.order("BUY", "0.01")
    await bench.algo("SELL", "STOP_MARKET", "58000", closePosition="true")
    key = await bench.key_of_stream()
    seen = []
    bench.emulator.market_feed._hub.publish = lambda name, routes, payload: seen.append(("close", payload["k"]["x"]))
    original = bench.emulator.user_feed.send
    bench.emulator.user_feed.send = lambda message, effect: (
        seen.append((message.kind, message.payload.get("a", {}).get("m", ""))),
        original(message, effect),
    )
    async with bench.socket(f"/market/ws/btcusdt@kline_1h?listenKey={key}"):
        await bench.advance(8 * HOUR_MS)
    told = [kind for kind, detail in seen if detail is not False]
    assert seen[7] == ("ACCOUNT_UPDATE", "FUNDING_FEE")
    assert told[:7] == ["close"] * 7
    assert told[8:10] == ["ALGO_UPDATE", "ALGO_UPDATE"]
    assert told[-1] == "close"


async def test_money_comes_and_goes_from_outside(bench: Any) -> None:
    async with bench.user_socket("ACCOUNT_UPDATE") as socket:
        account = await bench.sim("POST", "account", action="deposit", amount="500")
        assert Decimal(account["account"]["wallet_balance"]) == 10_500
        await bench.sim("POST", "account", action="withdraw", amount=1000)
        frames = await socket.waiting()
    assert [(frame["a"]["m"], frame["a"]["B"][0]["bc"]) for frame in frames] == [
        ("DEPOSIT", "500.00000000"),
        ("WITHDRAW", "-1000.00000000"),
    ]
    assert (await bench.sim("POST", "account", action="withdraw", amount=100_000))["code"] == -2018


async def test_a_stranger_trades_on_the_account(bench: Any) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "web_1"}
    await bench.sim("POST", "account", action="order", params=order)
    stop = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "STOP_MARKET",
        "triggerPrice": "59000",
        "clientAlgoId": "web_2",
    }
    await bench.sim("POST", "account", action="algo", params={**stop, "closePosition": "true"})
    assert await states(bench) == ["0.010", "web_2"] or await states(bench) == ["0.01", "web_2"]
    async with bench.user_socket("ALGO_UPDATE") as socket:
        await bench.sim("POST", "account", action="close", symbol="BTCUSDT")
        assert [frame["o"]["X"] for frame in await socket.waiting()] == ["EXPIRED"]
    assert await states(bench) == []
    assert (await bench.sim("POST", "account", action="close", symbol="BTCUSDT"))["code"] == -2022


@pytest.mark.parametrize("family", ["regular", "conditional"])
async def test_an_order_vanishes_without_a_word(bench: Any, family: str) -> None:
    await bench.order("BUY", "0.01")
    if family == "regular":
        await bench.order("BUY", "0.01", type="LIMIT", price="59000", timeInForce="GTC", newClientOrderId="gone")
        deed, ask = {"clientOrderId": "gone"}, ("/fapi/v1/order", {"symbol": "BTCUSDT", "origClientOrderId": "gone"})
    else:
        await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true", clientAlgoId="gone")
        deed, ask = {"clientAlgoId": "gone"}, ("/fapi/v1/algoOrder", {"clientAlgoId": "gone"})
    async with bench.user_socket() as socket:
        await bench.sim("POST", "account", action="vanish", **deed)
        assert await socket.waiting() == []
    assert (await bench.call("GET", ask[0], **ask[1]))["code"] == -2013
    assert (await bench.call("DELETE", ask[0], **ask[1]))["code"] == -2011
    assert len(await states(bench)) == 1
    response = await bench.http.post("/sim/v1/account", json={"action": "vanish", **deed})
    assert response.status_code == 422


async def test_a_position_is_liquidated(bench: Any) -> None:
    await bench.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    await bench.order("BUY", "0.1")
    await bench.algo("SELL", "STOP_MARKET", "30000", closePosition="true")
    async with bench.user_socket("ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE") as socket:
        await bench.sim("POST", "account", action="liquidate", symbol="BTCUSDT")
        frames = await socket.waiting()
    orders = [frame["o"] for frame in frames if frame["e"] == "ORDER_TRADE_UPDATE"]
    assert [(order["x"], order["X"]) for order in orders] == [("NEW", "NEW"), ("CALCULATED", "FILLED")]
    assert orders[0]["c"].startswith("autoclose-")
    assert [frame["a"]["m"] for frame in frames if frame["e"] == "ACCOUNT_UPDATE"] == ["ORDER", "INSURANCE_CLEAR"]
    assert [frame["o"]["X"] for frame in frames if frame["e"] == "ALGO_UPDATE"] == ["EXPIRED"]
    assert await states(bench) == []
    assert (
        await bench.http.post("/sim/v1/account", json={"action": "liquidate", "symbol": "BTCUSDT"})
    ).status_code == 422


async def test_a_price_jumps_and_comes_back_to_its_path(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    await bench.algo("SELL", "STOP_MARKET", "59000", quantity="0.01", reduceOnly="true")
    await bench.sim("POST", "price", symbol="BTCUSDT", last="58000", mark="59500")
    assert await states(bench) == []
    assert (await bench.get("/fapi/v1/premiumIndex", symbol="BTCUSDT"))["markPrice"] == "59500.00000000"
    await bench.advance(1_000)
    assert (await bench.get("/fapi/v1/ticker/price", symbol="BTCUSDT"))["price"] == "60000.00"


async def test_a_price_can_jump_between_two_events_of_a_step(bench: Any) -> None:
    await bench.order("BUY", "0.01", type="LIMIT", price="59000", timeInForce="GTC")
    await bench.advance(HOUR_MS, until_event=True)
    await bench.sim("POST", "price", symbol="BTCUSDT", last="60000")
    answer = await bench.advance(HOUR_MS)
    assert answer["reached"]


async def test_streams_are_listed_muted_and_cut(bench: Any) -> None:
    async with bench.user_socket() as socket:
        listed = await bench.sim("POST", "streams", action="mute")
        assert [(row["route"], row["muted"]) for row in listed["connections"]] == [("private", True)]
        await bench.order("BUY", "0.01")
        assert await socket.waiting() == []
        await bench.sim("POST", "streams", action="unmute")
        await bench.order("BUY", "0.01")
        assert await socket.waiting()
        await bench.sim("POST", "streams", action="cut")
        assert await socket.next() is None
        assert socket.closed == 1001
    assert (await bench.sim("GET", "streams"))["connections"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "advance", {"ms": -1}),
        ("POST", "advance", {"ms": "soon"}),
        ("POST", "advance", {"hours": 1}),
        ("POST", "clock", {"speed": -1}),
        ("POST", "account", {"action": "steal"}),
        ("POST", "account", {"action": "deposit"}),
        ("POST", "account", {"action": "deposit", "amount": "-5"}),
        ("POST", "account", {"action": "liquidate"}),
        ("POST", "price", {"symbol": "BTCUSDT", "last": "0"}),
        ("POST", "streams", {"action": "dance"}),
        ("POST", "faults", {"settings": {"slippage": "2"}}),
        ("DELETE", "faults?id=x", None),
    ],
)
async def test_a_wrong_command_says_what_is_wrong(bench: Any, method: str, path: str, body: Any) -> None:
    response = await bench.http.request(method, f"/sim/v1/{path}", json=body)
    assert response.status_code == 422
    assert response.json()["error"]


async def test_an_unknown_command_names_the_known_ones(bench: Any) -> None:
    response = await bench.http.get("/sim/v1/weather")
    assert response.status_code == 404
    assert "GET /sim/v1/clock" in response.json()["known"]
