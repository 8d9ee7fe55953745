"""Verifies who sent a request: key, signature over exactly the bytes sent, and a time stamp that is not stale.

General information page, checked 2026-11: totalParams = query string and body, joined without "&"; the signature is
the last parameter; accepted while ``timestamp < serverTime + 1000`` and ``serverTime - timestamp <= recvWindow``.
"""

from __future__ import annotations

import hmac
import re

from exchange.errors import Refusal
from exchange.sim.server.keys import Keys, Security, signature_of
from exchange.sim.server.params import Params
from exchange.sim.server.refusals import BAD_KEY, UNKNOWN_KEY, missing

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1_000
NO_CHECK = -1

_SIGNATURE = re.compile(r"(?:^|&)signature=([0-9A-Fa-f%]*)$")


class Gatekeeper:
    """Knows the one account's keys.

    Both limits of time grow with the simulation's speed, since a real delay is that much longer in simulated time;
    ``slack_ms`` widens them further, and -1 stops looking at time stamps (for clients that cannot be given the time).
    """

    def __init__(self, keys: Keys, slack_ms: int = 0) -> None:
        self._keys = keys
        self._slack_ms = slack_ms

    def check(
        self, security: Security, api_key: str, query: str, body: str, params: Params, *, now_ms: int, speed: float
    ) -> None:
        """Raises Refusal unless the request may pass."""
        if security is Security.NONE:
            return
        if not api_key:
            raise Refusal(BAD_KEY, "API-key format invalid.")
        if not hmac.compare_digest(api_key.encode(), self._keys.api_key.encode()):
            raise Refusal(UNKNOWN_KEY, "Invalid API-key, IP, or permissions for action.")
        if security is Security.SIGNED:
            self._check_signature(query, body, params)
            self._check_time(params, now_ms, max(speed, 1.0))

    def _check_signature(self, query: str, body: str, params: Params) -> None:
        if "timestamp" not in params:
            raise missing("timestamp")
        if "signature" not in params:
            raise missing("signature")
        payload, given = unsigned(query, body)
        expected = signature_of(payload, self._keys.api_secret)
        if given is None or not hmac.compare_digest(given.lower().encode(), expected.encode()):
            raise Refusal(-1022, "Signature for this request is not valid.")

    def _check_time(self, params: Params, now_ms: int, speed: float) -> None:
        timestamp = params.whole("timestamp")
        window_ms = params.whole_or("recvWindow", RECV_WINDOW_MS) or 0
        if window_ms > RECV_WINDOW_MS_MAX:
            raise Refusal(-1131, f"recvWindow must be less than {RECV_WINDOW_MS_MAX}.")
        if self._slack_ms == NO_CHECK:
            return
        if timestamp >= now_ms + AHEAD_MS_MAX * speed + self._slack_ms:
            raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now_ms - timestamp > window_ms * speed + self._slack_ms:
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def unsigned(query: str, body: str) -> tuple[str, str | None]:
    """What was signed, and the signature; None unless it is the last parameter of query or body."""
    for first, second in ((body, query), (query, body)):
        found = _SIGNATURE.search(first)
        if found is not None:
            rest = first[: found.start()]
            return (second + rest if first is body else rest + second), found[1]
    return query + body, None
