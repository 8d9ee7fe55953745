"""Carries one committed step out: its intents in their order, each settled in the outbox and told to the engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal

from exchange.errors import ExchangeError
from exchange.types import Confirmed, MarkPrice, Outcome, Refused, Unknown
from fsm.core.events import IntentEnded, SetupEnded, SymbolEvent
from fsm.core.intents import ClosePosition, EnsureSetup, Intent, Look, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.move import Step
from fsm.core.records import ZERO, State
from fsm.live.shared import Shared

HOLDING = (State.ENTERING, State.PROTECTED)
Named = tuple[str, Intent]
Settled = tuple[str, Intent, Outcome]
"""An intent by its name, and what became of it."""


class Carrying:
    """One for each symbol, one step at a time. ``judge`` lets the engine decide on what happened, and writes what
    became of an intent in the same commit; ``look`` looks, in haste (True) when a stop was just accepted."""

    def __init__(
        self,
        symbol: str,
        shared: Shared,
        *,
        settle: Callable[[str, Intent, Outcome | None], Awaitable[None]],
        judge: Callable[[SymbolEvent, Settled | None], Awaitable[None]],
        look: Callable[[bool], Awaitable[None]],
        entry_sent: Callable[[str, PlaceEntry, Outcome], Awaitable[None]],
    ) -> None:
        self._symbol = symbol
        self._shared = shared
        self._settle = settle
        self._judge = judge
        self._look = look
        self._entry_sent = entry_sent
        self._waiting: deque[Named] = deque()
        self._flying: dict[str, Intent] = {}

    async def carry(self, step: Step) -> None:
        """A stop that is not confirmed drops what follows it, up to the row's own look. One that is accepted is read
        back before targets are placed: they can wait, a position without a confirmed stop cannot. Where that look
        shows the position gone, there is nothing left to place them for."""
        row = self._waiting = deque(step.intents)
        broken = covered = False
        while row:
            name, intent = row[0]
            if isinstance(intent, Look):
                await self._take_look(row, row[0], covered)
            elif broken:
                row.popleft()
                await self._settle(name, intent, None)
            elif covered and isinstance(intent, PlaceTarget) and (look := _look_in(row)) is not None:
                await self._take_look(row, look, covered)
                broken = self._shared.engine.record(self._symbol).state not in HOLDING
            else:
                row.popleft()
                outcome = await self._do(name, intent)
                await self._ended(name, intent, outcome)
                if isinstance(intent, PlaceStop):
                    covered = isinstance(outcome, Confirmed)
                    broken = not covered

    async def _take_look(self, row: deque[Named], look: Named, in_haste: bool) -> None:
        await self._look(in_haste)
        row.remove(look)
        await self._settle(*look, None)

    def interrupted(self) -> list[tuple[str, Intent, Outcome | None]]:
        """What a step that was broken off leaves: calls whose outcome nobody heard, and intents never sent."""
        unheard = Unknown("interrupted")
        left: list[tuple[str, Intent, Outcome | None]] = [(n, i, unheard) for n, i in self._flying.items()]
        left += [(name, intent, None) for name, intent in self._waiting]
        self._flying.clear()
        self._waiting.clear()
        return left

    async def _do(self, name: str, intent: Intent) -> Outcome:
        self._flying[name] = intent
        outcome = await self._shared.executor.do(intent)
        del self._flying[name]
        return outcome

    async def _ended(self, name: str, intent: Intent, outcome: Outcome) -> None:
        """Write an outcome down, and let the engine judge it."""
        symbol = self._symbol
        settled: Settled | None = (name, intent, outcome)
        is_close_refused = isinstance(intent, ClosePosition) and isinstance(outcome, Refused)
        event: SymbolEvent
        if isinstance(outcome, Refused):
            await self._shared.symbols.after_refusal(symbol, outcome.code)
        if isinstance(intent, EnsureSetup) or is_close_refused:  # what follows needs a price, and may be interrupted
            await self._settle(name, intent, outcome)
            settled = None
        if isinstance(intent, EnsureSetup):
            event = await self._setup_ended(outcome)
        else:
            prices = await self._prices() if is_close_refused else None
            at_ms, real_ms = self._shared.clock.now_ms(), self._shared.clock.real_ms()
            event = IntentEnded(
                symbol=symbol, at_ms=at_ms, intent=intent, outcome=outcome, prices=prices, real_ms=real_ms
            )
        await self._judge(event, settled)
        if isinstance(intent, PlaceEntry):
            await self._entry_sent(name, intent, outcome)

    async def _setup_ended(self, outcome: Outcome) -> SetupEnded:
        """With what the symbol costs now, and what is open in it by somebody else's hand, both as of one moment; and
        whether its rules are still those that the entry was planned with (R65)."""
        unready = await self._shared.symbols.before_entry(self._symbol) if isinstance(outcome, Confirmed) else ""
        prices, held = await asyncio.gather(self._prices(), self._held())
        if prices is None or held is None:
            outcome, prices, held = Unknown("price or position could not be read"), no_price(self._symbol), ZERO
        at_ms = self._shared.clock.now_ms()
        return SetupEnded(
            symbol=self._symbol, at_ms=at_ms, outcome=outcome, prices=prices, open_quantity=held, unready=unready
        )

    async def _held(self) -> Decimal | None:
        """Any leg counts: those of an account in hedge mode, set so while we run, could add up to nothing."""
        try:
            positions = await self._shared.exchange.positions(self._symbol)
        except ExchangeError as error:
            self._shared.on_trouble(self._symbol, error)
            return None
        held = (position.quantity for position in positions if position.symbol == self._symbol)
        return next((quantity for quantity in held if quantity != 0), ZERO)

    async def _prices(self) -> MarkPrice | None:
        try:
            return await self._shared.exchange.mark_price(self._symbol)
        except ExchangeError as error:
            self._shared.on_trouble(self._symbol, error)
            return None


def _look_in(row: Iterable[Named]) -> Named | None:
    return next((named for named in row if isinstance(named[1], Look)), None)


def no_price(symbol: str) -> MarkPrice:
    return MarkPrice(symbol=symbol, mark_price=ZERO, last_price=ZERO, time_ms=0)
