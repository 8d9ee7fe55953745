"""What an exchange answers instead, in the forms in which it was seen; who draws faults chooses among them."""

from __future__ import annotations

from random import Random

from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked, Blow

UNKNOWN = "Unknown error, please check your request or try again later."


def error(status: int, code: int, text: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"code": code, "msg": text}, named)


UNAVAILABLE = (
    Answer(503, "Service Unavailable.", {"content-type": "text/plain"}),
    Answer(503, {"msg": "Service Unavailable."}),
    error(503, -1001, "Service Unavailable."),
    error(503, 503, "Service Unavailable."),
)
"""Binance's sheet gives the text alone: a number beside it says nothing more."""


def unavailable(chance: Random, asked: Asked) -> Blow:
    return Blow(instead=chance.choice(UNAVAILABLE))
