"""What can go wrong with one call on the port of the simulated exchange."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from exchange.errors import ExchangeError


class Lost(StrEnum):
    """Which half of a call does not arrive; CONNECTION: there is none, so that nothing ever left."""

    REQUEST = "REQUEST"
    ANSWER = "ANSWER"
    CONNECTION = "CONNECTION"


class Call(msgspec.Struct, frozen=True):
    """One call on the port: its number from 1, the method, and what it is about."""

    number: int
    method: str
    symbol: str = ""
    client_id: str = ""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with a call: delays before and after it takes effect, a lost half, a refusal.

    A write waits ``turn_s`` before it leaves at all, as behind a budget; with ``late_s`` it is answered as unknown and
    takes effect so much later. ``error`` is what a read raises, ``alter`` changes what comes back (a lying read).
    """

    lost: Lost | None = None
    refuse: int | None = None
    late_s: float | None = None
    error: ExchangeError | None = None
    turn_s: float = 0.0
    delay_s: float = 0.0
    answer_delay_s: float = 0.0
    alter: Callable[[Any], Any] | None = None


Faults = Callable[[Call], Fault | None]
