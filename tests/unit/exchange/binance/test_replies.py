"""What an HTTP answer means, for a read and for a write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.replies import Reply, ToldToWait, classify, is_clock_skew, no_answer
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal, UnknownOutcome, Unreachable
from exchange.refusals import RefusalReason

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
    (503, _body(-1001, "Service Unavailable."), Refusal, Unreachable, True),  # B with a number beside it
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


@pytest.mark.parametrize("code", [-1001, -1000, 503, -1008])
def test_r17_a_service_that_is_unavailable_is_to_be_asked_later_whatever_number_it_gives(code: int) -> None:
    error = classify("POST /x", 503, _body(code, "Service Unavailable."), is_write=True).error
    assert isinstance(error, Refusal)
    assert error.reason is RefusalReason.TRY_LATER


@pytest.mark.parametrize(("code", "skew"), [(-1021, True), (-5028, True), (-1022, False), (-2013, False)])
def test_r46_both_words_for_a_wrong_clock_are_known(code: int, skew: bool) -> None:
    assert is_clock_skew(classify("GET /x", 400, _body(code), is_write=False).error) is skew


NOW = 1_764_000_000_000  # 2025-11-24 16:00:00 UTC
TOMORROW, YESTERDAY = "Tue, 25 Nov 2025 16:00:00 GMT", "Sun, 23 Nov 2025 16:00:00 GMT"


def _told(status: int, body: bytes = b"", retry_after: str | None = None, date: str | None = None) -> ToldToWait:
    """What the answer says of waiting, and that its error agrees."""
    reply: Reply = classify("GET /x", status, body, is_write=False, retry_after=retry_after, date=date, now_ms=NOW)
    assert isinstance(reply.error, RateLimited)
    assert reply.told is not None
    assert reply.error.retry_after_ms == int((reply.told.stated_s or 0) * 1_000)
    assert reply.error.banned == reply.told.banned
    return reply.told


def test_r45_a_ban_says_until_when_to_the_millisecond() -> None:
    body = _body(-1003, "Way too many requests; IP(1.2.3.4) banned until 1764000120250. Please use the websocket")
    for status in (418, 429, 400):
        told = _told(status, body)
        assert (told.stated_s, told.banned) == (120.25, True)


@pytest.mark.parametrize("until_ms", [NOW, NOW - 1, 1_000_000_000_000])
def test_an_end_that_is_over_states_nothing(until_ms: int) -> None:
    told = _told(418, _body(-1003, f"Way too many requests; IP(1.2.3.4) banned until {until_ms}."))
    assert (told.stated_s, told.banned) == (None, True)


@pytest.mark.parametrize(
    ("retry_after", "stated_s"),
    [("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5), (TOMORROW, 86_400.0), ("0", None), ("-5", None), ("", None),
     ("soon", None), ("1e9", None), ("nan", None), ("\u0667", None), (YESTERDAY, None), (None, None)],
)  # fmt: skip
def test_retry_after_is_a_number_of_seconds_or_a_date_and_nothing_else_counts(
    retry_after: str | None, stated_s: float | None
) -> None:
    assert _told(429, b"", retry_after).stated_s == stated_s


def test_a_date_is_compared_with_the_answers_own_and_not_with_our_clock() -> None:
    assert _told(429, b"", TOMORROW, "Tue, 25 Nov 2025 15:59:55 GMT").stated_s == 5.0
    assert _told(429, b"", TOMORROW, "yesterday").stated_s == 86_400.0


def test_of_two_words_for_one_end_the_exact_one_counts_and_of_two_ends_the_later() -> None:
    body = _body(-1003, f"IP(1.2.3.4) banned until {NOW + 6_300}.")
    assert _told(418, body, "7").stated_s == 6.3
    assert _told(418, body, "60").stated_s == 60.0
    assert _told(418, body, "2").stated_s == 6.3


def test_an_absurdly_late_end_is_kept_for_three_days_and_said() -> None:
    told = _told(418, b"", "999999999")
    assert told.stated_s == 259_200.0
    assert "states 999999999 s" in told.cause


@pytest.mark.parametrize(
    ("status", "body", "banned"),
    [(429, _body(-1003, "Too many requests"), False), (429, b"", False), (403, HTML_403, False), (418, b"", True),
     (400, _body(-1003, "Too many requests"), True), (429, _body(-1003, "IP banned"), True), (418, HTML_403, True)],
)  # fmt: skip
def test_r56_418_and_a_minus_1003_of_its_own_are_a_ban_also_without_an_end(
    status: int, body: bytes, banned: bool
) -> None:
    told = _told(status, body)
    assert (told.stated_s, told.banned) == (None, banned)


def test_too_many_orders_concern_the_order_count_only() -> None:
    assert _told(400, _body(-1015)).orders_only
    assert not _told(429, _body(-1003)).orders_only


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
