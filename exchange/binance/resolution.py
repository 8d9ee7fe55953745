"""Finds out what became of a write whose outcome is unknown: found, shown absent, or still unknown.

Absent needs two kinds of evidence that agree: repeated look-ups over several seconds (GET order may say -2013
for seconds after acceptance, checked 2026-11) and a position that did not move. Time alone proves nothing (R20).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from exchange.binance.orders import Orders
from exchange.clock import Clock
from exchange.errors import ExchangeError
from exchange.types import AlgoOrder, Order, Position

LOOKUP_PAUSES_S = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Between six look-ups, the last nearly eight seconds after the first."""

ABSENCES_MIN = 4
"""Look-ups that must have been answered with "not found", the last one among them."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """It was accepted; ``order`` or ``algo_order`` is what it is now. A triggered stop may show as its real order."""

    order: Order | None = None
    algo_order: AlgoOrder | None = None


class Absent(msgspec.Struct, frozen=True):
    """It never took effect: nobody finds it and the position is what it was."""


class StillUnknown(msgspec.Struct, frozen=True):
    """The evidence is missing or contradicts itself: quarantine the symbol and reconcile by position."""

    reason: str


Resolution = Found | Absent | StillUnknown
Positions = Callable[[str], Awaitable[list[Position]]]


class Resolver:
    """Looks for one order at a time; every look is bounded, and so is their number."""

    def __init__(self, orders: Orders, positions: Positions, clock: Clock) -> None:
        self._orders = orders
        self._positions = positions
        self._clock = clock

    async def resolve_order(self, symbol: str, client_id: str, *, quantity_before: Decimal) -> Resolution:
        """A regular order. ``quantity_before`` is the signed position that was there before it was sent."""

        async def look() -> Found | None:
            order = await self._orders.order(symbol, client_id)
            return Found(order=order) if order is not None else None

        async def listed() -> Found | None:
            for order in await self._orders.open_orders(symbol):
                if order.client_id == client_id:
                    return Found(order=order)
            return None

        return await self._resolve(symbol, look, listed, quantity_before)

    async def resolve_algo(self, symbol: str, client_id: str, *, quantity_before: Decimal) -> Resolution:
        """A conditional order; once triggered it may be found only as a regular order with the same client id."""

        async def look() -> Found | None:
            algo = await self._orders.algo(symbol, client_id)
            if algo is not None:
                return Found(algo_order=algo)
            order = await self._orders.order(symbol, client_id)
            return Found(order=order) if order is not None else None

        async def listed() -> Found | None:
            for algo in await self._orders.open_algos(symbol):
                if algo.client_id == client_id:
                    return Found(algo_order=algo)
            return None

        return await self._resolve(symbol, look, listed, quantity_before)

    async def _resolve(
        self,
        symbol: str,
        look: Callable[[], Awaitable[Found | None]],
        listed: Callable[[], Awaitable[Found | None]],
        quantity_before: Decimal,
    ) -> Resolution:
        absences = 0
        failure = ""
        for pause_s in (*LOOKUP_PAUSES_S, None):
            try:
                found = await look()
                if found is not None:
                    return found
                absences, failure = absences + 1, ""
            except ExchangeError as error:
                failure = str(error)
            if pause_s is not None:
                await self._clock.sleep(pause_s)
        if failure or absences < ABSENCES_MIN:
            return StillUnknown(f"only {absences} of {len(LOOKUP_PAUSES_S) + 1} look-ups were answered; {failure}")
        try:
            return await listed() or await self._by_position(symbol, quantity_before)
        except ExchangeError as error:
            return StillUnknown(f"the look-ups find nothing, but the last evidence is missing: {error}")

    async def _by_position(self, symbol: str, quantity_before: Decimal) -> Resolution:
        rows = await self._positions(symbol)
        quantity = sum((row.quantity for row in rows if row.symbol == symbol), Decimal(0))
        if quantity == quantity_before:
            return Absent()
        return StillUnknown(f"nobody finds the order, yet the position went from {quantity_before} to {quantity}")
