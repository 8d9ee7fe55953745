"""Binance's words for what is wrong with a request (error catalogue, checked 2026-11), and ours for what is missing."""

from __future__ import annotations

from exchange.errors import Refusal

BAD_KEY, UNKNOWN_KEY = -2014, -2015
TOO_MANY_REQUESTS, TOO_MANY_ORDERS = -1003, -1015
UNKNOWN_PATH = -5000

_STATUS = {BAD_KEY: 401, UNKNOWN_KEY: 401, TOO_MANY_REQUESTS: 429, TOO_MANY_ORDERS: 429, UNKNOWN_PATH: 404}


def status_of(refusal: Refusal) -> int:
    """HTTP status that goes with a code; nearly all are 400."""
    return _STATUS.get(refusal.code, 400)


def missing(name: str) -> Refusal:
    return Refusal(-1102, f"Mandatory parameter '{name.lower()}' was not sent, was empty/null, or malformed.")


def not_required(name: str) -> Refusal:
    return Refusal(-1106, f"Parameter '{name.lower()}' sent when not required.")


def unknown_path(method: str, path: str) -> Refusal:
    """As the demo exchange says it, with HTTP 404; mainnet sends an HTML page (field reports, 2026-05)."""
    return Refusal(UNKNOWN_PATH, f"Path {path}, Method {method} is invalid")


def not_modelled(what: str) -> Refusal:
    """Binance would do it. Refused for good and never silently different."""
    return Refusal(-1016, f"This service is no longer available. (simulator: {what} is not modelled)")
