"""One call to a real server: what is sent, what is tried again, and what never is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from pytest_httpx import HTTPXMock

from exchange.binance import endpoints
from exchange.binance.http import BACKOFF_S, Http
from exchange.binance.limits import Budget
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.replies import ToldToWait
from exchange.environment import is_loopback
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal, UnknownOutcome, Unreachable
from exchange.priority import Priority

pytestmark = pytest.mark.anyio
PRICE = "GET /fapi/v2/ticker/price"
PLACE = "POST /fapi/v1/order"
POSITIONS = "GET /fapi/v3/positionRisk"
SKEW = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}


async def test_a_signed_call_carries_key_and_a_signature_over_exactly_what_was_sent(exchange: Any, http: Http) -> None:
    exchange.on(POSITIONS, [])
    await http.call(endpoints.POSITION_RISK, {"symbol": "币安USDT", "x": 'a b["]'})
    [asked] = exchange.calls(POSITIONS)
    payload, _, signature = asked.raw_query.rpartition("&signature=")
    assert signature == hmac.new(b"planted-secret-c41d8", payload.encode(), hashlib.sha256).hexdigest()
    assert asked.headers["x-mbx-apikey"] == "planted-key-7f3a9"
    assert payload.startswith("symbol=%E5%B8%81%E5%AE%89USDT&x=a%20b%5B%22%5D&recvWindow=5000&timestamp=")


async def test_public_calls_carry_neither_key_nor_signature(exchange: Any, http: Http) -> None:
    exchange.on(PRICE, {"price": "1"})
    await http.call(endpoints.TICKER_PRICE, {"symbol": "BTCUSDT"})
    [asked] = exchange.asked
    assert "x-mbx-apikey" not in asked.headers
    assert asked.raw_query == "symbol=BTCUSDT"


async def test_a_listen_key_call_carries_the_key_but_no_signature(exchange: Any, http: Http) -> None:
    exchange.on("POST /fapi/v1/listenKey", {"listenKey": "abc"})
    await http.call(endpoints.LISTEN_KEY_CREATE)
    [asked] = exchange.asked
    assert asked.headers["x-mbx-apikey"] == "planted-key-7f3a9"
    assert asked.raw_query == ""


async def test_without_credentials_a_signed_call_is_refused_here(exchange: Any, clock: Any) -> None:
    http = Http(base_url=exchange.url, clock=clock)
    with pytest.raises(Refusal, match="BINANCE_API_KEY") as caught:
        await http.call(endpoints.POSITION_RISK)
    assert caught.value.code == -2014
    assert exchange.asked == []
    await http.aclose()


async def test_calls_share_a_connection_that_is_kept_alive(exchange: Any, http: Http) -> None:
    exchange.on(PRICE, {"price": "1"})
    for _ in range(10):
        await http.call(endpoints.TICKER_PRICE)
    assert exchange.connections == 1


async def test_r46_a_wrong_clock_is_measured_once_and_the_call_signed_again(
    exchange: Any, http: Http, clock: Any, answer: Any
) -> None:
    await http.server_time_ms()
    server_ms = clock.now_ms()
    clock.offset_ms = 3_600_000  # somebody set this machine's clock an hour ahead
    exchange.on("GET /fapi/v1/time", {"serverTime": server_ms})
    exchange.on(PLACE, answer(SKEW, status=400), {"orderId": 1})
    await http.call(endpoints.ORDER_PLACE, {"symbol": "BTCUSDT"})
    first, second = exchange.calls(PLACE)
    assert int(first.params["timestamp"]) - int(second.params["timestamp"]) == 3_600_000
    assert first.params["signature"] != second.params["signature"]
    assert len(exchange.calls("GET /fapi/v1/time")) == 2
    assert abs(http.server_now_ms() - server_ms) <= 1


@pytest.mark.parametrize("code", [-1021, -5028])
async def test_r46_there_is_one_more_try_and_not_a_second(exchange: Any, http: Http, answer: Any, code: int) -> None:
    exchange.on(PLACE, answer({"code": code, "msg": "outside"}, status=400))
    with pytest.raises(Refusal) as caught:
        await http.call(endpoints.ORDER_PLACE, {"symbol": "BTCUSDT"})
    assert caught.value.code == code
    assert len(exchange.calls(PLACE)) == 2


@pytest.mark.parametrize("code", [-1021, -5028])
async def test_r46_reading_the_time_never_waits_for_itself(exchange: Any, http: Http, answer: Any, code: int) -> None:
    exchange.on("GET /fapi/v1/time", answer({"code": code, "msg": "outside of the recvWindow"}, status=400))
    with pytest.raises(Refusal):
        async with asyncio.timeout(60):
            await http.call(endpoints.POSITION_RISK)
    assert len(exchange.calls("GET /fapi/v1/time")) == 1


async def test_r46_many_calls_with_a_wrong_clock_measure_it_once(exchange: Any, http: Http, answer: Any) -> None:
    await http.server_time_ms()
    exchange.on(POSITIONS, *[answer(SKEW, status=400)] * 8, [])
    await asyncio.gather(*(http.call(endpoints.POSITION_RISK) for _ in range(8)))
    assert len(exchange.calls("GET /fapi/v1/time")) == 2
    assert len(exchange.calls(POSITIONS)) == 16


async def test_r46_the_time_stamp_is_taken_when_the_call_leaves_not_when_it_began_to_wait(
    exchange: Any, http: Http, clock: Any
) -> None:
    await http.server_time_ms()
    exchange.on(POSITIONS, [])
    now_s = clock.monotonic()
    told = ToldToWait(cause="HTTP 429", stated_s=2.0)
    http.budget.refused(told, sent_s=now_s, now_s=now_s, now_ms=clock.now_ms())
    began_ms = clock.now_ms()
    await http.call(endpoints.POSITION_RISK)
    [asked] = exchange.calls(POSITIONS)
    assert int(asked.params["timestamp"]) >= began_ms + 2_000


async def test_a_failed_measurement_is_told_as_the_refusal_it_was(exchange: Any, http: Http, answer: Any) -> None:
    await http.server_time_ms()
    exchange.on("GET /fapi/v1/time", answer(b"<html>", status=502))
    exchange.on(PLACE, answer(SKEW, status=400))
    with pytest.raises(Refusal) as caught:
        await http.call(endpoints.ORDER_PLACE)
    assert caught.value.code == -1021


async def test_a_read_is_tried_again_with_growing_pauses_and_then_given_up(
    exchange: Any, http: Http, clock: Any, answer: Any
) -> None:
    exchange.on(PRICE, answer(b"<html>", status=502))
    with pytest.raises(Unreachable, match="502"):
        await http.call(endpoints.TICKER_PRICE)
    assert len(exchange.calls(PRICE)) == 1 + len(BACKOFF_S)
    assert clock.slept == list(BACKOFF_S)


async def test_a_read_that_recovers_is_an_answer(exchange: Any, http: Http, answer: Any) -> None:
    exchange.on(PRICE, answer(b"", drop=True), answer(b"not json"), answer(b"", status=503), {"price": "1"})
    assert await http.call(endpoints.TICKER_PRICE) == {"price": "1"}


async def test_a_reply_that_stays_garbage_is_malformed(exchange: Any, http: Http, answer: Any) -> None:
    exchange.on(PRICE, answer(b"<html>hello</html>"))
    with pytest.raises(MalformedReply, match="hello"):
        await http.call(endpoints.TICKER_PRICE)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_r16_r17_a_write_whose_fate_is_unknown_is_sent_once(
    exchange: Any, http: Http, answer: Any, status: int
) -> None:
    exchange.on(PLACE, answer({"msg": "Unknown error, please check your request or try again later."}, status=status))
    with pytest.raises(UnknownOutcome):
        await http.call(endpoints.ORDER_PLACE, {"symbol": "BTCUSDT"})
    assert len(exchange.calls(PLACE)) == 1


async def test_r16_a_dropped_connection_leaves_a_write_unknown_and_unrepeated(
    exchange: Any, http: Http, answer: Any
) -> None:
    exchange.on(PLACE, answer(drop=True))
    with pytest.raises(UnknownOutcome, match="no answer"):
        await http.call(endpoints.ORDER_PLACE)
    assert len(exchange.calls(PLACE)) == 1


async def test_r16_a_time_out_leaves_a_write_unknown(exchange: Any, http: Http, answer: Any) -> None:
    exchange.on(PLACE, answer(hang=True))
    with pytest.raises(UnknownOutcome, match="time-out"):
        await http.call(msgspec.structs.replace(endpoints.ORDER_PLACE, timeout_s=0.05))
    assert len(exchange.calls(PLACE)) == 1


async def test_an_answer_that_drips_for_ever_ends_with_the_time_out(clock: Any) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        http = Http(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", clock=clock)
        endpoint = msgspec.structs.replace(endpoints.TICKER_PRICE, timeout_s=0.05, repeatable=False)
        with pytest.raises(Unreachable, match="time-out"):
            await http.call(endpoint)
        await http.aclose()


@pytest.mark.parametrize(
    ("status", "body"), [(503, b"Service Unavailable."), (503, {"code": -1008, "msg": "throttled"})]
)
async def test_r17_a_write_that_certainly_did_not_happen_is_sent_again(
    exchange: Any, http: Http, answer: Any, clock: Any, status: int, body: object
) -> None:
    exchange.on(PLACE, answer(body, status=status), answer(body, status=status), {"orderId": 1})
    assert await http.call(endpoints.ORDER_PLACE) == {"orderId": 1}
    assert clock.slept == [0.2, 0.4]
    exchange.on(PLACE, answer(body, status=status))
    with pytest.raises(Refusal):
        await http.call(endpoints.ORDER_PLACE)


async def test_a_write_is_sent_again_while_no_connection_can_be_made_and_then_unknown(
    clock: Any, credentials: Any
) -> None:
    tried = 0

    def refuse(request: httpx.Request) -> httpx.Response:
        nonlocal tried
        if request.url.path == "/fapi/v1/time":
            return httpx.Response(200, json={"serverTime": clock.now_ms()})
        tried += 1
        raise httpx.ConnectError("refused", request=request)

    http = Http(
        base_url="http://127.0.0.1:1", clock=clock, credentials=credentials, transport=httpx.MockTransport(refuse)
    )
    with pytest.raises(UnknownOutcome, match="ConnectError"):
        await http.call(endpoints.ORDER_PLACE)
    assert tried == 4
    await http.aclose()


async def test_a_cancel_is_repeated_because_twice_is_the_same_as_once(exchange: Any, http: Http, answer: Any) -> None:
    exchange.on("DELETE /fapi/v1/order", answer(drop=True), answer(status=502), {"orderId": 1})
    assert await http.call(endpoints.ORDER_CANCEL) == {"orderId": 1}


async def test_a_refusal_is_never_repeated(exchange: Any, http: Http, answer: Any) -> None:
    exchange.on(POSITIONS, answer({"code": -2015, "msg": "Invalid API-key, IP, or permissions"}, status=401))
    with pytest.raises(Refusal, match="-2015"):
        await http.call(endpoints.POSITION_RISK)
    assert len(exchange.calls(POSITIONS)) == 1


async def test_a_closed_client_answers_with_an_exchange_error(exchange: Any, http: Http) -> None:
    await http.aclose()
    with pytest.raises(Unreachable, match="closed"):
        await http.call(endpoints.TICKER_PRICE)


async def test_an_endless_body_is_cut_off(exchange: Any, http: Http, answer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("exchange.binance.connections._BODY_BYTES_MAX", 1000)
    exchange.on(PRICE, answer(b"[" + b" " * 2000 + b"]"))
    with pytest.raises(Unreachable, match="larger than"):
        await http.call(endpoints.TICKER_PRICE)


async def test_r45_an_exhausted_share_is_refused_here_and_costs_nothing(exchange: Any, http: Http) -> None:
    exchange.on(PRICE, {"price": "1"})
    for _ in range(16):
        await http.call(endpoints.TICKER_PRICE, weight=100)
    with pytest.raises(RateLimited, match="share"):
        await http.call(endpoints.TICKER_PRICE, weight=100)
    assert len(exchange.calls(PRICE)) == 16
    exchange.on(POSITIONS, [])
    assert await http.call(endpoints.POSITION_RISK) == []


async def test_used_weight_in_the_answers_headers_counts_what_others_on_this_address_use(
    exchange: Any, http: Http, answer: Any
) -> None:
    exchange.on(PRICE, answer({"price": "1"}, headers={"x-mbx-used-weight-1m": "2100"}))
    await http.call(endpoints.TICKER_PRICE)
    with pytest.raises(RateLimited):
        await http.call(endpoints.TICKER_PRICE)


def _no_more_orders(budget: Budget, now_ms: int) -> None:
    budget.windows.observe({"X-MBX-ORDER-COUNT-10S": "300"}, sent_ms=now_ms, now_ms=now_ms)


async def test_a_protective_call_waits_for_its_turn_a_little_while(exchange: Any, clock: Any, credentials: Any) -> None:
    budget = Budget()
    http = Http(base_url=exchange.url, clock=clock, credentials=credentials, budget=budget)
    await http.server_time_ms()
    clock.seconds += 8.5
    _no_more_orders(budget, clock.now_ms())
    exchange.on("POST /fapi/v1/algoOrder", {"algoId": 1})
    await http.call(endpoints.ALGO_PLACE)
    assert 1.5 <= sum(clock.slept) <= 1.6
    _no_more_orders(budget, clock.now_ms())
    with pytest.raises(RateLimited):
        await http.call(endpoints.ALGO_PLACE)
    await http.aclose()


async def test_the_time_is_measured_before_the_first_signed_call_and_not_again(exchange: Any, http: Http) -> None:
    exchange.on(POSITIONS, [])
    await asyncio.gather(*(http.call(endpoints.POSITION_RISK) for _ in range(4)))
    await http.measured_now_ms()
    assert len(exchange.calls("GET /fapi/v1/time")) == 1


async def test_another_refusal_of_the_listen_key_is_raised(exchange: Any, http: Http, answer: Any) -> None:
    exchange.on("PUT /fapi/v1/listenKey", answer({"code": -2015, "msg": "no"}, status=401))
    with pytest.raises(Refusal, match="-2015"):
        await ListenKeys(http).extend()


@pytest.mark.parametrize(("limit", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10)])
def test_klines_weigh_by_their_limit(limit: int, weight: int) -> None:
    assert endpoints.klines_weight(limit) == weight


ERROR_BODIES: list[tuple[int, dict[str, Any], type[ExchangeError]]] = [
    (400, {"json": {"code": -2019, "msg": "Margin is insufficient."}}, Refusal),
    (400, {"json": {"code": -4131, "msg": "PERCENT_PRICE"}}, Refusal),
    (401, {"json": {"code": -2014, "msg": "API-key format invalid."}}, Refusal),
    (403, {"html": "<html>403 Forbidden</html>"}, RateLimited),
    (404, {"html": "<html>404</html>"}, Refusal),
    (408, {"text": ""}, UnknownOutcome),
    (418, {"json": {"code": -1003, "msg": "IP banned"}}, RateLimited),
    (429, {"json": {"code": -1015, "msg": "Too many new orders"}}, RateLimited),
    (500, {"json": {"msg": "Request occur unknown error."}}, UnknownOutcome),
    (502, {"html": "<html>502 Bad Gateway</html>"}, UnknownOutcome),
    (503, {"json": {"code": -1007, "msg": "Send status unknown; execution status unknown."}}, UnknownOutcome),
    (520, {"text": "cloud"}, UnknownOutcome),
]


@pytest.mark.parametrize(("status", "content", "expected"), ERROR_BODIES)
async def test_error_bodies_the_simulator_cannot_produce_become_exchange_errors(
    httpx_mock: HTTPXMock,
    clock: Any,
    credentials: Any,
    status: int,
    content: dict[str, Any],
    expected: type[ExchangeError],
) -> None:
    httpx_mock.add_response(url="https://demo-fapi.binance.com/fapi/v1/time", json={"serverTime": clock.now_ms()})
    httpx_mock.add_response(method="POST", status_code=status, **content)
    http = Http(base_url="https://demo-fapi.binance.com", clock=clock, credentials=credentials)
    with pytest.raises(expected):
        await http.call(endpoints.ORDER_PLACE, {"quantity": str(Decimal("0.1"))}, priority=Priority.TRADE)
    await http.aclose()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", True),
        ("ws://localhost:2", True),
        ("http://[::1]:3", True),
        ("https://fapi.binance.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_loopback_addresses_are_known(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
