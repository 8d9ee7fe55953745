"""Waits for the moment in which something is to be done to a position: while it is open, or while its stop moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.sim.core.events import AlgoUpdated, VenueEvent
from exchange.sim.core.venue import Venue
from exchange.types import AlgoStatus
from fsm.proofs.torture.environment_catalog import HELD, MOVING
from fsm.proofs.torture.plan import HOUR_MS, Disturbance

PATIENCE_MS = 48 * HOUR_MS
"""What found no moment by then is not done."""

STOPS = (Leg.STOP, Leg.BRIDGE)


class PositionMoments:
    """``do`` is called in a turn of its own, with the symbol in which the moment came."""

    def __init__(self, venue: Venue, quantity: Callable[[str], Decimal], do: Callable[[Disturbance], None]) -> None:
        self._venue = venue
        self._quantity = quantity
        self._do = do
        self._waiting: list[Disturbance] = []
        self._stops: dict[str, int] = {}
        venue.state.witnesses.append(self._happened)

    def await_(self, what: Disturbance) -> None:
        self._waiting.append(what)

    def end_all(self) -> None:
        self._waiting.clear()

    def passed(self, symbols: tuple[str, ...]) -> None:
        """After each step of the world: is anything open?"""
        now_ms = self._venue.now_ms
        self._waiting = [what for what in self._waiting if now_ms - what.at_ms < PATIENCE_MS]
        for what in [each for each in self._waiting if each.when == HELD]:
            held = [symbol for symbol in symbols if self._quantity(symbol) and self._venue.state.algos.open(symbol)]
            if held:
                self._waiting.remove(what)
                self._do(replace(what, symbol=held[what.number % len(held)]))

    def _happened(self, event: VenueEvent) -> None:
        """A stop of ours came or went while another one of the same position had been there: it is on the move."""
        if not isinstance(event, AlgoUpdated):
            return
        algo, parts = event.algo, parse(event.algo.client_id)
        if parts is None or parts.leg not in STOPS:
            return
        symbol = algo.symbol
        if self._quantity(symbol) == 0:
            self._stops.pop(symbol, None)
            return
        if algo.status is AlgoStatus.NEW:
            self._stops[symbol] = self._stops.get(symbol, 0) + 1
        moves = algo.status in (AlgoStatus.NEW, AlgoStatus.CANCELED) and self._stops.get(symbol, 0) > 1
        what = next((each for each in self._waiting if each.when == MOVING), None) if moves else None
        if what is not None:
            self._waiting.remove(what)
            asyncio.get_running_loop().call_later(what.amount, self._do, replace(what, symbol=symbol))
