"""Requests are answered as Binance answers them: keys, signatures, time stamps, limits, unknown paths."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from exchange.binance.signing import query, signed
from exchange.secrets import Secret
from exchange.sim.server.auth import unsigned

pytestmark = pytest.mark.anyio
ACCOUNT = "/fapi/v3/account"


async def test_a_public_call_needs_no_key(bench: Any) -> None:
    assert await bench.get("/fapi/v1/ping") == {}
    assert await bench.get("/fapi/v1/time") == {"serverTime": bench.emulator.now_ms}


async def test_an_unknown_path_is_named_with_its_method(bench: Any) -> None:
    response = await bench.http.get("/fapi/v1/positionRisk")
    assert response.status_code == 404
    assert response.json() == {"code": -5000, "msg": "Path /fapi/v1/positionRisk, Method GET is invalid"}


@pytest.mark.parametrize(("key", "code"), [("", -2014), ("somebody else's", -2015)])
async def test_a_missing_or_foreign_key_is_401(bench: Any, key: str, code: int) -> None:
    response = await bench.http.get(
        ACCOUNT, params={"timestamp": "1", "signature": "00"}, headers={"X-MBX-APIKEY": key}
    )
    assert (response.status_code, response.json()["code"]) == (401, code)


async def test_parameters_are_signed_in_the_query_in_the_body_or_in_both(bench: Any) -> None:
    now = bench.emulator.now_ms
    first = urlencode({"symbol": "BTCUSDT", "side": "BUY"})
    second = urlencode({"type": "MARKET", "quantity": "0.01", "timestamp": now})
    secret = bench.credentials.api_secret
    whole = signed(f"{first}&{second}", secret)
    mixed = signed(first + second, secret).rpartition("&")[2]
    form = {**bench.key, "Content-Type": "application/x-www-form-urlencoded"}
    path = "/fapi/v1/order/test"
    for url, body in (
        (f"{path}?{whole}", ""),
        (path, whole),
        (f"{path}?{first}", f"{second}&{mixed}"),
        (f"{path}?{first}&{mixed}", second),
    ):
        response = await bench.http.post(url, content=body, headers=form)
        assert (response.status_code, response.json()) == (200, {}), url


@pytest.mark.parametrize("wrong", ["another secret", "not last", "changed afterwards", "not encoded before signing"])
async def test_a_signature_that_does_not_fit_the_bytes_is_refused(bench: Any, wrong: str) -> None:
    payload = query({"symbol": "BTCUSDT", "note": "a b", "timestamp": str(bench.emulator.now_ms)})
    text = signed(payload, bench.credentials.api_secret)
    if wrong == "another secret":
        text = signed(payload, bench.credentials.api_key)
    elif wrong == "not last":
        text = f"{text}&more=1"
    elif wrong == "changed afterwards":
        text = text.replace("BTCUSDT", "ETHUSDT")
    else:
        text = payload + signed(payload.replace("%20", " "), bench.credentials.api_secret).removeprefix(
            payload.replace("%20", " ")
        )
    response = await bench.http.get(f"/fapi/v1/openOrders?{text}", headers=bench.key)
    assert (response.status_code, response.json()["code"]) == (400, -1022)


async def test_the_signing_example_of_the_documentation_is_accepted(bench: Any) -> None:
    payload = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
        "&timestamp=1591702613943"
    )
    signature = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    assert unsigned(f"{payload}&signature={signature}", "") == (payload, signature)
    secret = Secret("2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9")
    assert signed(payload, secret).endswith(signature)


@pytest.mark.parametrize(
    ("offset_ms", "window", "accepted"),
    [(0, None, True), (999, None, True), (1_000, None, False), (-5_000, None, True), (-5_001, None, False),
     (-9_000, "10000", True), (-10_001, "10000", False)],
)  # fmt: skip
async def test_a_time_stamp_is_accepted_inside_its_window_only(
    bench: Any, offset_ms: int, window: str | None, accepted: bool
) -> None:
    params = {"timestamp": str(bench.emulator.now_ms + offset_ms), **({"recvWindow": window} if window else {})}
    text = signed(query(params), bench.credentials.api_secret)
    response = await bench.http.get(f"/fapi/v1/openOrders?{text}", headers=bench.key)
    assert (response.status_code == 200) is accepted
    if not accepted:
        assert response.json()["code"] == -1021


@pytest.mark.parametrize(
    ("speed", "slack_ms", "late_ms", "accepted"),
    [(10.0, 0, 50_000, True), (10.0, 0, 50_001, False), (0.5, 0, 5_001, False), (0.0, 60_000, 65_000, True),
     (0.0, -1, 10**11, True)],
)  # fmt: skip
async def test_the_window_grows_with_the_speed_of_the_clock_and_with_the_slack(
    make_bench: Any, speed: float, slack_ms: int, late_ms: int, accepted: bool
) -> None:
    bench = make_bench(speed=speed, slack_ms=slack_ms)
    text = signed(query({"timestamp": str(bench.emulator.now_ms - late_ms)}), bench.credentials.api_secret)
    response = await bench.http.get(f"/fapi/v1/openOrders?{text}", headers=bench.key)
    assert (response.status_code == 200) is accepted


async def test_every_answer_tells_the_weight_used_and_orders_tell_their_counts(bench: Any) -> None:
    first = await bench.http.get("/fapi/v1/klines", params={"symbol": "BTCUSDT", "interval": "1h", "limit": "1500"})
    assert first.headers["x-mbx-used-weight-1m"] == "10"
    assert "x-mbx-order-count-10s" not in first.headers
    placed = await bench.send("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    assert placed.headers["x-mbx-used-weight-1m"] == "10"
    assert (placed.headers["x-mbx-order-count-10s"], placed.headers["x-mbx-order-count-1m"]) == ("1", "1")
    assert "x-mbx-used-weight-1m" not in (await bench.http.get("/fapi/v1/fundingRate")).headers


async def test_too_much_weight_is_429_until_the_minute_is_over(bench: Any) -> None:
    for _ in range(60):
        assert (await bench.http.get("/fapi/v1/ticker/24hr")).status_code == 200  # weight 40
    refused = await bench.http.get("/fapi/v1/ping")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, -1003, "60")
    await bench.advance(60_000)
    assert (await bench.http.get("/fapi/v1/ping")).status_code == 200


async def test_whoever_goes_on_after_429_is_banned_and_longer_the_second_time(bench: Any) -> None:
    bench.emulator.limiter.limit_until(bench.emulator.now_ms + 1_000)
    answers = [await bench.http.get("/fapi/v1/ping") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [429] * 10 + [418] * 2
    until_ms = bench.emulator.now_ms + 120_000
    assert f"banned until {until_ms}" in answers[-1].json()["msg"]
    await bench.advance(120_000)
    bench.emulator.limiter.limit_until(bench.emulator.now_ms + 1_000)
    again = [await bench.http.get("/fapi/v1/ping") for _ in range(11)][-1]
    assert (again.status_code, again.headers["retry-after"]) == (418, "240")


async def test_too_many_orders_are_refused_by_their_own_code(bench: Any) -> None:
    bench.emulator.limiter.orders_10s.limit = 2
    codes = [(await bench.order("BUY", "0.01")).get("code") for _ in range(3)]
    assert codes == [None, None, -1015]
    await bench.advance(10_000)
    assert "orderId" in await bench.order("BUY", "0.01")


async def test_a_page_of_another_host_cannot_reach_the_simulator(bench: Any) -> None:
    response = await bench.http.get("/fapi/v1/time", headers={"Host": "evil.example:8080"})
    assert response.status_code == 421


async def test_an_error_of_the_simulator_itself_is_500_and_not_silence(bench: Any) -> None:
    bench.emulator.world.feeds["BROKEN"] = None
    response = await bench.http.get("/fapi/v1/klines", params={"symbol": "BROKEN", "interval": "1h"})
    assert (response.status_code, response.json()["code"]) == (500, -1000)


async def test_requests_are_remembered_without_their_signatures(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    await bench.get("/fapi/v1/nowhere")
    seen = (await bench.sim("GET", "log"))["requests"]
    assert [(row["method"], row["path"], row["status"]) for row in seen] == [
        ("POST", "/fapi/v1/order", 200),
        ("GET", "/fapi/v1/nowhere", 404),
    ]
    assert seen[0]["params"]["quantity"] == "0.01"
    assert "signature" not in json.dumps(seen)
    assert (await bench.sim("GET", "log?since=1"))["requests"] == seen[1:]
    await bench.sim("DELETE", "log")
    assert (await bench.sim("GET", "log"))["requests"] == []
