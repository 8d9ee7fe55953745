"""Carries the scheduled faults out: decides what befalls each call, and what the venue itself does wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.errors import Unreachable
from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.core.state import TriggerFault
from exchange.sim.core.venue import Venue
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import Position, SymbolSnapshot
from fsm.proofs.torture.fault_catalog import MENU, is_read
from fsm.proofs.torture.plan import Disturbance

SHORT_S = 30.0
"""A fault that lasts no longer is lived through second by second; longer ones are jumped over in between."""


@dataclass(slots=True)
class Armed:
    """A disturbance in force: how many calls it may still befall, and until when (simulated ms; None: no end)."""

    what: Disturbance
    chance: Random
    left: int
    until_ms: int | None


@dataclass(slots=True)
class Lagging:
    """Positions as they were when something executed, shown until then."""

    positions: dict[str, Position]
    until_s: float
    symbols: set[str] = field(default_factory=set)


class FaultSchedule:
    """The faults of one run. ``touched_s`` is when (loop time) a call last went wrong."""

    def __init__(self, seed: int, venue: Venue, monotonic: Callable[[], float]) -> None:
        self._seed = seed
        self._venue = venue
        self._monotonic = monotonic
        self._armed: list[Armed] = []
        self._lagging: Lagging | None = None
        self._depth = venue.state.settings.depth_usdt
        self.touched_s = float("-inf")
        self.fired: Counter[str] = Counter()
        venue.state.trigger_fault = self._at_trigger
        venue.state.fails_to_fill = self._fails_to_fill

    def arm(self, what: Disturbance) -> None:
        until_ms = self._venue.now_ms + int(what.seconds * 1000) if what.seconds else None
        if what.kind == "lag":
            until_ms = None
        chance = Random(f"{self._seed} {what.number}")  # noqa: S311 - chance, not secrecy
        self._armed.append(Armed(what, chance, what.count, until_ms))
        if what.kind == "book":
            self._book(Decimal(int(what.amount)))

    def end_all(self) -> None:
        """From now on nothing goes wrong any more."""
        self._armed.clear()
        self._lagging = None
        self._book(self._depth)

    def passed(self) -> None:
        """Forget what is over."""
        now_ms = self._venue.now_ms
        over = [armed for armed in self._armed if armed.left <= 0 or (armed.until_ms or 2**62) <= now_ms]
        for armed in over:
            self._armed.remove(armed)
            if armed.what.kind == "book":
                self._book(self._depth)

    def is_brief(self) -> bool:
        """True while something short is in force."""
        return any(armed.until_ms is not None and armed.what.seconds <= SHORT_S for armed in self._armed)

    def is_fair(self) -> bool:
        """True while no fault is in force that could keep the bot from seeing or doing something."""
        return not self._armed

    def is_out(self) -> bool:
        """True while nothing reaches the exchange at all."""
        return any(self._in_force("outage"))

    def stream(self) -> set[str]:
        """What goes wrong with events now."""
        return {armed.what.what for armed in self._in_force("stream")}

    # --- calls --------------------------------------------------------------------------------
    def __call__(self, call: Call) -> Fault | None:
        self.passed()
        fault = self._fault(call)
        if fault is not None:
            self.touched_s = self._monotonic()
        lag = self._lag(call)
        if lag is None or (fault is not None and fault.alter is not None):
            return fault
        return replace(fault or Fault(), alter=lag)

    def _fault(self, call: Call) -> Fault | None:
        for armed in self._in_force("outage"):
            if is_read(call):
                return Fault(error=Unreachable(f"{call.method}: no connection"))
            executed = armed.chance.random() < 0.2
            return Fault(lost=Lost.ANSWER if executed else Lost.REQUEST)
        for armed in self._in_force("fault"):
            row = MENU[armed.what.what]
            if row.befalls(call):
                armed.left -= 1
                self.fired[row.name] += 1
                return row.make(armed.chance, call)
        return None

    def _in_force(self, kind: str) -> list[Armed]:
        return [armed for armed in self._armed if armed.what.kind == kind and armed.left > 0]

    # --- positions that lag -------------------------------------------------------------------
    def about_to_execute(self) -> None:
        """Something may change a position now: what it was before is what is shown for a while, if that is armed."""
        for armed in self._in_force("lag"):
            if self._lagging is None:
                armed.left -= 1
                positions = {position.symbol: position for position in self._venue.positions()}
                self._lagging = Lagging(positions, self._monotonic() + armed.what.seconds)
            return

    def _lag(self, call: Call) -> Callable[[Any], Any] | None:
        if self._lagging is None:
            return None
        if self._monotonic() >= self._lagging.until_s:
            self._lagging = None
            return None
        shown = self._lagging.positions
        if call.method == "look":
            return lambda found: _as_before(found, shown)
        if call.method == "positions":
            rows = [position for position in shown.values() if call.symbol in ("", position.symbol)]
            return lambda found: rows
        return None

    # --- the venue ----------------------------------------------------------------------------
    def _at_trigger(self, algo: AlgoState) -> TriggerFault | None:
        del algo
        for armed in self._in_force("trigger"):
            armed.left -= 1
            self.touched_s = self._monotonic()
            return TriggerFault(armed.what.what)
        return None

    def _fails_to_fill(self, order: OrderState) -> bool:
        """A close of ours that is accepted and ends EXPIRED, with nothing filled."""
        parts = parse(order.client_id)
        if parts is None or parts.leg is not Leg.CLOSE:
            return False
        for armed in self._in_force("close"):
            armed.left -= 1
            self.fired["close expires"] += 1
            self.touched_s = self._monotonic()
            return True
        return False

    def _book(self, depth_usdt: Decimal | None) -> None:
        state = self._venue.state
        state.settings = replace(state.settings, depth_usdt=depth_usdt)


def _as_before(found: SymbolSnapshot, shown: dict[str, Position]) -> SymbolSnapshot:
    return replace(found, position=shown.get(found.symbol))
