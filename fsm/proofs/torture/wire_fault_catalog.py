"""The fault menu on the wire: what befalls single requests of the real client, as bytes and delays.

What the rows of the port (menu.py) say in the client's own words is here what the exchange, its firewall or the network
really answers; what the client makes of it is under test.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from exchange.client_ids import Leg, parse
from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked, Blow, Broken
from fsm.proofs.wire.answers import UNKNOWN, error, unavailable

ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
TIMED_OUT_S = 6.0
"""Longer than the client waits for any answer about an order."""

Make = Callable[[Random, Asked], Blow]
Says = Callable[[float], Answer]


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that asks for a pause. ``seconds`` is how long it is really enforced, longer by ``grows_s`` for each
    request that comes all the same; ``stated``: the answer says so. ``is_ban`` and ``orders_only`` are what it is."""

    says: Says
    seconds: float
    stated: bool = False
    grows_s: float = 0.0
    is_ban: bool = False
    orders_only: bool = False


class WireRow(msgspec.Struct, frozen=True):
    """One row: which requests it befalls, and what it does to one of them, or for how long all have to wait."""

    name: str
    says: str
    befalls: Callable[[Asked], bool]
    make: Make | Wait


def leg_of(asked: Asked) -> Leg | None:
    parts = parse(asked.client_id) if asked.client_id else None
    return None if parts is None else parts.leg


def is_write(asked: Asked) -> bool:
    return asked.method != "GET" and asked.path != "/fapi/v1/listenKey"


def _any(asked: Asked) -> bool:
    return True


def _read(asked: Asked) -> bool:
    return asked.method == "GET" and bool(asked.symbol)


def _places(*legs: Leg) -> Callable[[Asked], bool]:
    return lambda asked: asked.method == "POST" and asked.path in (ORDER, ALGO) and leg_of(asked) in legs


def _cancels(asked: Asked) -> bool:
    return asked.method == "DELETE" and asked.path in (ORDER, ALGO)


def _instead(answer: Answer) -> Make:
    return lambda chance, asked: Blow(instead=answer)


def _perhaps(answer: Answer) -> Make:
    """Done or not."""
    return lambda chance, asked: Blow(instead=answer, arrives=chance.random() < 0.5)


def _refused(code: int, text: str) -> Make:
    return _instead(error(400, code, text))


def _late(chance: Random, asked: Asked) -> Blow:
    return Blow(instead=error(503, -1000, UNKNOWN), arrives=True, late_s=chance.choice((0.1, 0.5, 1.0, 2.0, 4.0)))


def _slow(chance: Random, asked: Asked) -> Blow:
    return Blow(request_s=chance.uniform(0.0, 1.0), answer_s=chance.uniform(0.0, 2.0))


def _hang(chance: Random, asked: Asked) -> Blow:
    return Blow(answer_s=TIMED_OUT_S) if chance.random() < 0.5 else Blow(broken=Broken.SILENT)


def _dropped(chance: Random, asked: Asked) -> Blow:
    return Blow(broken=Broken.DROPPED, arrives=chance.random() < 0.5)


def _page(status: int, title: str) -> Answer:
    body = f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><h1>{status} {title}</h1></body></html>"
    return Answer(status, body, {"content-type": "text/html"})


_MANY, _BAN = "Too many requests.", "Way too many requests; IP banned."


def _stated(status: int, code: int, text: str) -> Says:
    return lambda left_s: error(status, code, text, retry_after=f"{left_s:.0f}")


