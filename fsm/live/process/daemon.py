"""The daemon: brings the parts to life in the right order, keeps them alive, and ends them in order.

Start: lanes → recovery (what is open is protected first) → self-test → candles → equity → closes. On a wish to stop,
everything is simply cancelled: what is committed is on the disk, and open positions keep their stops at the exchange.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

import structlog

from exchange.errors import CandlesMissing, ExchangeError, MalformedReply, Refusal
from exchange.event_queue import EventQueue
from exchange.port import EventStream
from fsm.core.candle_close import CandleVerdict
from fsm.core.model.decision import Step
from fsm.core.order_requests import planned_stop
from fsm.live.context.fruitless_signals import FruitlessSignals
from fsm.live.context.live_context import LiveContext
from fsm.live.context.trouble import Troubles
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.commands import Commands
from fsm.live.operator.news import (
    ended_news,
    holding,
    hole_news,
    in_vain_news,
    limit_news,
    no_candles_news,
    started_news,
    unreadable_news,
)
from fsm.live.process import documents
from fsm.live.process.own_audit import OwnAudit
from fsm.live.process.supervisor import Background, Supervisor
from fsm.live.trading.account import AccountMonitor
from fsm.live.trading.income_audit import IncomeAudit
from fsm.live.trading.market import Market
from fsm.live.trading.moving_together import MovingTogether
from fsm.live.trading.older_journal import OlderJournal
from fsm.live.trading.proof_of_stops import ProofOfStops
from fsm.live.trading.protection_timer import MAY_BE_OPEN
from fsm.live.trading.reconcile import Reconciler
from fsm.live.trading.recovery import Recovery
from fsm.live.trading.roster import Roster
from fsm.live.trading.route_proof import RouteProof
from fsm.live.trading.schedule import Schedule
from fsm.live.trading.stream_listener import StreamListener
from fsm.live.trading.symbol_lists import SymbolLists
from indicators.holes import Hole
from store.errors import JournalError, StoreError
from store.rows import PositionMark
from store.verify import Report

log = structlog.get_logger("fsm.daemon")

ASK_AGAIN_S = 1.0
BAD_ANSWERS_MAX = 3
"""A symbol whose candles were refused or illegible so often does not hold the start up any longer."""

HEARTBEAT_S_MIN = 1.0
BEATS_A_DOCUMENT = 5
"""Documents for readers are renewed every five seconds; what they must see at once are the journal's own tables."""

FILES_LOOK_S = 1.0
LAST_WORD_S_MAX = 10.0

LastWord = Callable[[str], Awaitable[None]]
"""Tells the operator past the journal, when that is lost."""


