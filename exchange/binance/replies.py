"""Decides what an HTTP answer means: it happened, it did not, we must wait, or nobody can say.

    2xx with JSON                              → the value (a negative code inside is treated like an error body)
    429, 418, 403, -1003, -1015                → RateLimited: refused, and we must wait
    -1000 -1001 -1006 -1007, 408, other 5xx    → a write: UnknownOutcome; a read: Unreachable
    503 "Service Unavailable.", -1008          → did not happen, for certain: may be sent again, whatever number stands
                                                 beside these words
    any other code, any other 4xx              → Refusal
    anything that is not what it should be     → a write: UnknownOutcome; a read: MalformedReply or Unreachable

Statuses and the four bodies of 503: general information page and error catalogue, checked 2026-11.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from exchange.binance import fields
from exchange.binance.pausing import PAUSE_S_MAX
from exchange.binance.refusals import refusal
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal, UnknownOutcome, Unreachable

CLOCK_SKEW = frozenset({-1021, -5028})
"""Our time stamp is outside recvWindow, said by the gateway or by the matching engine: nothing happened."""

TEMPORARY = frozenset({-1003, -1008, -1015, 503})
"""Codes of a Refusal that say nothing about the request itself: the same one may pass later."""

_UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007})
_TOO_MANY = -1003
_ORDER_RATE = -1015
_RATE_CODES = frozenset({_TOO_MANY, _ORDER_RATE})
_OVERLOADED = -1008
_SHOWN_MAX = 200
_BAN = re.compile(r"banned until (\d{13})\b")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_ROUNDED_MS = 1_500  # Retry-After is in whole seconds: so far apart, both say the same end


class ToldToWait(msgspec.Struct, frozen=True, kw_only=True):
    """How the exchange told us to wait. ``stated_s`` None: it did not say for how long. ``orders_only``: -1015."""

    cause: str
    stated_s: float | None = None
    banned: bool = False
    orders_only: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """``error`` None = success with ``value``.

    ``resend``: it certainly did not happen (or was a read), so the same request may go again after a pause.
    ``told``: we must wait, and what is known of how long.
    """

    value: object = None
    error: ExchangeError | None = None
    resend: bool = False
    told: ToldToWait | None = None


def classify(
    what: str,
    status: int,
    body: bytes,
    *,
    is_write: bool,
    retry_after: str | None = None,
    date: str | None = None,
    now_ms: int = 0,
) -> Reply:
    """Read one answer. ``what`` names the call for messages; ``now_ms`` (server time) turns an end into a wait.

    ``retry_after`` and ``date`` are the headers of these names.
    """
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
        return _rate_limited(what, status, code, shown, _wait_s(retry_after, date, now_ms), now_ms)
    if code == _OVERLOADED or (status == 503 and shown.rstrip(".").lower() == "service unavailable"):
        return _did_not_happen(what, _OVERLOADED if code == _OVERLOADED else 503, shown, is_write=is_write)
    if code in _UNKNOWN_CODES or status == 408 or not 200 <= status < 500 or (code >= 0 and status < 400):
        said = f"{what}: HTTP {status} {code if code < 0 else ''} {shown}".replace("  ", " ")
        if is_write:
            return Reply(error=UnknownOutcome(f"{said}; find the order by its client id before anything else"))
        return Reply(error=Unreachable(said), resend=True)
    return Reply(error=refusal(code if code < 0 else status, f"{what}: {shown}"))


def no_answer(what: str, reason: str, *, is_write: bool, never_sent: bool) -> Reply:
    """What a transport failure means. ``never_sent``: no connection was made, so nothing can have happened."""
    said = f"{what}: no answer ({reason})"
    error: ExchangeError = UnknownOutcome(said) if is_write else Unreachable(said)
    return Reply(error=error, resend=never_sent or not is_write)


def is_clock_skew(error: ExchangeError | None) -> bool:
    """True when reading the server's time and signing again is the cure (R46)."""
    return isinstance(error, Refusal) and error.code in CLOCK_SKEW


def _rate_limited(what: str, status: int, code: int, shown: str, after_s: float | None, now_ms: int) -> Reply:
    """-1003 outside of a 429 is a ban by its nature, also where the answer does not say until when."""
    ban = _BAN.search(shown)
    ban_s = None if ban is None or int(ban[1]) <= now_ms else (int(ban[1]) - now_ms) / 1_000
    stated_s, cause = _stated_s(ban_s, after_s), f"HTTP {status} {shown}".strip()
    if stated_s is not None and stated_s > PAUSE_S_MAX:
        cause += f" (states {stated_s:.0f} s; no ban lasts more than three days, so that is what we keep)"
        stated_s = PAUSE_S_MAX
    told = ToldToWait(
        cause=cause,
        stated_s=stated_s,
        banned=status == 418 or "banned" in shown.lower() or (code == _TOO_MANY and status != 429),
        orders_only=code == _ORDER_RATE,
    )
    wait_ms = 0 if told.stated_s is None else int(told.stated_s * 1_000)
    error = RateLimited(f"{what}: {told.cause}", retry_after_ms=wait_ms, banned=told.banned)
    return Reply(error=error, told=told)


def _stated_s(ban_s: float | None, after_s: float | None) -> float | None:
    """The millisecond is the better word for one end; of two ends, the later one is kept."""
    if ban_s is None or after_s is None:
        return after_s if ban_s is None else ban_s
    return ban_s if abs(after_s - ban_s) * 1_000 <= _ROUNDED_MS else max(ban_s, after_s)


def _wait_s(retry_after: str | None, date: str | None, now_ms: int) -> float | None:
    """Retry-After in seconds or as a date; nothing that says "at once", lies in the past or is garbage counts."""
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text) or None
    end_ms = _date_ms(text)
    if end_ms is None:
        return None
    sent_ms = _date_ms((date or "").strip())
    wait_s = (end_ms - (now_ms if sent_ms is None else sent_ms)) / 1_000
    return wait_s if wait_s > 0 else None


def _date_ms(text: str) -> int | None:
    """An HTTP date."""
    try:
        found = parsedate_to_datetime(text)
        return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def _did_not_happen(what: str, code: int, shown: str, *, is_write: bool) -> Reply:
    error = refusal(code, f"{what}: {shown}") if is_write else Unreachable(f"{what}: {code} {shown}")
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
