"""One symbol's inbox: carries its steps out in order, looks when something may have changed, keeps its deadline.

Steps go before looks. A look counts only if nothing was decided while it was under way. The protection deadline
interrupts whatever is being waited for; what has left it leaves alone, and a close it only hurries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from contextlib import nullcontext
from typing import Any

import structlog

from exchange.types import Confirmed, Outcome
from fsm.core.model.decision import Step
from fsm.core.model.events import Commanded, DeadlinePassed, SymbolEvent
from fsm.core.model.intents import ClosePosition, Intent, PlaceEntry, PlaceStop
from fsm.core.model.records import State, SymbolRecord
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView
from fsm.core.order_requests import planned_stop
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.errands import Errands
from fsm.live.trading.looking import Looking
from fsm.live.trading.protection_timer import UNPROTECTED_STATES, ProtectionTimer
from fsm.live.trading.step_runner import Settled, StepRunner
from store.errors import JournalError

log = structlog.get_logger("fsm.lane")

COMMIT_AGAIN_S = (0.05, 0.2, 0.5, 1.0)
"""Pauses before a failed commit is tried again: what it was to record has not happened, so waiting loses nothing."""

TICK_S = 0.25
"""While a stop is owed nothing is waited for longer: waking later than that means that nobody ran at all."""


class SymbolWorker:
    """Run it as a task. JournalError, and nothing else, ends it: then no trading is possible.

    ``quiet`` is set while nothing is being done and nothing waits to be done at once.
    """

    def __init__(self, symbol: str, live: LiveContext) -> None:
        self.symbol = symbol
        self._live = live
        self._timer = ProtectionTimer(live.times)
        self._errands = Errands(self._errand_ended)
        self.looking = Looking(symbol, live, self._timer, self, self._errands)
        self._runner = StepRunner(symbol, live, self, self.looking, self._errands)
        self.quiet = asyncio.Event()
        self._steps: deque[Step] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_told_naked = False
        self._first: tuple[float, asyncio.Task[Outcome]] | None = None
        self._calm = asyncio.Event()
        if self.record.trade is None:
            self._calm.set()

    # --- from outside -------------------------------------------------------------------------
    def submit(self, steps: Iterable[Step], evidence_s: float | None = None) -> None:
        """Carry these committed steps out, after those that wait already; who watches hears of them then (R71).

        A close takes the place of everything that waits. ``evidence_s`` is when what they are about was seen.
        """
        committed = list(steps)
        for step in committed:
            if step.trigger is Trigger.ADOPT or (step.trigger is Trigger.FILL and step.reason == "FIRST_FILL"):
                seen_s = self._live.clock.monotonic() if evidence_s is None else evidence_s
                self._timer.filled(self._entry_id(), seen_s)
            if step.trigger is Trigger.RELEASE and step.reason == "RELEASED":
                self._drop_waiting(closes=True)
                self._runner.hold_back()
            elif _closes(step) and step.dest is not State.PROTECTED:
                self._drop_waiting()
            if step.intents:
                self._steps.append(step)
        if committed:
            self.looking.decided()
            self.tell_naked()
            self._wake_up()
        for step in committed:
            self._live.on_step(step)

    def request_check(self) -> None:
        """Something may have changed at the exchange."""
        self.looking.is_wanted = True
        self._wake_up()

    def heard_fill(self, client_id: str) -> None:
        """The stream tells that something of this order has filled. If it is the entry whose answer is outstanding,
        the deadline runs from now on, and its stop leaves: no answer that is late can keep it (R58)."""
        trade = self.record.trade
        if self.record.state is not State.ENTERING or trade is None or trade.first_fill_ms is not None:
            return
        if trade.entry.client_id == client_id and self._timer.heard(client_id, self._live.clock.monotonic()):
            self._runner.send_ahead(self._planned())

    def search(self, name: str, intent: PlaceEntry) -> None:
        """Find out what became of an entry that may or may not have been sent."""
        self.looking.search(name, intent)
        self._wake_up()

    def cover_first(self) -> None:
        """At a start: nobody has seen the stop of what is open here. It leaves before anything is read; nothing is
        concluded from its answer, as the journal may turn out to be an older one."""
        self._live.exchange.set_naked(self.symbol, True)
        self._is_told_naked = True
        self._first = (self._live.clock.monotonic(), asyncio.create_task(self._live.executor.do(self._planned())))
        self._errands.let_go(self._first[1])

    def cover(self) -> None:
        """The journal is the newest one: now its answer counts. Where it rests already, this one is refused. The time
        that reading took counts for the deadline unless the first one was accepted."""
        since_s, first = self._first or (self._live.clock.monotonic(), None)
        is_accepted = first is not None and first.done() and isinstance(first.result(), Confirmed)
        self._timer.found_naked(self._live.clock.monotonic() if is_accepted else since_s)
        self.tell_naked()
        self._runner.send("", self._planned())
        self.request_check()

    def handle(
        self, event: SymbolEvent, settled: Settled | None = None, *, evidence_s: float | None = None
    ) -> list[Step]:
        """Let the engine judge an event now; its steps wait in this worker. Raises Rejected and JournalError.

        What became of the intent that the event is about is written in the same commit.
        """
        began_s = self._live.clock.monotonic()
        with nullcontext() if settled is None else self._live.journal.settling(*settled, event.at_ms):
            steps = self._live.engine.handle(event, equity_age_ms=self._live.freshness.age_ms())
        held_up_s = self._live.clock.monotonic() - began_s  # by the commit: nobody ran, so the deadline waits with it
        self.submit(steps, None if evidence_s is None else evidence_s + held_up_s)
        return steps

    async def wait_protected(self) -> None:
        """Wait until a look has shown that no stop is owed here."""
        await self._calm.wait()

    @property
    def record(self) -> SymbolRecord:
        return self._live.engine.record(self.symbol)

    # --- what its parts ask -------------------------------------------------------------------
    @property
    def is_naked(self) -> bool:
        return self._timer.is_naked

    @property
    def naked_since_s(self) -> float | None:
        return self._timer.naked_since_s

    def has_steps(self) -> bool:
        return bool(self._steps)

    def wants(self, intent: PlaceStop) -> bool:
        """Until it was seen to rest, the deadline has passed, or another stop or a close has taken its place."""
        return self._is_planned(intent) and not self._is_settled()

    def has_seen(self, intent: PlaceStop) -> bool:
        return self._is_planned(intent) and self._is_settled()

    def _entry_id(self) -> str:
        trade = self.record.trade
        return "" if trade is None else trade.entry.client_id

    def _planned(self) -> PlaceStop:
        trade = self.record.trade
        assert trade is not None
        return planned_stop(trade, self._live.engine.context(self.symbol))

    def _is_planned(self, intent: PlaceStop) -> bool:
        trade = self.record.trade
        if trade is None or self.record.state not in UNPROTECTED_STATES:
            return False
        return planned_stop(trade, self._live.engine.context(self.symbol)) == intent

    def _is_settled(self) -> bool:
        """The trade's stop was seen to rest, and replaces none."""
        trade = self.record.trade
        owed = trade is None or trade.first_fill_ms is None or trade.uncovered_ms is not None
        return not (owed or self.is_naked or (trade is not None and trade.stop_before is not None))

    def wake(self) -> None:
        self._wake.set()

    async def woken(self, seconds: float | None) -> None:
        """Wait until something may have changed here, at most so long."""
        try:
            async with asyncio.timeout(None if seconds is None else max(seconds, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def looked(self, view: TradeView | None) -> None:
        """Whoever waits for a covered position is told; a stop that is not shown is sent again, which cannot double
        it. How it ended, and what follows from that, is the engine's to judge."""
        if self._timer.is_naked:
            self._calm.clear()
        else:
            self._calm.set()
        self.tell_naked()
        trade = self.record.trade
        if trade is None or trade.stop is None or view is None or view.position <= 0 or view.stop is not None:
            return
        stop = planned_stop(trade, self._live.engine.context(self.symbol))
        if self.is_naked and not self._steps and self.wants(stop) and not self._runner.stop_was_sent(stop):
            self._runner.send("", stop)

    def tell_naked(self) -> None:
        """Who orders requests lets this symbol go first; who runs when nobody else does knows what it owes."""
        self._live.lifeline.owe(self.symbol, self._owed())
        naked = self.looking.is_hasty()
        if naked != self._is_told_naked:
            self._is_told_naked = naked
            self._live.exchange.set_naked(self.symbol, naked)

    def _owed(self) -> PlaceStop | None:
        """The stop of what is open, or may be open by now, and was not seen to be covered."""
        trade = self.record.trade
        if trade is None or self.record.state is State.SIGNALLED:
            return None
        is_out = self.record.state is State.ENTERING and trade.first_fill_ms is None
        is_owed = is_out or self.is_naked
        return planned_stop(trade, self._live.engine.context(self.symbol)) if is_owed else None

    # --- the loop -----------------------------------------------------------------------------
    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._one_thing()
        finally:
            self._errands.cancel()

    async def _one_thing(self) -> None:
        await self._keep_deadline()
        if self._errands.failures:
            await self._failed(self._errands.failures.popleft())
        elif self._steps:
            await self._guarded(self._runner.run(self._steps.popleft()))
        elif self.looking.is_due():
            self.looking.is_wanted = False  # also where looking fails
            await self._guarded(self.looking.look())
        elif self.looking.search_is_due():
            await self._guarded(self.looking.cover_unresolved())
        elif self._runner.unsent:
            await self._settle_unsent()
        else:
            await self._rest()

    async def _rest(self) -> None:
        """Wait for something to do, for the next look, or for the deadline."""
        if self._errands.is_idle:
            self.quiet.set()
        await self._pass(self.woken(self._within_s(self.looking.due_in_s())))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do one piece of work; the deadline may interrupt it, and a fault of ours quarantines the symbol (R53)."""
        task = self._task = asyncio.create_task(work)
        try:
            while not task.done():
                await self._pass(asyncio.wait({task}, timeout=self._within_s(None)))
                if not task.done() and await self._keep_deadline():
                    return
            if not task.cancelled():
                task.result()
        except JournalError:
            raise
        except Exception as error:
            await self._quarantine(error)
        finally:
            self._task = None
            task.cancel()
            self._runner.give_up()

    def _within_s(self, seconds: float | None) -> float | None:
        left_s = self._left_s()
        ends = [end for end in (seconds, None if left_s is None else min(left_s, TICK_S)) if end is not None]
        return max(min(ends), 0.0) if ends else None

    async def _pass(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait; while a stop is owed it is noticed if nobody ran meanwhile (a stopped process, a stalled commit)."""
        began_s, was_naked = self._live.clock.monotonic(), self.is_naked
        await waiting
        late_s = self._live.clock.monotonic() - began_s - TICK_S
        if was_naked and late_s > TICK_S:
            self._timer.suspended(late_s)

    # --- the deadline -------------------------------------------------------------------------
    def _left_s(self) -> float | None:
        """Seconds to the protection deadline; it has nothing to say once the way out is taken."""
        if self.record.state not in UNPROTECTED_STATES:
            return None
        return self._timer.left_s(self._live.clock.monotonic(), self._live.deadline_ms)

    async def _keep_deadline(self) -> bool:
        """Flatten when the protection deadline has passed: nothing that waits is sent before the close."""
        left_s = self._left_s()
        if left_s is None or left_s > 0:
            return False
        self._timer.gave_up()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._runner.give_up()
        log.error("protection_late", symbol=self.symbol, reason="PROTECTION_DEADLINE")
        await self.decide(DeadlinePassed(symbol=self.symbol, at_ms=self._live.clock.now_ms()))
        engine = self._live.engine
        self._live.overdue([engine.record(symbol) for symbol in engine.active()])
        self.request_check()
        return True

    def _drop_waiting(self, *, closes: bool = False) -> None:
        """A close takes the place of what waits, except of another close; a hand-over takes it of ``closes``, too."""
        kept = deque(step for step in self._steps if _closes(step) and not closes)
        for step in self._steps:
            if step not in kept:
                self._runner.unsent.extend(step.intents)
        self._steps = kept

    async def _settle_unsent(self) -> None:
        name, intent = self._runner.unsent.popleft()
        await self.settle(name, intent, None)

    # --- faults of ours -----------------------------------------------------------------------
    def _errand_ended(self) -> None:
        if self._errands.failures and self._task is not None:
            self._task.cancel()
        self._wake_up()

    async def _failed(self, error: BaseException) -> None:
        if isinstance(error, JournalError) or not isinstance(error, Exception):
            raise error
        await self._quarantine(error)

    async def _quarantine(self, error: Exception) -> None:
        """Our own fault, outside of a decision: no more entries here, protection goes on, the others run."""
        log.error("handler_failed", symbol=self.symbol, reason=type(error).__name__, exc_info=error)
        at_ms = self._live.clock.now_ms()
        self.looking.later()
        self._live.journal.error(at_ms, "lane", f"{type(error).__name__}: {error}", symbol=self.symbol)
        await self.quarantine(error)
        await self.looking.cover_unresolved()

    async def quarantine(self, error: Exception) -> None:
        """No more entries here until the operator has looked. What cannot even be judged stays as it is (R53)."""
        event = Commanded(
            symbol=self.symbol,
            at_ms=self._live.clock.now_ms(),
            command="quarantine",
            cause=f"EXCEPTION {type(error).__name__}",
        )
        try:
            await self.decide(event)
        except JournalError:
            raise
        except Exception as second:
            log.error("not_quarantined", symbol=self.symbol, reason=type(second).__name__, exc_info=second)

    # --- writing ------------------------------------------------------------------------------
    async def decide(
        self, event: SymbolEvent, settled: Settled | None = None, *, evidence_s: float | None = None
    ) -> None:
        """Let the engine judge; a commit that failed is tried again."""
        evidence_s = self._live.clock.monotonic() if evidence_s is None else evidence_s
        for pause_s in COMMIT_AGAIN_S:
            try:
                self.handle(event, settled, evidence_s=evidence_s)
                return
            except JournalError as error:
                log.warning("commit_failed", symbol=self.symbol, reason="JOURNAL", error=str(error))
            await self._live.clock.sleep(pause_s)
        self.handle(event, settled, evidence_s=evidence_s)

    async def settle(self, name: str, intent: Intent, outcome: Outcome | None) -> None:
        """Write what became of an intent; a commit that failed is tried again."""
        for pause_s in COMMIT_AGAIN_S:
            try:
                self._live.journal.settle(name, intent, outcome, self._live.clock.now_ms())
                return
            except JournalError as error:
                log.warning("commit_failed", symbol=self.symbol, reason="JOURNAL", error=str(error))
            await self._live.clock.sleep(pause_s)
        self._live.journal.settle(name, intent, outcome, self._live.clock.now_ms())

    def _wake_up(self) -> None:
        self.quiet.clear()
        self._wake.set()


def _closes(step: Step) -> bool:
    return any(isinstance(intent, ClosePosition) for _, intent in step.intents)
