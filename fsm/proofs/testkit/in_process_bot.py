"""Runs the real daemon against the simulated exchange inside one process, on a loop where waiting takes no time.

The market moves only when it is told to, and stops after everything that happens to the account until the daemon has
answered. A kill drops every task where it stands; what a new start finds is the database and the exchange, as after a
real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import localcontext
from functools import cache
from pathlib import Path
from typing import TypeVar

from exchange.filters import SymbolFilters
from exchange.port import Exchange
from exchange.sim.core.venue import Venue
from exchange.sim.in_process import SimPort, Stage
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.sim.port_faults import Faults
from exchange.types import Bracket, Confirmed
from fsm.config import Config
from fsm.core.model.decision import Step
from fsm.core.model.money import MONEY
from fsm.live.context.clock import Clock, DrivenClock
from fsm.live.context.live_context import LiveContext
from fsm.live.process.assembly import assemble
from fsm.live.process.daemon import Daemon
from fsm.live.process.supervisor import Background
from fsm.live.trading.lifeline import BEAT_S
from fsm.live.trading.protection_timer import ProtectionTimes
from fsm.proofs.testkit.virtual_time import VirtualLoop, run_virtually
from rules.load import Ruleset
from store.database import Store, open_store
from store.files import OpenFiles
from store.lock import ProcessLock

_Result = TypeVar("_Result")
DECIDE_LOOK_S = 0.1
SETTLED_S = 5.0
"""Real time after a restart in which the market stands still: absences must last a while before they are believed."""

DATABASE_ID = "5eed0001"
HOUR_MS = 3_600_000


class InProcessBot:
    """One market, one account, one database; any number of daemons one after the other."""

    def __init__(
        self,
        *,
        config: Config,
        rules: Ruleset,
        feeds: Mapping[str, SymbolFeed],
        db: Path,
        start_ms: int,
        latency_s: float = 0.0,
        filters: Mapping[str, SymbolFilters] | None = None,
        brackets: Mapping[str, tuple[Bracket, ...]] | None = None,
    ) -> None:
        """``filters`` and ``brackets``: those that are shipped, unless they are given."""
        self.config = config
        self.rules = rules
        self.db = db
        self.start_ms = start_ms
        if filters is None or brackets is None:
            filters, brackets = _of(feeds)
        fees = config.settings.simulation
        self.venue = Venue(
            filters=filters,
            brackets=brackets,
            balance=fees.balance_usdt,
            maker_rate=fees.maker_fee_pct / 100,
            taker_rate=fees.taker_fee_pct / 100,
            slippage=fees.slippage_pct / 100,
            stop_depth=fees.stop_depth_share,
        )
        self.stage = Stage(self.venue, feeds, start_ms)
        for _ in self.stage.advance(start_ms):
            raise AssertionError("something happened to an account that has nothing")
        self.clock: Clock = DrivenClock(lambda: self.venue.now_ms)
        self.port = SimPort(self.stage, sleep=self.clock.sleep, latency_s=latency_s)
        self.times = ProtectionTimes()
        self.steps: list[Step] = []
        self.starts = 0
        self.daemon: Daemon | None = None
        self.store: Store | None = None
        self._task: asyncio.Task[None] | None = None
        self.lock = ProcessLock(db)
        self._restarting = False

    def run(self, script: Callable[[InProcessBot], Awaitable[_Result]]) -> _Result:
        """Play a script on a virtual loop; whatever runs at its end is killed."""

        async def play() -> _Result:
            try:
                return await script(self)
            finally:
                await self.kill()

        with localcontext(MONEY):
            return run_virtually(play())

    @property
    def faults(self) -> Faults:
        return self.port.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.port.faults = faults

    async def start(self, *, wait: bool = True) -> Daemon:
        """A new process: lock, database, recovery; with ``wait`` until it takes decisions."""
        self.starts += 1
        self.store = self.opened()
        self._task = process = asyncio.create_task(self._live())
        if wait:
            while self.daemon is None or not self.daemon.started.is_set():
                if process.done():
                    process.result()
                await self.clock.sleep(DECIDE_LOOK_S)
        return self.running

    @property
    def running(self) -> Daemon:
        assert self.daemon is not None, "no daemon has been started"
        return self.daemon

    def opened(self) -> Store:
        """What a process does first: it takes the lock, opens the database and makes it its own."""
        self.lock.acquire()
        store = open_store(self.db, mode="write", at_ms=self.venue.now_ms)
        store.bind(environment="sim", account=None, at_ms=self.venue.now_ms, database_id=DATABASE_ID)
        return store

    def exchange(self) -> Exchange:
        """The exchange as the next daemon meets it."""
        return self.port

    def background(self, live: LiveContext) -> Sequence[Background]:
        """Further tasks of the next daemon."""
        del live
        return ()

    async def _live(self) -> None:
        assert self.store is not None
        daemon = await assemble(
            config=self.config,
            rules=self.rules,
            store=self.store,
            run_id=f"run{self.starts}",
            exchange=self.exchange(),
            clock=self.clock,
            on_step=self.steps.append,
            times=self.times,
            background=self.background,
            check_files=OpenFiles(self.db, self.lock).check,
        )
        self.daemon = daemon
        self.port.nudge = lambda symbol: daemon.workers[symbol].request_check()
        await daemon.run()

    @property
    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def kill(self) -> None:
        """As kill -9: every task is dropped where it stands, nothing is written any more, the lock is free."""
        if self.store is not None:
            self.store.close()
            self.store = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self.daemon = None
        self.port.nudge = lambda symbol: None
        self.lock.release()

    async def restart(self) -> None:
        """Kill and start again, while the market stands still."""
        self._restarting = True
        try:
            await self.kill()
            await self.start()
            await self.clock.sleep(SETTLED_S)
        finally:
            self._restarting = False

    async def stop(self) -> None:
        """As SIGTERM."""
        self.running.stop()
        if self._task is not None:
            await self._task
            self._task = None
        await self.kill()

    async def answered(self) -> None:
        """Until the daemon has nothing more to do at this moment."""
        while self._goes_on:
            await self._until_running()
            await asyncio.sleep(0)
            if self.daemon is None:
                return
            workers, process = list(self.daemon.workers.values()), self._task
            await asyncio.gather(*(_unless_dead(process, worker.quiet.wait()) for worker in workers))
            if not self._restarting and all(worker.quiet.is_set() for worker in workers):
                return

    @property
    def _goes_on(self) -> bool:
        return self._restarting or self.is_alive

    async def _until_running(self) -> None:
        while self._restarting:
            await self.clock.sleep(DECIDE_LOOK_S)

    async def until(self, at_ms: int) -> None:
        """Let the market move to this moment, and the daemon decide at every close on the way."""
        settle_ms = self.config.settings.market_data.settle_delay_ms
        entry = self.rules.for_symbol("").entry_timeframe
        close_ms = entry.floor(self.venue.now_ms) + entry.ms
        while close_ms + settle_ms <= at_ms:
            await self.port.advance(close_ms + settle_ms, self.answered)
            await self.decided(close_ms)
            close_ms += entry.ms
        await self.port.advance(at_ms, self.answered)

    async def hours(self, count: float) -> None:
        await self.until(self.venue.now_ms + int(count * HOUR_MS))

    async def decided(self, close_ms: int) -> None:
        """Until the close was decided on and carried out; a daemon that is dead decides nothing."""
        while self._goes_on:
            await self._until_running()
            if self.daemon is None:
                return
            decided_ms = self.daemon.schedule.decided_ms
            if decided_ms is not None and decided_ms >= close_ms:
                await self.answered()
                return
            await self.clock.sleep(DECIDE_LOOK_S)

    def held_up(self, seconds: float, watched: Callable[[], None] = lambda: None) -> None:
        """The process stands still for so long, as while a commit stalls; what has a thread of its own goes on.
        ``watched`` is called every now and then meanwhile."""
        loop, lifeline = asyncio.get_running_loop(), self.running.live.lifeline
        assert isinstance(loop, VirtualLoop)
        until_s = loop.time() + seconds
        lifeline.beat(loop.time())
        while loop.time() < until_s:
            loop.jump(min(BEAT_S, until_s - loop.time()))
            for stop in lifeline.due(loop.time()):
                if isinstance(self.port.place_at_once(stop.request), Confirmed):
                    lifeline.rests(stop)
            watched()
        lifeline.beat(loop.time())

    async def seconds(self, count: float) -> None:
        """Let real time pass while the market stands still."""
        await self.clock.sleep(count)
        await self.answered()


async def _unless_dead(process: asyncio.Task[None] | None, waiting: Awaitable[object]) -> None:
    task = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait({task, process} if process else {task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()


@cache
def _shipped() -> tuple[dict[str, SymbolFilters], dict[str, tuple[Bracket, ...]]]:
    return shipped_filters(), shipped_brackets()


def _of(feeds: Mapping[str, SymbolFeed]) -> tuple[dict[str, SymbolFilters], dict[str, tuple[Bracket, ...]]]:
    filters, brackets = _shipped()
    return {name: filters[name] for name in feeds}, {name: brackets[name] for name in feeds}
