"""Carries one intent out on the exchange and says how it ended; it knows when sending again is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exchange.client_ids import Leg, parse
from exchange.port import Exchange
from exchange.refusals import RefusalReason
from exchange.types import Confirmed, Outcome, Refused, SymbolConfig, Unknown
from fsm.core.model.intents import (
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
from fsm.live.context.clock import Clock
from fsm.live.trading.hurry import Hurry

REGULAR_LEGS = frozenset({Leg.ENTRY, Leg.CLOSE})
TRIES = 5
"""So often a closePosition stop is sent under its id where nobody says for how long it is wanted."""


class Executor:
    """One for all symbols; it keeps nothing between calls."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        on_accepted: Callable[[str], None] = lambda client_id: None,
        on_set_up: Callable[[SymbolConfig], None] = lambda config: None,
    ) -> None:
        """``on_accepted`` hears the client id of each order that was accepted: the stream must tell of it soon.
        ``on_set_up`` hears with which margin mode and leverage a symbol was made ready for its entry."""
        self._exchange = exchange
        self._clock = clock
        self._on_accepted = on_accepted
        self._on_set_up = on_set_up

    async def do(self, intent: Intent) -> Outcome:
        """Carry it out. Never raises for what the exchange answered, nor for not having heard an answer."""
        if isinstance(intent, PlaceStop):
            tries = iter(range(1, TRIES))
            return await self.hurry(intent, is_wanted=lambda: next(tries, None) is not None)
        return self._told(intent, await self._do(intent))

    async def hurry(
        self,
        intent: PlaceStop,
        *,
        is_wanted: Callable[[], bool],
    ) -> Outcome:
        """A stop, again and again under its id while it is wanted and no answer settles it.

        Only a closePosition stop cannot rest twice: one with a quantity is sent once.
        """
        request = intent.request
        if not request.close_position:
            return self._told(intent, await self._exchange.place_algo(request))
        hurry = Hurry(
            lambda: self._exchange.place_algo(request),
            self._clock,
            is_wanted=is_wanted,
            is_held_up=lambda: self._exchange.pause() is not None,
        )
        return self._told(intent, await hurry.run())

    def _told(self, intent: Intent, outcome: Outcome) -> Outcome:
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
            case PlaceStop(request=algo) | PlaceTarget(request=algo):
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
        leverage = await self._exchange.ensure_leverage(intent.symbol, intent.leverage)
        if isinstance(leverage, Confirmed):
            config = SymbolConfig(symbol=intent.symbol, margin_type=intent.margin_type, leverage=intent.leverage)
            self._on_set_up(config)
        return leverage

    async def _sweep(self, symbol: str, client_ids: tuple[str, ...]) -> Outcome:
        """Cancel these orders of ours and no others, whichever family each is of; one that is gone already is fine."""
        outcomes = await asyncio.gather(*(self._cancel(symbol, client_id) for client_id in client_ids))
        worst: Outcome = Confirmed()
        for outcome in outcomes:
            if isinstance(outcome, Unknown):
                return outcome
            if isinstance(outcome, Refused) and outcome.reason is not RefusalReason.NO_SUCH_ORDER:
                worst = outcome
        return worst

    async def _cancel(self, symbol: str, client_id: str) -> Outcome:
        parts = parse(client_id)
        if parts is not None and parts.leg in REGULAR_LEGS:
            return await self._exchange.cancel_order(symbol, client_id)
        return await self._exchange.cancel_algo(symbol, client_id)
