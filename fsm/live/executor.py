"""Carries one intent out on the exchange and says how it ended; it knows when sending again is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exchange.client_ids import Leg, parse
from exchange.port import Exchange
from exchange.types import AlgoRequest, Confirmed, Outcome, Refused, Unknown
from fsm.core.intents import (
    CancelAlgo,
    CancelEntry,
    ClosePosition,
    EnsureSetup,
    Intent,
    Look,
    PlaceEntry,
    PlaceStop,
    PlaceTarget,
    SweepOrders,
)
from fsm.live.clock import Clock

REGULAR_LEGS = frozenset({Leg.ENTRY, Leg.CLOSE})
NOT_OPEN = -2011
NO_POSITION_YET = -4509  # the position may lag its own fill by some milliseconds (field reports, checked 2026-11)
STOP_AGAIN_S = (0.0, 0.1, 0.25, 0.5)
"""Pauses before a closePosition stop is sent again with the same id; together well below any protection deadline."""


class Executor:
    """One for all symbols; it keeps nothing between calls."""

    def __init__(
        self, exchange: Exchange, clock: Clock, on_accepted: Callable[[str], None] = lambda client_id: None
    ) -> None:
        """``on_accepted`` hears the client id of each order that was accepted: the stream must tell of it soon."""
        self._exchange = exchange
        self._clock = clock
        self._on_accepted = on_accepted

    async def do(self, intent: Intent) -> Outcome:
        """Carry it out. Never raises for what the exchange answered, nor for not having heard an answer."""
        outcome = await self._do(intent)
        if isinstance(outcome, Confirmed) and isinstance(intent, PlaceEntry | PlaceStop | PlaceTarget | ClosePosition):
            self._on_accepted(intent.request.client_id)
        return outcome

    async def _do(self, intent: Intent) -> Outcome:
        exchange = self._exchange
        match intent:
            case EnsureSetup():
                return await self._set_up(intent)
            case PlaceEntry(request=order) | ClosePosition(request=order):
                return await exchange.place_order(order)
            case PlaceStop(request=algo):
                return await self._place_stop(algo)
            case PlaceTarget(request=algo):
                return await exchange.place_algo(algo)
            case CancelEntry(symbol=symbol, client_id=client_id):
                return await exchange.cancel_order(symbol, client_id)
            case CancelAlgo(symbol=symbol, client_id=client_id):
                return await exchange.cancel_algo(symbol, client_id)
            case SweepOrders(symbol=symbol, client_ids=client_ids):
                return await self._sweep(symbol, client_ids)
            case Look():
                raise AssertionError("a look is not an order")

    async def _set_up(self, intent: EnsureSetup) -> Outcome:
        margin_type = await self._exchange.ensure_margin_type(intent.symbol, intent.margin_type)
        if not isinstance(margin_type, Confirmed):
            return margin_type
        return await self._exchange.ensure_leverage(intent.symbol, intent.leverage)

    async def _place_stop(self, request: AlgoRequest) -> Outcome:
        """A closePosition stop cannot come to rest twice (-4116, -4130), so it is sent again at once while unknown."""
        outcome = await self._exchange.place_algo(request)
        for pause_s in STOP_AGAIN_S:
            lagging = isinstance(outcome, Refused) and outcome.code == NO_POSITION_YET
            unheard = isinstance(outcome, Unknown) and request.close_position
            if not (lagging or unheard):
                break
            await self._clock.sleep(pause_s)
            outcome = await self._exchange.place_algo(request)
        return outcome

    async def _sweep(self, symbol: str, client_ids: tuple[str, ...]) -> Outcome:
        """Cancel these orders of ours and no others, whichever family each is of; one that is gone already is fine."""
        outcomes = await asyncio.gather(*(self._cancel(symbol, client_id) for client_id in client_ids))
        worst: Outcome = Confirmed()
        for outcome in outcomes:
            if isinstance(outcome, Unknown):
                return outcome
            if isinstance(outcome, Refused) and outcome.code != NOT_OPEN:
                worst = outcome
        return worst

    async def _cancel(self, symbol: str, client_id: str) -> Outcome:
        parts = parse(client_id)
        if parts is not None and parts.leg in REGULAR_LEGS:
            return await self._exchange.cancel_order(symbol, client_id)
        return await self._exchange.cancel_algo(symbol, client_id)