class Daemon:
    """One run. ``background`` are further tasks that begin once it has started (delivery), ``beside`` such that begin
    with it (clocks, hot edits); all of them are in the care of one supervisor. Without ``stream``, which fills
    ``events``, every change is found by looking."""

    def __init__(
        self,
        live: LiveContext,
        *,
        alerts: Alerts,
        troubles: Troubles,
        vain: FruitlessSignals,
        events: EventQueue,
        stream: EventStream | None = None,
        background: Sequence[Background] = (),
        verify: Callable[[], Report] | None = None,
        data_end_ms: int | None = None,
        check_files: Callable[[], None] = lambda: None,
        journal_until_ms: int | None = None,
    ) -> None:
        """``check_files`` raises JournalGone when the journal's files are no longer those that are open,
        ``journal_until_ms`` is when it was last at work before this start."""
        self.live = live
        self.alerts = alerts
        self.troubles = troubles
        self.beside: list[Background] = []
        self.files_looked_ms: Callable[[], int | None] = lambda: None
        self._check_files = check_files
        self._journal_until_ms = journal_until_ms
        self.last_word: LastWord = _say_nothing
        self.supervisor = Supervisor(live.journal, alerts, live.clock)
        self.roster = Roster(live, self.supervisor)
        self.workers, self.markets = self.roster.workers, self.roster.markets
        self.stream, self.listener = stream, StreamListener(events, live, self.workers)
        heard = () if stream is None else (stream.run,)
        self._background: Sequence[Background] = (*background, *heard, self.listener.run)
        self._together = MovingTogether(self.markets)
        live.engine.correlation = self._together.correlation
        self.account = AccountMonitor(live, self.workers, self._limit_changed, self.supervisor)
        self.reconciler = Reconciler(live, self.workers, self._anomaly)
        self.proof = ProofOfStops(live, self.reconciler, self.say)
        self.route = RouteProof(live, self.workers, self.reconciler, self.say)
        self.income_audit = IncomeAudit(live, self._books_differ)
        self.audit = OwnAudit(live, self.say, self.supervisor, verify)
        self.schedule = Schedule(
            live,
            self.workers,
            self.markets,
            self.account,
            on_reading=self._read,
            on_hole=self._hole,
            supervisor=self.supervisor,
            data_end_ms=data_end_ms,
            before_close=self.roster.let_go,
        )
        self.lists = SymbolLists(live, self.roster, self.schedule, self.supervisor, self.say)
        self.commands = Commands(live, self.workers, alerts, self.supervisor, alive_ms=journal_until_ms)
        self.started = asyncio.Event()
        self._stop = asyncio.Event()
        self._vain = vain
        self._unreadable: set[str] = set()
        self._marked: dict[str, PositionMark] = {}

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._stop.set()

    async def run(self) -> None:
        """Live until stopped or until the data ends. Raises StoreError when nothing can be written any more."""
        try:
            async with asyncio.TaskGroup() as group:
                self.supervisor.open(group)
                for work in (self.troubles.run, *self.beside):
                    self.supervisor.begin(work)
                self.roster.begin()
                group.create_task(self._watch_files(), name="files")
                await self._ended(group.create_task(self._live(), name="main"))
                raise _OrderlyEnd
        except* _OrderlyEnd:
            self.live.journal.note(self.live.clock.now_ms(), "STOP", "ORDERLY", open=self.live.engine.active())
            log.info("stopped", reason="ORDERLY", open=self.live.engine.active())
        except* StoreError as lost:
            why = self._why(lost)
            await self._last_stops()
            await self._say_last(why)
            raise why from lost

    async def _watch_files(self) -> None:
        """Once a second: what is decided on a journal that no name leads to would be forgotten (R79)."""
        while True:
            self._check_files()
            if self.started.is_set():
                self.reconciler.yield_to_newer_copy()
            await self.live.clock.sleep(FILES_LOOK_S)

    def _why(self, lost: BaseExceptionGroup[StoreError]) -> BaseException:
        """What took the journal away; files that are gone explain whatever failed first."""
        try:
            self._check_files()
        except StoreError as gone:
            return gone
        why: BaseException = lost
        while isinstance(why, BaseExceptionGroup):
            why = why.exceptions[0]
        return why

    async def _say_last(self, why: BaseException) -> None:
        """An alert cannot be written down any more, so it goes out at once; the bot ends whether it arrives or not."""
        try:
            async with asyncio.timeout(LAST_WORD_S_MAX):
                await self.last_word(ended_news(why))
        except Exception as error:
            log.warning("last_word_unheard", reason=type(error).__name__, error=str(error))

    async def _last_stops(self) -> None:
        """Nothing can be written any more. Each open trade's stop follows from its committed plan, so it is sent once
        more: where it rests already it is refused, and where it does not, nobody else would place it (R19). A position
        that is being closed gets it too: nobody will be there to see whether its close came through."""
        live = self.live
        held = [record.trade for record in live.engine.machines.records() if record.state in MAY_BE_OPEN]
        stops = [planned_stop(trade, live.engine.context(trade.symbol)) for trade in held if trade is not None]
        log.critical("journal_lost", reason="JOURNAL", open=live.engine.active())
        outcomes = await asyncio.gather(*(live.executor.do(stop) for stop in stops), return_exceptions=True)
        for stop, outcome in zip(stops, outcomes, strict=True):
            log.critical("last_stop", symbol=stop.symbol, reason=type(outcome).__name__, outcome=str(outcome))

    async def _ended(self, main: asyncio.Task[None]) -> None:
        stop = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(self.schedule.ended.wait())
        try:
            await asyncio.wait({stop, ended, main}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            ended.cancel()

    async def _live(self) -> None:
        """The start in its order; then everything that goes on for ever."""
        older = OlderJournal(self.live, self.workers, self._anomaly, until_ms=self._journal_until_ms)
        await Recovery(self.live, self.workers, self.reconciler, older).run()
        await self.proof.at_start(self.markets)
        for market in self.markets.values():
            await self._restore(market)
        await self.audit.compare(self.markets.values())
        await asyncio.gather(*(self._catch_up(market) for market in self.markets.values()))
        while not await self.account.try_read():
            await self.live.clock.sleep(ASK_AGAIN_S)
        self._leave_documents()
        self.say("lifecycle", started_news(self.live.engine, self.markets), key="started")
        self.started.set()
        deciding = (
            self.reconciler.run,
            self.account.run,
            self.income_audit.run,
            self.commands.run,
            self.audit.hand_out_daily,
            self.lists.run,
        )
        proofs = (self.proof.run, self.route.run)
        for work in (*deciding, *proofs, self.live.symbols.run, self.live.watch.run):
            self.supervisor.begin(work, needs_journal=True)
        for beside in (self._heartbeat, *self._background):
            self.supervisor.begin(beside)
        for once in (self.audit.verify_all, self.audit.compare_later):
            self.supervisor.begin(once)
        await self.schedule.run()

    async def _restore(self, market: Market) -> None:
        """One symbol's stored candles that cannot be fed must not keep the others from starting (R64)."""
        try:
            await market.restore(self.live.journal.store, self.live.rules_hash_of(market.symbol))
        except StoreError:
            raise
        except Exception as error:
            self.supervisor.caught("market", error, market.symbol)
            await self.workers[market.symbol].quarantine(error)

    async def _catch_up(self, market: Market) -> None:
        """Until the exchange answers; a symbol that it says no about, or tells illegibly, goes on without: its candles
        are asked for again at every close, and the others do not wait for them (R64)."""
        symbol, left = market.symbol, BAD_ANSWERS_MAX
        while True:
            try:
                taken = await market.catch_up(self.live.exchange, self.live.journal, self.live.clock.now_ms())
                for whose, hole in taken.holes:
                    self._hole(whose, hole, market.blocked_until_ms)
                return
            except CandlesMissing as error:  # nobody waits for it to be confirmed: the next close asks again
                log.warning("candles_missing", symbol=symbol, reason="UNCONFIRMED", error=str(error))
                return
            except ExchangeError as error:
                self.live.on_trouble(symbol, error)
                left -= isinstance(error, Refusal | MalformedReply)
                if left <= 0:
                    self.say("reconciliation_anomaly", no_candles_news(symbol, error), key=f"candles {symbol}")
                    return
            except StoreError:
                raise
            except Exception as error:
                self.supervisor.caught("market", error, symbol)
                await self.workers[symbol].quarantine(error)
                return
            await self.live.clock.sleep(ASK_AGAIN_S)

    # --- what goes on -------------------------------------------------------------------------
    async def _heartbeat(self) -> None:
        """Every hour of the exchange's clock, and not more often than once in a real second."""
        live = self.live
        last_ms, beats = live.clock.now_ms(), 0
        while True:
            await live.clock.sleep(HEARTBEAT_S_MIN)
            beats += 1
            self._leave_marks()
            if beats % BEATS_A_DOCUMENT == 0:
                self._leave_documents()
            now_ms, interval_ms = live.clock.now_ms(), live.active.settings.loops.heartbeat_interval_ms
            if now_ms - last_ms >= interval_ms:
                last_ms = now_ms
                live.journal.note(now_ms, "HEARTBEAT", "ALIVE", open=live.engine.active())
                log.debug("heartbeat", reason="ALIVE", open=live.engine.active())
                self.say("heartbeat", f"The bot is alive. {holding(live.engine)}.", key=f"beat {now_ms}")

    def _leave_marks(self) -> None:
        """What positions are worth now, and how many signals led to nothing. Nothing depends on either."""
        marks = {name: worker.looking.mark for name, worker in self.workers.items() if worker.looking.mark is not None}
        fresh = [mark for name, mark in marks.items() if mark != self._marked.get(name)]
        try:
            self.live.journal.marks(fresh)
            self._marked = marks
            self._vain.keep(self.live.journal, self.live.clock.now_ms())
        except JournalError as error:
            log.warning("commit_failed", reason="JOURNAL", error=str(error))

    def _leave_documents(self) -> None:
        live, at_ms = self.live, self.live.clock.now_ms()
        body = documents.health(
            live,
            decided_ms=self.schedule.decided_ms,
            equity_age_ms=live.freshness.age_ms(),
            failures=self.troubles.total,
            tasks=self.supervisor.tended,
            files_looked_ms=self.files_looked_ms(),
            pid=os.getpid(),
            stops={
                name: seen for name, worker in self.workers.items() if (seen := worker.looking.stop_seen) is not None
            },
        )
        live.journal.document(
            "health", at_ms, body, limits=documents.limits(live, self.account.budgets, self._together.mean())
        )

    # --- whom to tell -------------------------------------------------------------------------
    def _read(self, symbol: str, verdict: CandleVerdict, steps: list[Step]) -> None:
        """Signals that never become entries are an alarm (R44)."""
        before = self._vain.count
        self._vain.read(verdict)
        if verdict.outcome == "BLOCKED" and verdict.strategy is not None:
            log.info("signal_blocked", symbol=symbol, reason=verdict.reason, strategy=verdict.strategy)
        if self._vain.count > before and self._vain.is_alarming:
            text = in_vain_news(self._vain.count, self._vain.last_reason)
            self.say("no_entries", text, key=f"no_entries {self.live.clock.now_ms()}")
        self._vain.keep(self.live.journal, self.live.clock.now_ms())

    def _hole(self, symbol: str, hole: Hole, until_ms: int) -> None:
        """Candles that the exchange does not have are told once, with what follows (R66)."""
        text = hole_news(symbol, hole, until_ms if until_ms > self.live.clock.now_ms() else None)
        self.say("no_entries", text, key=f"hole {symbol} {hole.timeframe} {hole.first_ms}")

    @property
    def fruitless_signals(self) -> int:
        """How many in a row, as of the latest close."""
        return self._vain.count

    def _limit_changed(self, what: str, cause: str) -> None:
        at_ms = self.live.clock.now_ms()
        text = limit_news(what, cause, self.live.active.settings, self.account.budgets, at_ms)
        self.say("kill_switch", text, key=f"{cause} {what} {at_ms}")

    def unreadable(self, symbol: str, what: str) -> None:
        """A row of a list that nobody can read: its symbol is looked at by itself, and the others go on (R64)."""
        log.warning("row_unreadable", symbol=symbol, reason="MALFORMED", error=what)
        worker = self.workers.get(symbol)
        if worker is not None:
            worker.request_check()
        if symbol not in self._unreadable:
            self._unreadable.add(symbol)
            self.say("reconciliation_anomaly", unreadable_news(symbol, what), key=f"unreadable {symbol}")

    def _books_differ(self, day: str, text: str) -> None:
        self.say("bookkeeping_mismatch", text, key=f"bookkeeping {day}")

    def _anomaly(self, symbol: str, reason: str, text: str) -> None:
        at_ms = self.live.clock.now_ms()
        self.live.journal.note(at_ms, "RECONCILIATION", reason, symbol=symbol, text=text)
        log.warning("reconciliation", symbol=symbol, reason=reason, text=text)
        self.say("reconciliation_anomaly", text, key=f"{reason} {symbol} {at_ms}")

    def say(self, kind: str, text: str, *, key: str) -> None:
        """Tell the operator, as far as config wants to hear of this kind."""
        row = self.alerts.row(self.live.clock.now_ms(), kind, text, key=key)
        self.live.journal.alert(*([row] if row else []))


async def _say_nothing(text: str) -> None:
    del text


class _OrderlyEnd(Exception):
    """Ends the task group without being a failure."""
