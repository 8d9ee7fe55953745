"""The account's keys, what a request must carry, and the signature that must be on it, as the exchange sees them.

Nothing here is taken from the client: a name or a rule that is wrong there must not be wrong here too.
"""

from __future__ import annotations

import hashlib
import hmac
import string
from dataclasses import dataclass, field
from enum import StrEnum

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 64


class Security(StrEnum):
    """What a request must carry: nothing, the API key, or key, time stamp and signature."""

    NONE = "NONE"
    KEY = "KEY"
    SIGNED = "SIGNED"


@dataclass(frozen=True, slots=True)
class Keys:
    """Key and secret of the account."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


def keys_of(seed: int) -> Keys:
    """The same seed has the same ones."""
    return Keys(api_key=characters(f"key {seed}"), api_secret=characters(f"secret {seed}"))


def characters(text: str) -> str:
    """64 letters and digits that follow from the text."""
    digest = b"".join(hashlib.sha256(f"{part} {text}".encode()).digest() for part in range(2))
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)[:_LENGTH]


def signature_of(payload: str, api_secret: str) -> str:
    """Hex HMAC-SHA256 over exactly these bytes (general information page, checked 2026-11)."""
    return hmac.new(api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
