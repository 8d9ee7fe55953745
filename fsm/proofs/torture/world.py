"""One run of torture: the market, the bot and the plan, on a loop where waiting takes no time.

While something is under way, or short trouble is in force, the market and real time move together, half a second at a
time. In between the market jumps from quarter hour to quarter hour, and the bot gets just enough time at each of them
to look around. Whatever happens to the account on the way ends the jump.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.sim.core.venue import Venue
from fsm.config import Settings
from fsm.core.model.records import State
from fsm.live.context.clock import DrivenClock
from fsm.live.context.live_context import LiveContext
from fsm.proofs.testkit.virtual_time import VirtualLoop
from fsm.proofs.torture.account_checker import AccountChecker
from fsm.proofs.torture.bot_process import RESTART_S, BotProcess
from fsm.proofs.torture.checkers import InvariantChecker
from fsm.proofs.torture.disturbances import Disturbances
from fsm.proofs.torture.editor import Editor
from fsm.proofs.torture.environment_acts import EnvironmentActs
from fsm.proofs.torture.front import FRONTS, Front
from fsm.proofs.torture.machine import Machine
from fsm.proofs.torture.market import Market
from fsm.proofs.torture.naked_time import AGAIN_S, EVERYBODY
from fsm.proofs.torture.plan import HOUR_MS, MINUTE_MS, Disturbance, Plan
from fsm.proofs.torture.position_moments import PositionMoments
from fsm.proofs.torture.tortured_port import KillSwitch
from rules.source.yaml_source import SourceError
from store.database import Store, open_store
from store.errors import JournalError, StoreError

TICK_MS = 15 * MINUTE_MS
STEP_S = 0.5
LONG_BUSY_S = 120.0
"""What is under way for longer is an outage: from then on the market runs ahead of real time."""

LAST_WORDS_S = 60.0
"""A process that has lost its database takes so long at most to end: it still sends the stops that are owed."""

EDIT_LOOKED_AT_S = 8.0
"""A file that was edited is looked at twice within so long, while the market does not run ahead."""

LONG_STEP_MS, LONG_STEP_S = 60_000, 2.0
COUNTED_WHEN_THEY_STRIKE = ("fault", "close")
UNDER_WAY = (State.SIGNALLED, State.EXITING, State.FLATTEN)


class TortureRun:
    """``live`` plays the plan; ``watchman`` knows afterwards what did not hold."""

    def __init__(self, plan: Plan, market: Market, folder: Path, on_step: Callable[[TortureRun], None]) -> None:
        self.plan = plan
        self._on_step = on_step
        fees = Settings(version=1, symbols={}).simulation
        self.venue = Venue(
            filters={name: market.filters[name] for name in plan.symbols},
            brackets={name: market.brackets[name] for name in plan.symbols},
            balance=fees.balance_usdt,
            maker_rate=fees.maker_fee_pct / 100,
            taker_rate=fees.taker_fee_pct / 100,
            slippage=fees.slippage_pct / 100,
            stop_depth=fees.stop_depth_share,
            depth_usdt=None if plan.depth_usdt is None else Decimal(plan.depth_usdt),
        )
        self.kill_switch = KillSwitch()
        self.machine = Machine(lambda: self.venue.now_ms)
        signs = DrivenClock(lambda: self.venue.now_ms)
        self.checker = InvariantChecker(self.venue, self._monotonic, self._is_committed)
        self.front: Front = FRONTS[plan.client](plan, market, self.venue, signs, self.checker, self.kill_switch)
        self.faults = self.front.faults
        self.bot = BotProcess(folder, self.front, self.machine, self.checker, self.kill_switch)
        base = Settings(version=1, symbols={}).plain()
        self.disturbances = Disturbances(plan, base, self.venue, self.front, self.bot, self.checker, self._monotonic)
        self.editor = Editor(plan, base, self.bot.config_path, self.bot.rules_path, self.checker.check)
        self.environment = EnvironmentActs(self.venue, self.front, self.bot, self.front.candles)
        self.moments = PositionMoments(self.venue, self.checker.quantity, self._do_at_its_moment)
        self.checker.never_listed = self.front.candles.blocks
        self._edited_s = float("-inf")
        self._down_s = 0.0
        self._busy_since_s: float | None = None
        self._fair_since_s = float("inf")
        self._switched = 0
        self.deaths = 0
        self.done: Counter[str] = Counter()
        self.vigil = False
        self.log: list[tuple[int, str]] = []
        self._reader: Any = None
        self.limits = AccountChecker(self.venue, self.checker.check, self._journal)

    def _monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def failed(self) -> bool:
        return bool(self.checker.violations)

    def _is_committed(self, client_id: str) -> bool:
        """As another process reads the database."""
        if self._reader is None:
            self._reader = open_store(self.bot.db, mode="read")
        asked = "SELECT 1 FROM intents WHERE client_id = ? ORDER BY rowid DESC LIMIT 1"  # the newest are asked for
        return self._reader.connection.execute(asked, (client_id,)).fetchone() is not None

    def _journal(self) -> Store:
        return open_store(self.bot.db, mode="read")

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self.disturbances.close()

    # --- the plan -----------------------------------------------------------------------------
    async def play(self) -> None:
        """Everything in the plan, up to its end or the first violation."""
        self.disturbances.write_files()
        self._start()
        for what in self.plan.disturbances:
            await self.until(what.at_ms)
            if self.failed:
                return
            self.log.append((self.venue.now_ms, what.sentence()))
            await self._do(what)
        await self.until(self.plan.end_ms)

    async def until(self, at_ms: int) -> None:
        while self.venue.now_ms < at_ms and not self.failed:
            await self.step(at_ms)

    async def _do(self, what: Disturbance) -> None:
        if what.when:
            self.moments.await_(what)
            return
        if what.kind not in COUNTED_WHEN_THEY_STRIKE:
            self.done[f"{what.kind} {what.what}".strip()] += 1
        match what.kind:
            case "kill" if what.what == "now":
                self._down_s = what.seconds
                await self._die()
            case "kill":
                self._down_s = what.seconds
                self.kill_switch.set(what.what, what.count)
            case "stop":
                await self.bot.stop(10.0)
                self._move_on(what.seconds)
                self._start()
            case "freeze":
                self._freeze(what.seconds)
            case _:
                self._do_at_once(what)

    def _do_at_its_moment(self, what: Disturbance) -> None:
        self.log.append((self.venue.now_ms, f"{what.sentence()}: now, in {what.symbol}"))
        self.done[f"{what.kind} {what.what} when {what.when}"] += 1
        self._do_at_once(what)

    def _do_at_once(self, what: Disturbance) -> None:
        """What takes no time of the world."""
        match what.kind:
            case "fault" | "outage" | "trigger" | "stream" | "lag" | "book" | "close":
                self.faults.arm(what)
            case "clock":
                self._clock(what)
            case "disk":
                self.disturbances.disk(what.what, what.seconds)
            case "telegram" if what.what == "writes":
                self.environment.write(what)
            case "telegram":
                self.disturbances.telegram(what)
            case "edit" if what.what in ("cut-rules", "cut-config", "disabled"):
                self._edit_badly(what)
            case "edit":
                self.disturbances.edit(what.what, what.count)
            case "command":
                self.disturbances.command(what.what, what.symbol)
            case "act":
                self.disturbances.act(what.what, what.symbol)
            case "round":
                self.disturbances.round()
            case "money":
                self.disturbances.money(what.what, what.amount, what.seconds)
            case "hand":
                self.disturbances.hand(what.what, what.symbol)
            case "rules":
                self.done["rules that were as they should be"] += not self.environment.rules(what)
            case "candles":
                self.environment.candles(what)
            case "task":
                self.environment.task(what)
            case _:
                raise AssertionError(f"nobody knows how to do {what.kind!r}")

    def _edit_badly(self, what: Disturbance) -> None:
        self.checker.unreliable_until_s = max(self.checker.unreliable_until_s, self._monotonic() + what.seconds + 10)
        self.editor.edit(what, self.venue.now_ms, self._shared)
        self._edited_s = self._monotonic()

    @property
    def _shared(self) -> LiveContext | None:
        return None if self.bot.daemon is None else self.bot.daemon.live

    # --- time ---------------------------------------------------------------------------------
    async def step(self, at_ms: int) -> None:
        """One step towards that time."""
        now_ms, began_s = self.venue.now_ms, self._monotonic()
        hindered = self._is_hindered()
        if self.vigil or self.is_busy():
            now_s = self._monotonic()
            if self._busy_since_s is None:
                self._busy_since_s = now_s
            long = now_s - self._busy_since_s > LONG_BUSY_S
            wanted_ms, wait_s = (LONG_STEP_MS, LONG_STEP_S) if long else (int(STEP_S * 1000), STEP_S)
            self._move(min(now_ms + wanted_ms, at_ms))
            await self._wait(wait_s if long else max((self.venue.now_ms - now_ms) / 1000, 0.001))
        else:
            self._busy_since_s = None
            stop_ms = self._next_stop(now_ms)
            self._move(min(stop_ms, at_ms))
            await self._wait(self.front.calm_s if self.venue.now_ms == stop_ms else 0.001)
        await self.revive()
        if hindered or self._is_hindered():
            self.checker.judge.hindered(EVERYBODY, began_s, self._monotonic())
        self._look()

    def _is_hindered(self) -> bool:
        """No process that knows its symbols, no database to write to, or no exchange."""
        bot = self.bot
        return not bot.is_alive or bot.daemon is None or self.disturbances.disk_is_failing or self.faults.is_out()

    def _next_stop(self, now_ms: int) -> int:
        """The next quarter hour; the full hour a little later, once its candle counts as closed."""
        settle_ms = 2_100
        tick_ms = now_ms - now_ms % TICK_MS + TICK_MS
        if now_ms % HOUR_MS < settle_ms:
            return now_ms - now_ms % HOUR_MS + settle_ms
        return tick_ms + settle_ms if tick_ms % HOUR_MS == 0 else tick_ms

    def is_busy(self) -> bool:
        bot, daemon = self.bot, self.bot.daemon
        if not bot.is_alive or daemon is None or not daemon.started.is_set():
            return True
        late_rows = self.venue.state.ledger.hides(self.venue.now_ms)
        if self._monotonic() < self._edited_s + EDIT_LOOKED_AT_S:
            return True
        if self.faults.is_brief() or self.disturbances.disk_is_failing or self.front.is_paused() or late_rows:
            return True
        settle_ms = daemon.live.active.settings.market_data.settle_delay_ms
        closed_ms = (self.venue.now_ms - settle_ms) // HOUR_MS * HOUR_MS
        if (daemon.schedule.decided_ms or closed_ms) < closed_ms:
            return True
        if not all(worker.quiet.is_set() for worker in daemon.workers.values()):
            return True
        return any(self._is_under_way(symbol) for symbol in daemon.live.engine.active())

    def _is_under_way(self, symbol: str) -> bool:
        assert self.bot.daemon is not None
        record = self.bot.daemon.live.engine.record(symbol)
        trade = record.trade
        if record.state in UNDER_WAY or (self.checker.is_naked(symbol) and symbol not in self.checker.touched):
            return True
        return record.state is State.ENTERING and trade is not None and trade.entry.price is None

    def _move(self, until_ms: int) -> None:
        """Let the market go on, up to the first thing that happens to the account."""
        symbols = self.front.advance(until_ms)
        if symbols and not self.front.hears:
            self._tell(symbols)

    def _tell(self, symbols: list[str]) -> None:
        """The stream tells of it, if it is not deaf."""
        trouble = self.faults.stream()
        if "lost" in trouble:
            return
        if "late" in trouble:
            loop = asyncio.get_running_loop()
            for symbol in symbols:
                loop.call_later(3.0, self.bot.nudge, symbol)
            return
        for symbol in symbols * (2 if "twice" in trouble else 1):
            self.bot.nudge(symbol)
        if "resync" in trouble and self.bot.daemon is not None:
            for symbol in self.bot.daemon.live.engine.active():
                self.bot.nudge(symbol)

    def _move_on(self, seconds: float) -> None:
        """The market goes on and nobody is told."""
        until_ms = min(self.venue.now_ms + int(seconds * 1000), self.plan.end_ms)
        while self.venue.now_ms < until_ms:
            self.front.advance(until_ms)

    def _clock(self, what: Disturbance) -> None:
        """This machine's clocks go wrong, or the exchange tells a wrong time once or twice."""
        match what.what:
            case "set":
                self.machine.set_wall(what.amount, what.seconds)
            case "drift":
                self.machine.drift(what.amount)
            case "lies":
                self.machine.lies = [int(what.amount * HOUR_MS) * factor for factor in (1, -2, 5)][: what.count]
            case "suspend" | "pause":
                began_ms = self.venue.now_ms
                self._move_on(what.seconds)
                passed_s = (self.venue.now_ms - began_ms) / 1000
                (self.machine.slept if what.what == "suspend" else self.machine.stood_still)(passed_s)

    def _freeze(self, seconds: float) -> None:
        """As SIGSTOP: market and real time go on, and the bot with all its deadlines stands still."""
        self._move_on(seconds)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.checker.judge.hindered(EVERYBODY, loop.time(), loop.time() + seconds + AGAIN_S)
        loop.jump(seconds)
        self._fair_since_s = float("inf")
        self.checker.unreliable_until_s = max(self.checker.unreliable_until_s, loop.time() + 1.0)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.kill_switch.pulled.wait()
        except TimeoutError:
            return
        await self._die()

    # --- life and death -----------------------------------------------------------------------
    def _start(self) -> None:
        self._switched = self.faults.fired["mode-switched"]
        try:
            self.bot.start()
        except SourceError:
            self.disturbances.write_files()  # whoever starts it mends what keeps it from starting
            self.bot.start()

    async def _die(self) -> None:
        down_s, self._down_s = self._down_s, 0.0
        self.log.append((self.venue.now_ms, f"the process was killed, down for {down_s:g} s"))
        await self.bot.kill()
        self._move_on(down_s)
        await self._start_again()

    async def _start_again(self) -> None:
        while not self.bot.is_alive:
            try:
                self._start()
            except StoreError:
                await self.bot.kill()
                await asyncio.sleep(RESTART_S)
                self.disturbances.passed()

    async def revive(self) -> None:
        """A process that ended by itself is started again; whether it might have ended is judged here."""
        if self.bot.is_alive:
            return
        error = self.bot.failure()
        lately = self.disturbances.disk_is_failing or self._monotonic() - self.disturbances.disk_mended_s < LAST_WORDS_S
        excused = lately and isinstance(error, (JournalError, StoreError))
        switched = self.faults.fired["mode-switched"] > self._switched
        excused = excused or (switched and self.bot.may_be_refused(error))
        self.checker.check("NO_EXCEPTION", excused, f"the daemon ended: {type(error).__name__}: {error}")
        self.deaths += 1
        self.log.append((self.venue.now_ms, f"the process ended by itself: {type(error).__name__}: {error}"))
        await self.bot.kill()
        if not self.failed:
            await asyncio.sleep(RESTART_S)
            self.disturbances.passed()
            await self._start_again()

    def _look(self) -> None:
        self.disturbances.passed()
        self.editor.passed(self.venue.now_ms, self._shared)
        self.environment.passed()
        self.moments.passed(self.plan.symbols)
        self.machine.passed()
        self.faults.passed()
        now_s = self._monotonic()
        fair = self.faults.is_fair() and not self.disturbances.disk_is_failing and self.bot.has_started
        fair = fair and self.machine.is_right and now_s - self.faults.touched_s > 1.0
        if not fair:
            self._fair_since_s = float("inf")
        elif self._fair_since_s == float("inf"):
            self._fair_since_s = now_s
        self.checker.look(fair_since_s=self._fair_since_s)
        if self._shared is not None:
            self.limits.look(self._shared)
        self._on_step(self)
