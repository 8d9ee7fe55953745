"""What an HTTP answer means, for a read and for a write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.replies import FIREWALL_MS, classify, is_clock_skew, no_answer
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal, UnknownOutcome, Unreachable

UNKNOWN_TEXT = "Unknown error, please check your request or try again later."
THROTTLED = (
    "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."
)
HTML_403 = b"<html><head><title>403 Forbidden</title></head><body>WAF</body></html>"
HTML_502 = b"<html><head><title>502 Bad Gateway</title></head></html>"


def _body(code: int | None = None, message: str = "m", **more: object) -> bytes:
    return json.dumps(({} if code is None else {"code": code}) | {"msg": message, **more}).encode()


# status, body, what a write becomes, what a read becomes, may a write be sent again
TABLE: list[tuple[int, bytes, type[ExchangeError], type[ExchangeError], bool]] = [
    (503, _body(-1000, UNKNOWN_TEXT), UnknownOutcome, Unreachable, False),  # A
    (503, _body(None, UNKNOWN_TEXT, timestamp=1, path="/fapi/v1/order"), UnknownOutcome, Unreachable, False),  # A
    (503, UNKNOWN_TEXT.encode(), UnknownOutcome, Unreachable, False),  # A, not JSON
    (503, _body(None, "Service Unavailable."), Refusal, Unreachable, True),  # B
    (503, b"Service Unavailable.", Refusal, Unreachable, True),  # B, not JSON
    (503, b"Service Unavailable", Refusal, Unreachable, True),
    (503, _body(-1008, THROTTLED), Refusal, Unreachable, True),  # C
    (503, _body(-1001, "Internal error; unable to process your request. Please try again."),
     UnknownOutcome, Unreachable, False),  # D
    (503, b"<html>503 Service Unavailable</html>", UnknownOutcome, Unreachable, False),  # some gateway's page
    (503, b"", UnknownOutcome, Unreachable, False),
    (503, b"[]", UnknownOutcome, Unreachable, False),
    (500, _body(None, "Request occur unknown error."), UnknownOutcome, Unreachable, False),
    (502, HTML_502, UnknownOutcome, Unreachable, False),
    (504, b"", UnknownOutcome, Unreachable, False),
    (408, b"", UnknownOutcome, Unreachable, False),
    (400, _body(-1000), UnknownOutcome, Unreachable, False),
    (400, _body(-1001), UnknownOutcome, Unreachable, False),
    (400, _body(-1006), UnknownOutcome, Unreachable, False),
    (400, _body(-1007), UnknownOutcome, Unreachable, False),
    (200, _body(-1007), UnknownOutcome, Unreachable, False),
    (400, _body(-1008), Refusal, Unreachable, True),
    (302, b"", UnknownOutcome, Unreachable, False),
    (101, b"", UnknownOutcome, Unreachable, False),
    (200, b"<html>", UnknownOutcome, MalformedReply, False),
    (200, b"", UnknownOutcome, MalformedReply, False),
    (429, b"", RateLimited, RateLimited, False),
    (418, b"", RateLimited, RateLimited, False),
    (403, HTML_403, RateLimited, RateLimited, False),
    (400, _body(-1003), RateLimited, RateLimited, False),
    (400, _body(-1015, "Too many new orders; current limit is 300 orders."), RateLimited, RateLimited, False),
    (400, _body(-2021), Refusal, Refusal, False),
    (400, _body(-4120), Refusal, Refusal, False),
    (400, _body(-99999), Refusal, Refusal, False),
    (200, _body(-2011), Refusal, Refusal, False),
    (401, _body(-2015), Refusal, Refusal, False),
    (403, _body(-2015), Refusal, Refusal, False),
    (404, b"<html>", Refusal, Refusal, False),
    (451, _body(0, "Service unavailable from a restricted location"), Refusal, Refusal, False),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "write", "read", "resend"), TABLE)
def test_r17_each_answer_means_one_thing(
    status: int, body: bytes, write: type[ExchangeError], read: type[ExchangeError], resend: bool
) -> None:
    as_write = classify("POST /x", status, body, is_write=True)
    as_read = classify("GET /x", status, body, is_write=False)
    assert type(as_write.error) is write
    assert type(as_read.error) is read
    assert as_write.resend is resend


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"code":200,"msg":"success"}', b'{"code":"200"}', b'{"code":null}'])
def test_a_2xx_with_json_is_a_success_whatever_kind_of_200_it_carries(body: bytes) -> None:
    reply = classify("POST /x", 200, body, is_write=True)
    assert reply.error is None
    assert reply.value == json.loads(body)


def test_a_refusal_keeps_its_code_and_the_call_it_refused() -> None:
    error = classify("POST /fapi/v1/order", 400, _body(-4164, "Order's notional"), is_write=True).error
    assert isinstance(error, Refusal)
    assert (error.code, error.message) == (-4164, "POST /fapi/v1/order: Order's notional")


def test_without_a_code_the_refusal_carries_the_status() -> None:
    error = classify("POST /x", 503, b"Service Unavailable.", is_write=True).error
    assert isinstance(error, Refusal)
    assert error.code == 503


@pytest.mark.parametrize(("code", "skew"), [(-1021, True), (-5028, True), (-1022, False), (-2013, False)])
def test_r46_both_words_for_a_wrong_clock_are_known(code: int, skew: bool) -> None:
    assert is_clock_skew(classify("GET /x", 400, _body(code), is_write=False).error) is skew


def _limited(status: int, body: bytes, retry_after: str | None = None, now_ms: int = 0) -> RateLimited:
    error = classify("GET /x", status, body, is_write=False, retry_after=retry_after, now_ms=now_ms).error
    assert isinstance(error, RateLimited)
    return error


def test_r45_a_ban_says_until_when() -> None:
    body = _body(-1003, "Way too many requests; IP(1.2.3.4) banned until 1764000120000. Please use the websocket")
    for status in (418, 429, 400):
        error = _limited(status, body, now_ms=1_764_000_000_000)
        assert (error.retry_after_ms, error.banned) == (120_000, True)
    assert _limited(418, body, now_ms=1_764_000_999_000).retry_after_ms == 0


def test_retry_after_is_honoured_where_it_is_a_number_of_seconds() -> None:
    assert _limited(429, b"", "7").retry_after_ms == 7_000
    for nonsense in ("Wed, 21 Oct 2026 07:28:00 GMT", "-5", "", "1e9", "99999999999"):
        assert _limited(429, b"", nonsense).retry_after_ms == 0


def test_the_firewall_asks_for_minutes() -> None:
    assert _limited(403, HTML_403).retry_after_ms == FIREWALL_MS
    assert not _limited(403, HTML_403).banned


def test_too_many_orders_concern_the_order_count_only() -> None:
    assert classify("POST /x", 400, _body(-1015), is_write=True).order_limit
    assert not classify("POST /x", 429, _body(-1003), is_write=True).order_limit


def test_a_failed_transport_leaves_a_write_unknown_and_a_read_unanswered() -> None:
    assert isinstance(no_answer("POST /x", "r", is_write=True, never_sent=False).error, UnknownOutcome)
    assert not no_answer("POST /x", "r", is_write=True, never_sent=False).resend
    assert no_answer("POST /x", "r", is_write=True, never_sent=True).resend
    assert isinstance(no_answer("GET /x", "r", is_write=False, never_sent=False).error, Unreachable)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=80) | st.builds(_body, st.integers(-9999, 300) | st.none(), st.text(max_size=30)),
    is_write=st.booleans(),
    retry_after=st.none() | st.text(max_size=8),
    now_ms=st.integers(0, 2**45),
)
def test_any_answer_is_classified_and_a_write_never_ends_as_a_read_would(
    status: int, body: bytes, is_write: bool, retry_after: str | None, now_ms: int
) -> None:
    reply = classify("X /x", status, body, is_write=is_write, retry_after=retry_after, now_ms=now_ms)
    if is_write:
        assert not isinstance(reply.error, Unreachable | MalformedReply)
    else:
        assert not isinstance(reply.error, UnknownOutcome)
    if isinstance(reply.error, UnknownOutcome):
        assert not reply.resend, "never blindly"
    if not 200 <= status < 300:
        assert reply.error is not None
    if isinstance(reply.error, RateLimited):
        assert reply.error.retry_after_ms >= 0
