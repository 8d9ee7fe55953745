"""The fault menu: what has been seen to go wrong on the exchange, under names that rules can use.

Bodies and statuses: general information page, error catalogue and field reports (checked 2026-11). Presets say what
the client sees; a rule's ``when`` says whether it happened all the same.
"""

from __future__ import annotations

Fields = dict[str, object]

_UNKNOWN = "Unknown error, please check your request or try again later."
_THROTTLED = (
    "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."
)
_TIMEOUT = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
_HTML = {"content-type": "text/html"}


def _error(status: int, code: int, text: str) -> Fields:
    return {"status": status, "body": {"code": code, "msg": text}}


def _refusal(code: int, text: str) -> Fields:
    return _error(400, code, text)


def _page(status: int, title: str) -> Fields:
    body = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><h1>{status} {title}</h1></body>\r\n</html>"
    )
    return {"status": status, "body": body, "headers": _HTML}


PRESETS: dict[str, Fields] = {
    # nobody knows: with when: instead it did not happen, with after it did, with before it will
    "unknown_503": _error(503, -1000, _UNKNOWN),
    "unknown_503_without_code": {"status": 503, "body": {"timestamp": 0, "path": "/fapi/v1/order", "msg": _UNKNOWN}},
    "unknown_503_text": {"status": 503, "body": _UNKNOWN, "headers": {"content-type": "text/plain"}},
    "timeout_408": _error(408, -1007, _TIMEOUT),
    "timeout_1007": _refusal(-1007, _TIMEOUT),
    "unexpected_1006": _refusal(-1006, "An unexpected response was received from the message bus."),
    "internal_500": _error(500, -1000, "Request occur unknown error."),
    "bad_gateway_502": _page(502, "Bad Gateway"),
    "disconnect": {"drop": True},
    "empty_200": {"status": 200, "body": "", "headers": {"content-type": "application/json"}},
    # it certainly did not happen
    "unavailable_503": {"status": 503, "body": "Service Unavailable.", "headers": {"content-type": "text/plain"}},
    "unavailable_503_with_code": _error(503, -1001, "Service Unavailable."),
    "throttled_503": _error(503, -1008, _THROTTLED),
    "internal_503": _error(503, -1001, "Internal error; unable to process your request. Please try again."),
    "firewall_403": _page(403, "Forbidden"),
    # wait: who goes on all the same is banned; the waits are what real answers ask for
    "rate_limit_429": {"limit_ms": 10_000},
    "rate_limit_429_silent": {"limit_ms": 10_000, "silent": True},
    "ban_418": {"ban_ms": 120_000},
    "ban_418_silent": {"ban_ms": 120_000, "silent": True},
    "ban_418_growing": {"ban_ms": 120_000, "grow_ms": 30_000},
    "firewall_403_lasting": {"firewall_ms": 10_000},
    "order_limit_1015": {"orders_ms": 10_000},
    "order_limit_1015_silent": {"orders_ms": 10_000, "silent": True},
    # the clock
    "clock_jump": {"clock_jump_ms": 60_000},
    "engine_clock": _refusal(-5028, "Timestamp for this request is outside of the ME recvWindow."),
    # refusals that the account's state alone would not give
    "not_found": _refusal(-2013, "Order does not exist."),
    "unknown_order": _refusal(-2011, "Unknown order sent."),
    "duplicate_id": _refusal(-4116, "ClientOrderId is duplicated."),
    "would_trigger": _refusal(-2021, "Order would immediately trigger."),
    "needs_position": _refusal(
        -4509,
        "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
    ),
    "closing_exists": _refusal(
        -4130, "An open stop or take profit order with GTE and closePosition in the direction is existing."
    ),
    "margin_insufficient": _refusal(-2019, "Margin is insufficient."),
    "reduce_only_rejected": _refusal(-2022, "ReduceOnly Order is rejected."),
    "counterparty_price": _refusal(
        -4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."
    ),
    "triggering": _refusal(-4117, "Stop order is triggering."),
    "reduce_only_account": _refusal(
        -4400, "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, please try again later."
    ),
    # what is told lags behind
    "stale_position": {"previous_position": True},
    # what nobody expected
    "extra_fields": {"merge": {"newField": {"nested": [1, "two", None]}, "anotherField": "soon"}},
    "unknown_status": {"merge": {"status": "NEW_INSURANCE"}},
    "unknown_algo_status": {"merge": {"algoStatus": "QUEUED"}},
    # events
    "missing": {"drop": True},
    "twice": {"duplicate": 1},
    "late": {"hold": 2},
    "expire_listen_key": {"expire_listen_key": True},
    "cut_streams": {"cut_streams": True},
    # triggers
    "rejected": {"reject": True},
    "unfilled": {"unfilled": True},
}

IMPLIED: dict[str, Fields] = {"throttled_503": {"reducing": False}}
"""Conditions that belong to a preset: reducing orders and cancels are exempt from throttling."""
