"""Carries one committed step out: its intents in their order, each settled in the outbox and told to the engine."""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any, Protocol

from exchange.errors import ExchangeError
from exchange.refusals import RefusalReason
from exchange.types import Book, Confirmed, MarkPrice, Outcome, Refused, Unknown
from fsm.core.model.decision import Step
from fsm.core.model.events import IntentEnded, Means, SetupEnded, SymbolEvent
from fsm.core.model.intents import ClosePosition, EnsureSetup, Intent, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.records import ZERO
from fsm.core.order_requests import close_id
from fsm.core.refusals import FORM_REFUSED
from fsm.core.step_order import Act, Named, closes_first, following, in_order
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.errands import Errands
from fsm.live.trading.hurry import AGAIN_S, UNANSWERED_S, passes
from fsm.live.trading.looking import Looking

ENTRY_UNANSWERED_S = 1.0
NUDGED_S = 0.05
"""An entry without an answer is looked for after so long; when the stream says something of it, nearly at once."""

PRICE_S_MAX = 2.5
"""A price that comes later than this is that of another moment."""

SENT_S = 1.0
"""A look that does not show a stop which left so lately, or is still being sent, is no reason to send it once more."""

Settled = tuple[str, Intent, Outcome]
"""An intent by its name, and what became of it."""


class HeldBack(Exception):
    """It was decided, and did not leave: meanwhile the position was handed over."""


class Inbox(Protocol):
    """What a row needs of its worker."""

    @property
    def is_naked(self) -> bool: ...

    def has_steps(self) -> bool: ...

    def wants(self, intent: PlaceStop) -> bool:
        """Whether this stop is still to be brought to rest."""
        ...

    def has_seen(self, intent: PlaceStop) -> bool:
        """Whether a look has shown this stop at rest."""
        ...

    async def woken(self, seconds: float | None) -> None:
        """Wait until something may have changed here, at most so long."""
        ...

    async def decide(self, event: SymbolEvent, settled: Settled | None = None) -> None: ...

    async def settle(self, name: str, intent: Intent, outcome: Outcome | None) -> None: ...


