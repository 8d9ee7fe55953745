"""Looks at one symbol: when, how, and what is remembered of them. What they show is for the engine to judge.

While a position has no stop a look is one round trip, another one is begun when its answer is late, and none is waited
for as soon as something is to be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Protocol

import structlog

from exchange.errors import ExchangeError
from exchange.types import LookRequest, SymbolSnapshot, Unknown
from fsm.core.model.events import Commanded, DeadlinePassed, EntryShownAbsent, SymbolEvent, SymbolObserved
from fsm.core.model.intents import Intent, PlaceEntry
from fsm.core.model.records import State, SymbolRecord
from fsm.core.observation import TradeView, look_request, observe
from fsm.core.retry_backoff import PAUSE_NAKED_MS
from fsm.journal.writer import position_mark
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.entry_search import EntrySearch, Finding
from fsm.live.trading.errands import Errands
from fsm.live.trading.protection_timer import ProtectionTimer, StopSeen, is_unsettled, stop_seen
from fsm.live.trading.read_back import read_back
from store.rows import PositionMark

log = structlog.get_logger("fsm.lane")

LOOK_SOON_S = 0.25
"""First pause before an unsettled symbol is looked at again; it doubles up to the reconcile interval."""

NAKED_PAUSE_S_MAX = 0.5
"""While a position has no stop, or an entry no answer, no pause is longer than this."""

READING_LATE_S = 1.0
"""A naked position is read once more when the answer is late by so much; the first one counts."""

READINGS_MAX = 3
"""The first may be answered late, the newest meets a route that is back: the one between makes room for the next."""

SUSPENDED_S_MIN = 0.25

Reading = asyncio.Task[SymbolSnapshot]
Overtaken = Callable[[], bool]


class Inbox(Protocol):
    """What a look needs of its worker."""

    def has_steps(self) -> bool: ...

    def wake(self) -> None: ...

    async def woken(self, seconds: float | None) -> None:
        """Wait until something may have changed here, at most so long."""
        ...

    def tell_naked(self) -> None:
        """Who orders requests is to know whether this symbol goes first."""
        ...

    async def decide(self, event: SymbolEvent, *, evidence_s: float | None = None) -> None: ...

    async def settle(self, name: str, intent: Intent, outcome: None) -> None: ...

    def looked(self, view: TradeView | None) -> None:
        """A look was judged; ``sight`` is that of the trade, if there is one."""
        ...


class Looking:
    """One for each symbol, one look at a time. ``stop_seen`` is the stop of the present position as a look last showed
    it, ``mark`` what that position was worth. ``looked_s`` is when the newest look that was judged began,
    ``is_waiting`` says that what it showed is looked at again soon."""

    def __init__(self, symbol: str, live: LiveContext, timer: ProtectionTimer, inbox: Inbox, errands: Errands) -> None:
        self._symbol = symbol
        self._live = live
        self._timer = timer
        self._inbox = inbox
        self._errands = errands
        self.stop_seen: StopSeen | None = None
        self.mark: PositionMark | None = None
        self.looked_s = float("-inf")
        self.is_waiting = False
        self.is_wanted = False
        self._next_s: float | None = None
        self._pace_s = LOOK_SOON_S
        self._searches: dict[str, EntrySearch] = {}

    @property
    def _record(self) -> SymbolRecord:
        return self._live.engine.record(self._symbol)

    def is_due(self) -> bool:
        return self.is_wanted or (self._next_s is not None and self._live.clock.monotonic() >= self._next_s)

    def search_is_due(self) -> bool:
        """Some entry has been looked for as long as a position may be without a stop."""
        now_s, deadline_ms = self._live.clock.monotonic(), self._live.deadline_ms
        return any(
            (left := search.due_in_s(now_s, deadline_ms)) is not None and left <= 0
            for search in self._searches.values()
        )

    def due_in_s(self) -> float | None:
        """Seconds until the next look, or until the search for an entry has taken too long; None: neither."""
        now_s, deadline_ms = self._live.clock.monotonic(), self._live.deadline_ms
        ends = [search.due_in_s(now_s, deadline_ms) for search in self._searches.values()]
        ends.append(None if self._next_s is None else self._next_s - now_s)
        return min((end for end in ends if end is not None), default=None)

    def decided(self) -> None:
        """What was decided while a position has no stop is looked after just when the next try may leave."""
        if self._timer.is_naked:
            self._pace_s = PAUSE_NAKED_MS / 1000

    # --- one look -----------------------------------------------------------------------------
    async def look(self, in_haste: bool = False, until: asyncio.Task[object] | None = None) -> None:
        """Look once, and judge it unless something was decided meanwhile, or ``until`` has ended: then look again.

        A look that fails is taken again later.
        """
        record, context = self._record, self._live.engine.context(self._symbol)
        self.is_wanted = False
        self._inbox.tell_naked()
        began_real_ms = self._live.clock.real_ms()

        def is_overtaken() -> bool:
            is_ended = until is not None and until.done()
            return is_ended or self._inbox.has_steps() or self._record is not record

        try:
            found = await self._read(record, look_request(record, context), in_haste, is_overtaken)
        except ExchangeError as error:
            self.decided()  # the client has been patient already
            self.later()
            self._live.on_trouble(self._symbol, error)
            await self.cover_unresolved()
            return
        if found is None or is_overtaken():
            self.is_wanted = True
            return
        since_s, snapshot = found
        await self._decide(record, since_s, self._live.on_trial.left_out(snapshot, since_s), began_real_ms)

    async def _read(
        self, record: SymbolRecord, request: LookRequest, in_haste: bool, is_overtaken: Overtaken
    ) -> tuple[float, SymbolSnapshot] | None:
        """When the reading began, and what it showed; None when something is to be done first. Raises ExchangeError.

        One in haste leaves out what says how a position ended, so where none is left it is taken again in full.
        """
        hasty = self.is_hasty() or (in_haste and request.income_start_ms is None)
        found = await self._first_of_readings(lambda: self._reading(request, hasty, whole=not in_haste), is_overtaken)
        trade = record.trade
        held = found is not None and found[1].position is not None and found[1].position.quantity != 0
        if not hasty or found is None or held or trade is None or trade.first_fill_ms is None:
            return found
        return await self._first_of_readings(lambda: self._reading(request, False), is_overtaken)

    async def _first_of_readings(
        self, begin: Callable[[], Reading], is_overtaken: Overtaken
    ) -> tuple[float, SymbolSnapshot] | None:
        clock, readings = self._live.clock, dict[Reading, float]()
        began_s = float("-inf")
        failed: ExchangeError | None = None
        try:
            while not is_overtaken():
                now_s = clock.monotonic()
                if not readings or (self.is_hasty() and now_s >= began_s + READING_LATE_S):
                    if len(readings) >= READINGS_MAX:
                        _give_up_second(readings)
                    began_s = now_s
                    readings[begin()] = began_s
                await self._inbox.woken(READING_LATE_S)
                suspended_s = clock.monotonic() - now_s - READING_LATE_S
                if suspended_s > SUSPENDED_S_MIN:  # nobody ran: what was read then is no older for it
                    readings = {reading: since_s + suspended_s for reading, since_s in readings.items()}
                for reading in [each for each in readings if each.done()]:
                    since_s = readings.pop(reading)
                    try:
                        return since_s, reading.result()
                    except ExchangeError as error:
                        failed = error
                if failed is not None and not readings:
                    raise failed
            return None
        finally:
            for reading in readings:
                self._errands.let_go(reading)

    def _reading(self, request: LookRequest, hasty: bool, *, whole: bool = True) -> Reading:
        exchange, symbol = self._live.exchange, self._symbol
        if hasty:
            reads = read_back(exchange, symbol, request, self._live.clock.now_ms(), whole=whole)
        else:
            reads = exchange.look(symbol, request)
        reading = asyncio.create_task(reads)
        reading.add_done_callback(lambda done: self._inbox.wake())
        return reading

    def is_hasty(self) -> bool:
        """A position has no stop, or may be open without one."""
        trade = self._record.trade
        unanswered = trade is not None and trade.first_fill_ms is None and trade.entry.client_id in self._searches
        return self._timer.is_naked or unanswered

    async def _decide(self, record: SymbolRecord, began_s: float, snapshot: SymbolSnapshot, began_real_ms: int) -> None:
        live = self._live
        now_s, context = live.clock.monotonic(), live.engine.context(self._symbol)
        event = SymbolObserved(
            symbol=self._symbol,
            at_ms=live.clock.now_ms(),
            snapshot=snapshot,
            persisted=self._timer.persists(record, snapshot, context, now_s),
            real_ms=live.clock.real_ms(),
        )
        await self._inbox.decide(event, evidence_s=began_s)
        for search in list(self._searches.values()):
            await self._judge_search(search, snapshot, now_s)
        trade = self._record.trade
        view = None if trade is None else observe(trade, snapshot, live.engine.context(self._symbol))
        seen = stop_seen(self._record, view, began_real_ms)
        if seen is not None or trade is None:
            self.stop_seen = seen
        self._plan_next(record, snapshot, view, now_s - began_s)
        # what the position is worth, for readers; nothing depends on it
        position = None if trade is None else snapshot.position
        self.mark = None if position is None else position_mark(position)
        self.looked_s = began_s
        self._inbox.looked(view)

    def _plan_next(
        self, before: SymbolRecord, snapshot: SymbolSnapshot, view: TradeView | None, reading_s: float
    ) -> None:
        record = self._record
        took_ms = self._timer.looked(record, view, self._live.clock.monotonic())
        if took_ms is not None:
            log.info("stop_confirmed", symbol=self._symbol, reason="READ_BACK", took_ms=round(took_ms, 1))
            self._live.observer.protected(self._symbol, took_ms)
        if record is not before:
            self._pace_s = LOOK_SOON_S
        self.is_waiting = bool(self._searches) or is_unsettled(record, snapshot, view)
        if self.is_waiting:
            self.later(reading_s)
        elif record.trade is not None or record.quarantine is not None or record.released is not None:
            self._pace_s = LOOK_SOON_S
            self._next_s = self._live.clock.monotonic() + self._live.reconcile_s
        else:
            self._next_s = None

    def later(self, reading_s: float = 0.0) -> None:
        """Soon, and less soon each time that it does not help; no later than what was seen counts as lasting.
        ``reading_s`` is how long the last look took: while nothing protects, the next one is begun so early that it
        has been read when the next try may leave. A look that an event asks for puts no timed one off."""
        now_s, pause_s, planned_s = self._live.clock.monotonic(), self._pace_s, self._next_s
        if (lasting_s := self._timer.lasting_in_s(now_s)) > 0:
            pause_s = min(pause_s, lasting_s)
        if self.is_hasty():
            pause_s = max(min(pause_s, NAKED_PAUSE_S_MAX, self._try_in_s() - reading_s), 0.0)
        if planned_s is not None and planned_s > now_s:
            self._next_s = min(planned_s, now_s + pause_s)
            return
        self._next_s = now_s + pause_s
        self._pace_s = min(self._pace_s * 2, self._live.reconcile_s)

    def _try_in_s(self) -> float:
        """Seconds until what was tried last may be tried again; no end where that is so already."""
        tried = self._record.tried
        since_s = inf if tried is None else (self._live.clock.real_ms() - tried.real_ms) / 1000
        return NAKED_PAUSE_S_MAX - since_s if 0 <= since_s < NAKED_PAUSE_S_MAX else inf

    # --- entries of unknown fate --------------------------------------------------------------
    def search(self, name: str, intent: PlaceEntry, *, under_way: bool = False) -> None:
        """Find out what became of an entry. Beside whatever else is looked for: each entry has an end of its own."""
        now_s, known = self._live.clock.monotonic(), self._searches.get(intent.request.client_id)
        if known is not None:
            known.ended_unheard(name, now_s)
        else:
            self._searches[intent.request.client_id] = EntrySearch(name, intent, now_s, under_way=under_way)
        self.is_wanted = True

    def entry_ended(self, name: str, intent: PlaceEntry, outcome: object) -> None:
        """An answer that shows fills has said all; otherwise look what became of the entry."""
        if isinstance(outcome, Unknown):
            self.search(name, intent)
        else:
            self._searches.pop(intent.request.client_id, None)
        trade = self._record.trade
        if self._record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None:
            self.is_wanted = True

    async def _judge_search(self, search: EntrySearch, snapshot: SymbolSnapshot, now_s: float) -> None:
        trade = self._record.trade
        finding = search.judge(snapshot, now_s)
        settled = trade is None or trade.entry.client_id != search.client_id or trade.first_fill_ms is not None
        at_ms = self._live.clock.now_ms()
        if finding is Finding.FOUND or settled:
            self._searches.pop(search.client_id, None)
            if search.name:
                self._live.journal.resolve(search.name, search.order_in(snapshot), at_ms)
        elif finding is Finding.ABSENT:
            self._searches.pop(search.client_id, None)
            if search.name:
                await self._inbox.settle(search.name, search.intent, None)
            await self._inbox.decide(EntryShownAbsent(symbol=self._symbol, at_ms=at_ms, client_id=search.client_id))
        elif finding is Finding.OVERDUE and self._record.quarantine is None:
            await self.cover_unresolved()
            cause = "UNRESOLVED_ORDER"
            await self._inbox.decide(Commanded(symbol=self._symbol, at_ms=at_ms, command="quarantine", cause=cause))

    async def cover_unresolved(self) -> None:
        """Nobody knows whether the entry filled, and the deadline is over: send its stop, which needs a position."""
        now_s, live = self._live.clock.monotonic(), self._live
        due = [search for search in self._searches.values() if search.is_due(now_s, live.deadline_ms)]
        if due:
            await self._inbox.decide(DeadlinePassed(symbol=self._symbol, at_ms=live.clock.now_ms()))


def _give_up_second(readings: dict[Reading, float]) -> None:
    second = list(readings)[1]
    del readings[second]
    second.cancel()
