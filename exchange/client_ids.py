"""Names our orders so that the name alone tells whose they are and what they were for.

A client id is a pure function of (database id, symbol, epoch, trade number, leg, attempt), so after a crash
the id can be computed again and the order found; nothing about it is random. The epoch is empty until a database
turns out to be older than the exchange (it was restored, or copied): a new one begins then, so that no id of the lost
journal is used again. Ids of all epochs are ours; later epochs are greater as text.
Binance allows ``^[.A-Z:/a-z0-9_-]{1,36}$`` (POST /fapi/v1/order, checked 2026-11).
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from functools import lru_cache

import msgspec

_PATTERN = re.compile(r"^f([0-9a-f]{8})-([0-9a-f]{6})-(?:([0-9a-z]{5})-)?(\d+)-([A-Z])(\d+)\.(\d+)$")

EPOCH_BEGIN_MS = 1_577_836_800_000
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Leg(StrEnum):
    """What an order is for, within its trade."""

    ENTRY = "E"
    STOP = "S"
    BRIDGE = "B"  # reduce-only stop that rests while the closePosition stop is moved
    TARGET = "T"
    CLOSE = "X"
    PROBE = "P"  # the protection self-test


class ClientId(msgspec.Struct, frozen=True):
    """The parts of one of our client ids. ``index`` tells targets, stop versions and close pieces apart."""

    database_id: str
    symbol_tag: str
    trade_number: int
    leg: Leg
    index: int
    attempt: int
    epoch: str = ""


PARSED_KEPT = 512
"""What rests and was looked at lately is asked again and again; ids of older trades are not, at half a kB each."""


@lru_cache(maxsize=4096)
def symbol_tag(symbol: str) -> str:
    """Six hex digits of a symbol's hash: symbols may be long or not ASCII, client ids may not."""
    return hashlib.sha256(symbol.encode()).hexdigest()[:6]


def client_id(
    database_id: str, symbol: str, trade_number: int, leg: Leg, index: int, attempt: int, *, epoch: str = ""
) -> str:
    """Build the id. ``database_id`` is eight hex digits; the attempt rises only after a definite refusal."""
    began = f"{epoch}-" if epoch else ""
    return f"f{database_id}-{symbol_tag(symbol)}-{began}{trade_number}-{leg.value}{index}.{attempt}"


def next_epoch(now_ms: int, latest: str) -> str:
    """The epoch that begins now: five digits of the minutes since 2020, and always greater than the latest known."""
    minute = max((now_ms - EPOCH_BEGIN_MS) // 60_000, 1, int(latest or "0", 36) + 1)
    digits = ""
    for _ in range(5):
        minute, digit = divmod(minute, 36)
        digits = _DIGITS[digit] + digits
    return digits


@lru_cache(maxsize=PARSED_KEPT)
def parse(text: str) -> ClientId | None:
    """The parts of an id of this product (any database), or None for anybody else's."""
    match = _PATTERN.match(text)
    if match is None or match[5] not in Leg._value2member_map_:
        return None
    tag, epoch, number, leg, index, attempt = match[2], match[3], match[4], match[5], match[6], match[7]
    return ClientId(match[1], tag, int(number), Leg(leg), int(index), int(attempt), epoch or "")


def is_ours(text: str, database_id: str) -> bool:
    """True when an order with this id was placed by the bot that owns ``database_id``."""
    parts = parse(text)
    return parts is not None and parts.database_id == database_id
