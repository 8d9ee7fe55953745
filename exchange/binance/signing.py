"""Signs requests (general information page, checked 2026-11)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from exchange.secrets import Secret


def query(params: Mapping[str, str]) -> str:
    """Parameters as they are signed and sent: UTF-8, percent-encoded, everything but ``A-Za-z0-9-_.~``.

    Encoding comes before signing: required on Spot since 2026-01-15, harmless here (change logs, checked 2026-11).
    """
    return urlencode(params, quote_via=quote, safe="")


def signed(payload: str, secret: Secret) -> str:
    """The payload with its signature as last parameter: hex HMAC-SHA256 over exactly these bytes."""
    digest = hmac.new(secret.reveal().encode(), payload.encode(), hashlib.sha256).hexdigest()
    return f"{payload}&signature={digest}"
