"""Decides what an HTTP answer means: it happened, it did not, we must wait, or nobody can say.

    2xx with JSON                              → the value (a negative code inside is treated like an error body)
    429, 418, 403, -1003, -1015                → RateLimited: refused, and we must wait
    -1000 -1001 -1006 -1007, 408, other 5xx    → a write: UnknownOutcome; a read: Unreachable
    503 "Service Unavailable.", -1008          → did not happen, for certain: may be sent again
    any other code, any other 4xx              → Refusal
    anything that is not what it should be     → a write: UnknownOutcome; a read: MalformedReply or Unreachable

Statuses and the four bodies of 503: general information page and error catalogue, checked 2026-11.
"""

from __future__ import annotations

import re

import msgspec

from exchange.binance import fields
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal, UnknownOutcome, Unreachable

CLOCK_SKEW = frozenset({-1021, -5028})
"""Our time stamp is outside recvWindow, said by the gateway or by the matching engine: nothing happened."""

TEMPORARY = frozenset({-1003, -1008, -1015, 503})
"""Codes of a Refusal that say nothing about the request itself: the same one may pass later."""

FIREWALL_MS = 300_000
"""403 is the web application firewall; "back off minutes" (general information page, checked 2026-11)."""

_UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007})
_RATE_CODES = frozenset({-1003, -1015})
_OVERLOADED = -1008
_ORDER_RATE = -1015
_SHOWN_MAX = 200
_BAN = re.compile(r"banned until (\d{13})\b")
_SECONDS = re.compile(r"\d{1,6}", re.ASCII)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """``error`` None = success with ``value``.

    ``resend``: it certainly did not happen (or was a read), so the same request may go again after a pause.
    ``order_limit``: it is the order count that is exhausted, not the request weight.
    """

    value: object = None
    error: ExchangeError | None = None
    resend: bool = False
    order_limit: bool = False


def classify(
    what: str, status: int, body: bytes, *, is_write: bool, retry_after: str | None = None, now_ms: int = 0
) -> Reply:
    """Read one answer. ``what`` names the call for messages; ``now_ms`` (server time) turns a ban's end into a wait."""
    value, is_json = _decoded(body)
    code, message = _code_and_message(value)
    shown = message or _text(body)
    if 200 <= status < 300:
        if not is_json:
            error = f"{what}: HTTP {status} with a body that is not JSON ({shown!r})"
            return Reply(error=UnknownOutcome(error) if is_write else MalformedReply(error))
        if code >= 0:
            return Reply(value=value)
    if status in (418, 429) or code in _RATE_CODES or (status == 403 and code >= 0):
        return _rate_limited(what, status, code, shown, retry_after, now_ms)
    if code == _OVERLOADED or (status == 503 and shown.rstrip(".").lower() == "service unavailable"):
        return _did_not_happen(what, code if code < 0 else status, shown, is_write=is_write)
    if code in _UNKNOWN_CODES or status == 408 or not 200 <= status < 500 or (code >= 0 and status < 400):
        said = f"{what}: HTTP {status} {code if code < 0 else ''} {shown}".replace("  ", " ")
        if is_write:
            return Reply(error=UnknownOutcome(f"{said}; find the order by its client id before anything else"))
        return Reply(error=Unreachable(said), resend=True)
    return Reply(error=Refusal(code if code < 0 else status, f"{what}: {shown}"))


def no_answer(what: str, reason: str, *, is_write: bool, never_sent: bool) -> Reply:
    """What a transport failure means. ``never_sent``: no connection was made, so nothing can have happened."""
    said = f"{what}: no answer ({reason})"
    error: ExchangeError = UnknownOutcome(said) if is_write else Unreachable(said)
    return Reply(error=error, resend=never_sent or not is_write)


def is_clock_skew(error: ExchangeError | None) -> bool:
    """True when reading the server's time and signing again is the cure (R46)."""
    return isinstance(error, Refusal) and error.code in CLOCK_SKEW


def _rate_limited(what: str, status: int, code: int, shown: str, retry_after: str | None, now_ms: int) -> Reply:
    """The wait is 0 when the answer does not say how long: the budget then chooses."""
    ban = _BAN.search(shown)
    wait_ms = FIREWALL_MS if status == 403 else 0
    if ban is not None:
        wait_ms = max(int(ban[1]) - now_ms, 0)
    elif retry_after is not None and _SECONDS.fullmatch(retry_after.strip()):
        wait_ms = int(retry_after) * 1_000
    banned = status == 418 or ban is not None
    error = RateLimited(f"{what}: HTTP {status} {shown}", retry_after_ms=wait_ms, banned=banned)
    return Reply(error=error, order_limit=code == _ORDER_RATE)


def _did_not_happen(what: str, code: int, shown: str, *, is_write: bool) -> Reply:
    error = Refusal(code, f"{what}: {shown}") if is_write else Unreachable(f"{what}: {code} {shown}")
    return Reply(error=error, resend=True)


def _decoded(body: bytes) -> tuple[object, bool]:
    try:
        return fields.decode(body, ""), True
    except MalformedReply:
        return None, False


def _code_and_message(value: object) -> tuple[int, str]:
    """The code may be an int, a text ("200" on algo cancels) or absent (one of the bodies of 503)."""
    if not isinstance(value, dict):
        return 0, ""
    return fields.whole_or(value, "code", 0), fields.text_or(value, "msg", "")[:_SHOWN_MAX]


def _text(body: bytes) -> str:
    return " ".join(body[: _SHOWN_MAX * 4].decode("utf-8", "replace").split())[:_SHOWN_MAX]