class StepRunner:
    """One for each symbol, one row at a time. Its calls go on by themselves until they are answered: a row that waits
    for one looks meanwhile, and gives way as soon as something else is to be done. What it leaves unsent waits in
    ``unsent``, to be settled when there is time."""

    def __init__(self, symbol: str, live: LiveContext, inbox: Inbox, looking: Looking, errands: Errands) -> None:
        self._symbol = symbol
        self._live = live
        self._inbox = inbox
        self._looking = looking
        self._errands = errands
        self._row: deque[Named] = deque()
        self._stop_sent: tuple[str, float] = ("", float("-inf"))
        self._hurrying: tuple[PlaceStop | None, asyncio.Task[Outcome] | None] = (None, None)
        self._closing: ClosePosition | None = None
        self._leaving: dict[str, asyncio.Task[Any]] = {}
        self._held_back: set[str] = set()
        self.unsent: deque[Named] = deque()

    async def run(self, step: Step) -> None:
        """One row, in the order that the core gives."""
        row = self._row = deque(closes_first(step.intents) if self._inbox.is_naked else step.intents)
        order = in_order(row, lambda: self._live.engine.record(self._symbol).state)
        upcoming = next(order, None)
        while upcoming is not None:
            outcome: Outcome | None = None
            if upcoming.act is Act.LOOK:
                await self._take_look(upcoming.in_haste)
                self.unsent.append((upcoming.name, upcoming.intent))
            elif upcoming.act is Act.LEAVE_OUT:
                self.unsent.append((upcoming.name, upcoming.intent))
            else:
                outcome = await self._answer(upcoming.intent, self.send(upcoming.name, upcoming.intent))
            upcoming = following(order, outcome)

    async def _take_look(self, in_haste: bool) -> None:
        if not self._inbox.has_steps():
            await self._looking.look(in_haste)

    def give_up(self) -> None:
        """Nothing more of the present row is sent; what has left goes on."""
        self.unsent.extend(self._row)
        self._row.clear()

    def hold_back(self) -> None:
        """As ``give_up``, and of what is on its way nothing leaves that still waits for its turn, but stops."""
        self.give_up()
        for client_id, task in self._leaving.items():
            if not self._live.exchange.has_left(client_id):
                self._held_back.add(client_id)
                task.cancel()

    # --- one call -----------------------------------------------------------------------------
    def send(self, name: str, intent: Intent) -> asyncio.Task[Outcome]:
        """Let it leave; what becomes of it is written and judged whoever waits for it. An empty name: no intent of the
        journal's, as it only repeats one."""
        return self._errands.start(self._errand(name, intent))

    def send_ahead(self, intent: PlaceStop) -> None:
        """A stop that its own step is going to ask for in a moment: that step hears what became of it."""
        self._errands.start(self._do(intent))

    def stop_was_sent(self, intent: PlaceStop) -> bool:
        """A moment ago, or it is being sent again and again: then a look that does not show it says nothing."""
        client_id, sent_s = self._stop_sent
        return client_id == intent.request.client_id and self._live.clock.monotonic() - sent_s < SENT_S

    async def _errand(self, name: str, intent: Intent) -> Outcome:
        trade = self._live.engine.record(self._symbol).trade
        try:
            outcome = await self._do(intent)
        except HeldBack:
            if name:
                await self._inbox.settle(name, intent, None)
            return Unknown("held back")
        except Exception:
            if name:
                await self._inbox.settle(name, intent, Unknown("interrupted"))
            raise
        await self._ended(name, intent, outcome, None if trade is None else trade.id)
        return outcome

    async def _do(self, intent: Intent) -> Outcome:
        """A stop that is being hurried already gets no second row of calls beside the first."""
        if isinstance(intent, ClosePosition):
            return await self._close(intent)
        if isinstance(intent, PlaceEntry | PlaceTarget):
            return await self._place(intent)
        if not isinstance(intent, PlaceStop):
            return await self._live.executor.do(intent)
        hurried, hurrying = self._hurrying
        if hurrying is None or hurrying.done() or hurried != intent:
            hurrying = self._errands.start(self._hurry(intent))
            self._hurrying = intent, hurrying
        return await asyncio.shield(hurrying)

    async def _place(self, intent: PlaceEntry | PlaceTarget | ClosePosition) -> Outcome:
        """Raises HeldBack where it did not leave, and is not going to."""
        client_id, task = intent.request.client_id, asyncio.current_task()
        assert task is not None
        self._leaving[client_id] = task
        try:
            return await self._live.executor.do(intent)
        except asyncio.CancelledError:
            if client_id not in self._held_back or task.uncancel():
                raise
            raise HeldBack from None
        finally:
            del self._leaving[client_id]
            self._held_back.discard(client_id)

    async def _hurry(self, intent: PlaceStop) -> Outcome:
        clock, client_id = self._live.clock, intent.request.client_id
        until_s = clock.monotonic() + self._live.deadline_ms / 1000
        self._stop_sent = (client_id, clock.monotonic())

        def is_wanted() -> bool:
            now_s = clock.monotonic()
            wanted = self._inbox.wants(intent) and (self._inbox.is_naked or now_s < until_s)
            self._stop_sent = (client_id, now_s) if wanted else self._stop_sent
            return wanted

        outcome = await self._live.executor.hurry(intent, is_wanted=is_wanted)
        return Confirmed() if passes(outcome) and self._inbox.has_seen(intent) else outcome

    async def _close(self, intent: ClosePosition) -> Outcome:
        """One that certainly never left has no fate to be looked up: while nothing protects it is tried again, until
        another one takes its place."""
        self._closing = intent
        while True:
            outcome = await self._place(intent)
            if not isinstance(outcome, Unknown) or not self._may_close_again(intent):
                return outcome
            await self._live.clock.sleep(AGAIN_S)
            if not self._may_close_again(intent):
                return outcome

    def _may_close_again(self, intent: ClosePosition) -> bool:
        engine, client_id = self._live.engine, intent.request.client_id
        trade = engine.record(self._symbol).trade
        if self._closing is not intent or not self._inbox.is_naked or trade is None or not trade.piece_pending:
            return False
        is_latest = client_id == close_id(engine.context(self._symbol), trade, trade.exit_attempt)
        return is_latest and not self._live.exchange.has_left(client_id)

    async def _answer(self, intent: Intent, call: asyncio.Task[Outcome]) -> Outcome | None:
        """What it was answered; None when that is not waited for any longer, or when it failed."""
        clock, looking = self._live.clock, self._looking
        began_s = clock.monotonic()
        patience_s = ENTRY_UNANSWERED_S if isinstance(intent, PlaceEntry) else UNANSWERED_S
        ripe_s, is_ripe = began_s + patience_s, False
        while not call.done():
            if isinstance(intent, PlaceEntry) and looking.is_wanted:
                ripe_s = min(ripe_s, clock.monotonic() + NUDGED_S)
            if not is_ripe and clock.monotonic() >= ripe_s:
                is_ripe = True
                await self._has_no_answer(intent)
            if self._inbox.has_steps() and (is_ripe or self._inbox.is_naked):
                return None
            if is_ripe and looking.is_due():
                await looking.look(until=call)
            elif looking.search_is_due():
                await looking.cover_unresolved()
            else:
                await self._inbox.woken(looking.due_in_s() if is_ripe else ripe_s - clock.monotonic())
        return call.result() if call.exception() is None else None

    async def _has_no_answer(self, intent: Intent) -> None:
        """So far. A close is looked for at once, and may have to leave again while its first call is under way."""
        if isinstance(intent, PlaceEntry):
            self._looking.search("", intent, under_way=True)
        elif isinstance(intent, PlaceStop | ClosePosition):
            self._looking.is_wanted = True
        if isinstance(intent, ClosePosition) and self._inbox.is_naked:
            await self._inbox.decide(self._event(intent, Unknown("no answer yet")))

    def _event(self, intent: Intent, outcome: Outcome, prices: MarkPrice | None = None) -> IntentEnded:
        at_ms, real_ms = self._live.clock.now_ms(), self._live.clock.real_ms()
        return IntentEnded(
            symbol=self._symbol, at_ms=at_ms, intent=intent, outcome=outcome, prices=prices, real_ms=real_ms
        )

    async def _ended(self, name: str, intent: Intent, outcome: Outcome, trade_id: str | None) -> None:
        """Write an outcome down, and let the engine judge it."""
        settled: Settled | None = (name, intent, outcome) if name else None
        needs_price = isinstance(intent, ClosePosition) and _is_refused(outcome, FORM_REFUSED)
        if isinstance(outcome, Refused):
            self._live.watch.after_refusal(outcome.reason)
            await self._live.symbols.after_refusal(self._symbol, outcome.reason)
        if name and (isinstance(intent, EnsureSetup) or needs_price):  # what follows may be interrupted
            await self._inbox.settle(name, intent, outcome)
            settled = None
        if isinstance(intent, EnsureSetup):
            event: SymbolEvent = await self._setup_ended(outcome)
            trade = self._live.engine.record(self._symbol).trade
            if trade is None or trade.id != trade_id:
                return  # the signal that it was for is gone
        else:
            event = self._event(intent, outcome, await self._prices() if needs_price else None)
        await self._inbox.decide(event, settled)
        if isinstance(intent, PlaceEntry):
            self._looking.entry_ended(name, intent, outcome)

    async def _setup_ended(self, outcome: Outcome) -> SetupEnded:
        """With what the symbol costs now, and what is open in it by somebody else's hand, both as of one moment; and
        whether its rules are still those that the entry was planned with (R65)."""
        unready = await self._live.symbols.before_entry(self._symbol) if isinstance(outcome, Confirmed) else ""
        prices, held, book = await asyncio.gather(self._prices(), self._held(), self._book())
        if prices is None or held is None or book is None:
            unread = Unknown("price, book or position could not be read")
            outcome, prices, held = unread, no_price(self._symbol), ZERO
        at_ms = self._live.clock.now_ms()
        return SetupEnded(
            symbol=self._symbol,
            at_ms=at_ms,
            outcome=outcome,
            prices=prices,
            open_quantity=held,
            unready=unready,
            means=None if book is None else Means(room=self._live.exchange.room(), book=book),
        )

    async def _book(self) -> Book | None:
        """As deep as the trade is large: the rest of it says nothing, and would be written down."""
        trade = self._live.engine.record(self._symbol).trade
        try:
            async with asyncio.timeout(PRICE_S_MAX):
                found = await self._live.exchange.book(self._symbol)
        except TimeoutError:
            return None
        except ExchangeError as error:
            self._live.on_trouble(self._symbol, error)
            return None
        return found if trade is None else found.down_to(trade.quantity)

    async def _held(self) -> Decimal | None:
        """Any leg counts: those of an account in hedge mode, set so while we run, could add up to nothing."""
        try:
            positions = await self._live.exchange.positions(self._symbol)
        except ExchangeError as error:
            self._live.on_trouble(self._symbol, error)
            return None
        held = (position.quantity for position in positions if position.symbol == self._symbol)
        return next((quantity for quantity in held if quantity != 0), ZERO)

    async def _prices(self) -> MarkPrice | None:
        try:
            async with asyncio.timeout(PRICE_S_MAX):
                return await self._live.exchange.mark_price(self._symbol)
        except TimeoutError:
            return None
        except ExchangeError as error:
            self._live.on_trouble(self._symbol, error)
            return None


def _is_refused(outcome: Outcome, reasons: frozenset[RefusalReason]) -> bool:
    return isinstance(outcome, Refused) and outcome.reason in reasons


def no_price(symbol: str) -> MarkPrice:
    return MarkPrice(symbol=symbol, mark_price=ZERO, last_price=ZERO, time_ms=0)