WIRE_FIRST: dict[str, WireRow] = {
    row.name: row
    for row in (
        WireRow("firewall", "403 with HTML, once", _any, Wait(says=lambda s: _page(403, "Forbidden"), seconds=0)),
        WireRow("firewall-span", "403 for 5 s", _any, Wait(says=lambda s: _page(403, "Forbidden"), seconds=5)),
        WireRow("limited", "429 without a time, once", _any, Wait(says=lambda s: error(429, -1003, _MANY), seconds=0)),
        WireRow("limited-stated", "429 with Retry-After 10 s", _any,
                Wait(says=_stated(429, -1003, _MANY), seconds=10, stated=True, grows_s=1)),
        WireRow("banned", "418 without a time, once", _any,
                Wait(says=lambda s: error(418, -1003, _BAN), seconds=0, is_ban=True)),
        WireRow("banned-stated", "418 with Retry-After 30 s, longer for each request", _any,
                Wait(says=_stated(418, -1003, _BAN), seconds=30, stated=True, grows_s=1, is_ban=True)),
        WireRow("orders", "-1015 without a time, once", _places(*Leg),
                Wait(says=lambda s: error(429, -1015, "Too many new orders."), seconds=0, orders_only=True)),
        WireRow("orders-stated", "-1015 with Retry-After 5 s", _places(*Leg),
                Wait(says=_stated(429, -1015, "Too many new orders."), seconds=5, stated=True, orders_only=True)),
        WireRow("unknown", "503 A, nobody knows whether it happened", _any, _perhaps(error(503, -1000, UNKNOWN))),
        WireRow("timeout-408", "408, -1007", _any, _perhaps(error(408, -1007, "Timeout waiting for response."))),
        WireRow("unexpected", "-1006", is_write, _perhaps(error(400, -1006, "An unexpected response was received."))),
        WireRow("unavailable", '503 "Service Unavailable."', _any, unavailable),
        WireRow("internal", "503 with -1001", _any, _instead(error(503, -1001, "Internal error; unable to process."))),
        WireRow("overloaded", "503 with -1008", _any, _instead(error(503, -1008, "Request throttled."))),
        WireRow("bad-gateway", "502 with a page of HTML", _any, _perhaps(_page(502, "Bad Gateway"))),
        WireRow("late", "503 A, and it happens seconds later", is_write, _late),
        WireRow("hang", "no answer until long after anybody waits", _any, _hang),
        WireRow("hang-stop", "a stop that gets no answer", _places(Leg.STOP), _hang),
        WireRow("hang-entry", "an entry that gets no answer", _places(Leg.ENTRY), _hang),
        WireRow("slow", "seconds of latency", _any, _slow),
        WireRow("dropped", "the connection is cut, done or not", _any, _dropped),
        WireRow("no-connection", "no connection", _any, lambda chance, asked: Blow(broken=Broken.REFUSED)),
        WireRow("malformed", "200 with a body that is not JSON", _read, _instead(Answer(200, "oops"))),
        WireRow("clock-skew", "-1021 that a new time stamp does not mend", is_write, _refused(-1021, "Timestamp.")),
        WireRow("would-trigger", "-2021 for a stop", _places(Leg.STOP), _refused(-2021, "Order would trigger.")),
        WireRow("needs-position", "-4509 for a stop", _places(Leg.STOP), _refused(-4509, "GTE needs a position.")),
        WireRow("closing-exists", "-4130 for a stop", _places(Leg.STOP), _refused(-4130, "An open stop exists.")),
        WireRow("margin", "-2019 for an entry", _places(Leg.ENTRY), _refused(-2019, "Margin is insufficient.")),
        WireRow("reduce-only", "-2022 for a close", _places(Leg.CLOSE), _refused(-2022, "ReduceOnly is rejected.")),
        WireRow("too-large", "-4005 for a close", _places(Leg.CLOSE), _refused(-4005, "Greater than max quantity.")),
        WireRow("no-price", "-4131 for a market order", _places(Leg.ENTRY, Leg.CLOSE), _refused(-4131, "Best price.")),
        WireRow("quantitative", "-4400 for an entry", _places(Leg.ENTRY), _refused(-4400, "Only reduceOnly.")),
        WireRow("triggering", "-4117 for a cancel", _cancels, _refused(-4117, "Stop order is triggering.")),
        WireRow("unknown-order", "-2011 for a cancel", _cancels, _refused(-2011, "Unknown order sent.")),
        WireRow("fills-lag", "fills are listed later", lambda asked: asked.path.endswith("/userTrades"),
                _instead(Answer(200, []))),
    )
}  # fmt: skip
"""The rows from which the first part of a plan is drawn."""

WIRE_LATER: dict[str, WireRow] = {
    row.name: row
    for row in (
        WireRow("off-tick", "-1111 for a stop", _places(Leg.STOP), _refused(-1111, "Precision is over the maximum.")),
        WireRow("brackets-refused", "-1121 for a leverage table",
                lambda asked: asked.path.endswith("/leverageBracket"), _refused(-1121, "Invalid symbol.")),
        WireRow("candles-refused", "-1121 for candles",
                lambda asked: asked.path.endswith("/klines"), _refused(-1121, "Invalid symbol.")),
    )
}  # fmt: skip
"""Those that only what happens around the bot is drawn from (fsm/proofs/torture/environment_catalog.py)."""

WIRE_MENU: dict[str, WireRow] = {**WIRE_FIRST, **WIRE_LATER}
"""Every row by its name."""
