"""One symbol's inbox: carries its steps out in order, looks when something may have changed, keeps its deadline.

Steps go before looks. A look counts only if nothing was decided while it was under way. The protection deadline
interrupts whatever is being waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from contextlib import nullcontext
from typing import Any

import structlog

from exchange.errors import ExchangeError
from exchange.types import Outcome, SymbolSnapshot, Unknown
from fsm.core.events import Commanded, DeadlinePassed, EntryShownAbsent, SymbolEvent, SymbolObserved
from fsm.core.intents import Intent, PlaceEntry
from fsm.core.move import Step
from fsm.core.records import State, SymbolRecord
from fsm.core.sight import Sight, look_request, see
from fsm.core.states import Trigger
from fsm.live.books import position_mark
from fsm.live.carrying import Carrying, Settled
from fsm.live.entry_search import EntrySearch, Finding
from fsm.live.read_back import read_back
from fsm.live.shared import Shared
from fsm.live.watch import StopSeen, Watch, is_unsettled, stop_seen
from store.errors import JournalError
from store.rows import PositionMark

log = structlog.get_logger("fsm.lane")

LOOK_SOON_S = 0.25
"""First pause before an unsettled symbol is looked at again; it doubles up to the reconcile interval."""

COMMIT_AGAIN_S = (0.05, 0.2, 0.5, 1.0)
"""Pauses before a failed commit is tried again: what it was to record has not happened, so waiting loses nothing."""


class Lane:
    """Run it as a task. JournalError, and nothing else, ends it: then no trading is possible.

    ``quiet`` is set while nothing is being done and nothing waits to be done at once. ``stop_seen`` is the stop of the
    present position as a look last showed it, ``mark`` what that position was worth. ``looked_s`` is when the newest
    look that was judged began, ``is_waiting`` says that what it showed is looked at again soon.
    """

    def __init__(self, symbol: str, shared: Shared) -> None:
        self.symbol = symbol
        self._shared = shared
        self._watch = Watch(shared.times)
        self._carrying = Carrying(
            symbol, shared, settle=self._settle, judge=self._judge, look=self._look, entry_sent=self._entry_sent
        )
        self.quiet = asyncio.Event()
        self.stop_seen: StopSeen | None = None
        self.mark: PositionMark | None = None
        self.looked_s = float("-inf")
        self.is_waiting = False
        self._steps: deque[Step] = deque()
        self._look_wanted = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._next_look_s: float | None = None
        self._pace_s = LOOK_SOON_S
        self._evidence_s: float | None = None
        self._searches: dict[str, EntrySearch] = {}
        self._calm = asyncio.Event()
        if self.record.trade is None:
            self._calm.set()

    # --- from outside -------------------------------------------------------------------------
    def submit(self, steps: Iterable[Step]) -> None:
        """Carry these committed steps out, after those that wait already; who watches hears of them then (R71)."""
        committed = list(steps)
        for step in committed:
            if step.trigger is Trigger.ADOPT or (step.trigger is Trigger.FILL and step.reason == "FIRST_FILL"):
                now_s = self._shared.clock.monotonic()
                self._watch.filled(now_s if self._evidence_s is None else self._evidence_s)
            self._steps.append(step)
            self._stir()
        for step in committed:
            self._shared.on_step(step)

    def nudge(self) -> None:
        """Something may have changed at the exchange."""
        self._look_wanted = True
        self._stir()

    def _stir(self) -> None:
        self.quiet.clear()
        self._wake.set()

    def search(self, name: str, intent: PlaceEntry) -> None:
        """Find out what became of an entry that may or may not have been sent."""
        self._look_for(name, intent)
        self.nudge()

    def _look_for(self, name: str, intent: PlaceEntry) -> None:
        """Beside whatever else is being looked for: each entry has an end of its own."""
        self._searches[intent.request.client_id] = EntrySearch(name, intent, self._shared.clock.monotonic())

    def tell(self, event: SymbolEvent, settled: Settled | None = None) -> list[Step]:
        """Let the engine judge an event now; its steps wait in this lane. Raises Rejected and JournalError.

        What became of the intent that the event is about is written in the same commit.
        """
        with nullcontext() if settled is None else self._shared.books.settling(*settled, event.at_ms):
            steps = self._shared.engine.handle(event, equity_age_ms=self._shared.freshness.age_ms())
        self.submit(steps)
        return steps

    async def covered(self) -> None:
        """Wait until a look has shown that no stop is owed here."""
        await self._calm.wait()

    @property
    def record(self) -> SymbolRecord:
        return self._shared.engine.record(self.symbol)

    # --- the loop -----------------------------------------------------------------------------
    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._keep_deadline()
            if self._steps:
                await self._guarded(self._carrying.carry(self._steps.popleft()))
            elif self._look_wanted or self._look_is_due():
                self._look_wanted = False
                await self._guarded(self._look())
            else:
                await self._rest()

    def _look_is_due(self) -> bool:
        return self._next_look_s is not None and self._shared.clock.monotonic() >= self._next_look_s

    async def _rest(self) -> None:
        """Wait for something to do, for the next look, or for the deadline."""
        self._wake.clear()
        now_s = self._shared.clock.monotonic()
        left_s = self._watch.left_s(now_s, self._shared.deadline_ms)
        look_s = None if self._next_look_s is None else self._next_look_s - now_s
        ends = [max(end, 0.0) for end in (left_s, look_s) if end is not None]
        self.quiet.set()
        try:
            async with asyncio.timeout(min(ends) if ends else None):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do one piece of work; the deadline may interrupt it, and a fault of ours quarantines the symbol (R53)."""
        task = self._task = asyncio.create_task(work)
        try:
            while not task.done():
                left_s = self._watch.left_s(self._shared.clock.monotonic(), self._shared.deadline_ms)
                await asyncio.wait({task}, timeout=None if left_s is None else max(left_s, 0.0))
                if not task.done() and await self._keep_deadline():
                    return
            task.result()
        except JournalError:
            raise
        except Exception as error:
            await self._quarantine(error)
        finally:
            task.cancel()
            self._task = None

    async def _keep_deadline(self) -> bool:
        """Flatten when the protection deadline has passed; what was being waited for is given up."""
        left_s = self._watch.left_s(self._shared.clock.monotonic(), self._shared.deadline_ms)
        if left_s is None or left_s > 0:
            return False
        self._watch.gave_up()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._drop_all()
        log.error("protection_late", symbol=self.symbol, reason="PROTECTION_DEADLINE")
        await self._judge(DeadlinePassed(symbol=self.symbol, at_ms=self._shared.clock.now_ms()))
        self.nudge()
        return True

    async def _drop_all(self) -> None:
        """Whatever was to be done is superseded by the emergency close."""
        for name, intent, outcome in self._carrying.interrupted():
            await self._settle(name, intent, outcome)
        while self._steps:
            for name, intent in self._steps.popleft().intents:
                await self._settle(name, intent, None)

    async def _quarantine(self, error: Exception) -> None:
        """Our own fault, outside of a decision: no more entries here, protection goes on, the others run."""
        log.error("handler_failed", symbol=self.symbol, reason=type(error).__name__, exc_info=error)
        at_ms = self._shared.clock.now_ms()
        for name, intent, outcome in self._carrying.interrupted():
            await self._settle(name, intent, outcome)
        self._look_later()
        self._shared.books.error(at_ms, "lane", f"{type(error).__name__}: {error}", symbol=self.symbol)
        await self.hold(error)
        await self._cover_unresolved()

    async def hold(self, error: Exception) -> None:
        """No more entries here until the operator has looked. What cannot even be judged stays as it is (R53)."""
        event = Commanded(
            symbol=self.symbol,
            at_ms=self._shared.clock.now_ms(),
            command="quarantine",
            cause=f"EXCEPTION {type(error).__name__}",
        )
        try:
            await self._judge(event)
        except JournalError:
            raise
        except Exception as second:
            log.error("not_quarantined", symbol=self.symbol, reason=type(second).__name__, exc_info=second)

    # --- looking ------------------------------------------------------------------------------
    async def _look(self, in_haste: bool = False) -> None:
        """Look once, and judge it unless something was decided meanwhile. A look that fails is taken again later."""
        shared, record = self._shared, self.record
        setting = shared.engine.setting(self.symbol)
        self._look_wanted = False
        began_s, began_real_ms = shared.clock.monotonic(), shared.clock.real_ms()
        try:
            request = look_request(record, setting)
            if in_haste and request.income_start_ms is None:
                snapshot = await read_back(shared.exchange, self.symbol, request, shared.clock.now_ms())
            else:
                snapshot = await shared.exchange.look(self.symbol, request)
        except ExchangeError as error:
            self._look_later()
            shared.on_trouble(self.symbol, error)
            await self._cover_unresolved()
            return
        if self._steps or self.record is not record:
            self._look_wanted = True
            return
        self._evidence_s = began_s
        now_s = shared.clock.monotonic()
        persisted = self._watch.persists(record, snapshot, setting, now_s)
        at_ms, real_ms = shared.clock.now_ms(), shared.clock.real_ms()
        await self._judge(
            SymbolObserved(symbol=self.symbol, at_ms=at_ms, snapshot=snapshot, persisted=persisted, real_ms=real_ms)
        )
        for search in list(self._searches.values()):
            await self._judge_search(search, snapshot, now_s)
        self._evidence_s = None
        trade = self.record.trade
        sight = None if trade is None else see(trade, snapshot, shared.engine.setting(self.symbol))
        self._remember_stop(sight, began_real_ms)
        self._plan_next_look(record, snapshot, sight)
        self._mark(snapshot)
        self.looked_s = began_s

    def _remember_stop(self, sight: Sight | None, asked_real_ms: int) -> None:
        record = self.record
        seen = stop_seen(record, sight, asked_real_ms)
        if seen is not None or record.trade is None:
            self.stop_seen = seen

    def _mark(self, snapshot: SymbolSnapshot) -> None:
        """What the position is worth, for readers; nothing depends on it."""
        position = None if self.record.trade is None else snapshot.position
        self.mark = None if position is None else position_mark(position)

    def _plan_next_look(self, before: SymbolRecord, snapshot: SymbolSnapshot, sight: Sight | None) -> None:
        record = self.record
        took_ms = self._watch.looked(record, sight, self._shared.clock.monotonic())
        if took_ms is not None:
            log.info("stop_confirmed", symbol=self.symbol, reason="READ_BACK", took_ms=round(took_ms, 1))
            self._shared.audience.protected(self.symbol, took_ms)
        if self._watch.left_s(0.0, 0) is None:
            self._calm.set()
        else:
            self._calm.clear()
        if record is not before:
            self._pace_s = LOOK_SOON_S
        self.is_waiting = bool(self._searches) or is_unsettled(record, snapshot, sight)
        if self.is_waiting:
            self._look_later()
        elif record.trade is not None or record.quarantine is not None:
            self._pace_s = LOOK_SOON_S
            self._next_look_s = self._shared.clock.monotonic() + self._shared.reconcile_s
        else:
            self._next_look_s = None

    def _look_later(self) -> None:
        """Soon, and less soon each time that it does not help."""
        self._next_look_s = self._shared.clock.monotonic() + self._pace_s
        self._pace_s = min(self._pace_s * 2, self._shared.reconcile_s)

    async def _entry_sent(self, name: str, intent: PlaceEntry, outcome: Outcome) -> None:
        """An answer that shows fills has said all; otherwise look what became of the entry."""
        self._evidence_s = None
        if isinstance(outcome, Unknown):
            self._look_for(name, intent)
        trade = self.record.trade
        if self.record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None:
            await self._look()

    async def _judge_search(self, search: EntrySearch, snapshot: SymbolSnapshot, now_s: float) -> None:
        trade = self.record.trade
        finding = search.judge(snapshot, now_s)
        settled = trade is None or trade.entry.client_id != search.client_id or trade.first_fill_ms is not None
        at_ms = self._shared.clock.now_ms()
        if finding is Finding.FOUND or settled:
            self._searches.pop(search.client_id, None)
            if search.name:
                self._shared.books.resolve(search.name, search.order_in(snapshot), at_ms)
        elif finding is Finding.ABSENT:
            self._searches.pop(search.client_id, None)
            if search.name:
                await self._settle(search.name, search.intent, None)
            await self._judge(EntryShownAbsent(symbol=self.symbol, at_ms=at_ms, client_id=search.client_id))
        elif finding is Finding.OVERDUE and self.record.quarantine is None:
            await self._cover_unresolved()
            cause = "UNRESOLVED_ORDER"
            await self._judge(Commanded(symbol=self.symbol, at_ms=at_ms, command="quarantine", cause=cause))

    async def _cover_unresolved(self) -> None:
        """Nobody knows whether the entry filled, and the deadline is over: send its stop, which needs a position."""
        now_s, shared = self._shared.clock.monotonic(), self._shared
        due = [search for search in self._searches.values() if search.is_due(now_s, shared.deadline_ms)]
        if due:
            await self._judge(DeadlinePassed(symbol=self.symbol, at_ms=shared.clock.now_ms()))

    # --- writing ------------------------------------------------------------------------------
    async def _judge(self, event: SymbolEvent, settled: Settled | None = None) -> None:
        """Let the engine judge; a commit that failed is tried again."""
        if settled is not None and isinstance(settled[1], PlaceEntry):
            self._evidence_s = self._shared.clock.monotonic()
        for pause_s in COMMIT_AGAIN_S:
            try:
                self.tell(event, settled)
                return
            except JournalError as error:
                log.warning("commit_failed", symbol=self.symbol, reason="JOURNAL", error=str(error))
            await self._shared.clock.sleep(pause_s)
        self.tell(event, settled)

    async def _settle(self, name: str, intent: Intent, outcome: Outcome | None) -> None:
        for pause_s in COMMIT_AGAIN_S:
            try:
                self._shared.books.settle(name, intent, outcome, self._shared.clock.now_ms())
                return
            except JournalError as error:
                log.warning("commit_failed", symbol=self.symbol, reason="JOURNAL", error=str(error))
            await self._shared.clock.sleep(pause_s)
        self._shared.books.settle(name, intent, outcome, self._shared.clock.now_ms())
