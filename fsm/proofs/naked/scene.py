"""One bot before a flat market, round after round: it enters everywhere, the stroke of the row falls, targets are hit.

Market and real time are one: both stand on the loop's clock, and where nothing is open both are put forward together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from exchange.errors import Refusal
from exchange.sim.core.nakedness import Cause, Naked
from exchange.sim.playback.candle_path import Quote
from exchange.sim.server.gateway import Answer, Gateway
from exchange.sim.server.memory import Asked, Blow, MemoryTransport
from exchange.sim.server.request_log import RequestLog
from fsm.core.model.decision import Step
from fsm.core.model.records import State
from fsm.core.model.transition_table import Trigger
from fsm.live.context.clock import DrivenClock
from fsm.live.process.assembly import assemble
from fsm.live.process.daemon import Daemon
from fsm.live.trading.lifeline import BEAT_S
from fsm.proofs.naked.acts import Acts
from fsm.proofs.naked.fault_catalog import Row
from fsm.proofs.naked.market import BEYOND_TARGETS, config, emulator_of, rules, symbols_of
from fsm.proofs.naked.stroke import ByHand, Stroke, is_close, is_stop
from fsm.proofs.naked.tally import Tally
from fsm.proofs.testkit.in_process_bot import HOUR_MS
from fsm.proofs.testkit.virtual_time import VirtualLoop
from fsm.proofs.torture.naked_time import NakedTimeChecker
from fsm.proofs.wire.line import Line
from fsm.proofs.wire.words import answer_tells, event_tells
from store.database import Store, open_store
from store.errors import WriteFailed
from store.inbox import Inbox

LATENCY_S = 0.05
STEP_S = 0.05
GRAIN_MS = 20
"""How far the emulator's clock may lie behind before it is moved."""

SETTLE_S = 1.9
AHEAD_S = 900.0
"""Listen keys live an hour and are extended every half: time is put forward in pieces, with a moment between them."""

ROUND_S_MIN = 3.0
REST_S_MAX = 60.0
TARGETS_S = 6.0
"""What fell out of a row because its stop was late rests by then: a look shows that it is missing."""

OVER_S_MIN = 60.0
SYNCHRONOUS_OFF = 0
DATABASE_ID = "7a4ed000"
ALERTS = "SELECT text FROM alerts WHERE symbol = ? AND kind = 'quarantine' ORDER BY id DESC"


class EqualClock(DrivenClock):
    """Shows the loop's time as the exchange's."""

    @property
    def speed(self) -> float:
        return 1.0

    async def pass_by(self, span_ms: int) -> None:
        await asyncio.sleep(min(max(span_ms / 1000, 0.001), 1.0))


class StallingStore(Store):
    """A store before whose commits something may happen."""

    def __init__(self, store: Store, scene: Scene) -> None:
        super().__init__(store.path, store.mode, store.database, store.seals)
        self._scene = scene
        self.connection.pragma("synchronous", SYNCHRONOUS_OFF)

    @contextmanager
    def transaction(self, kind: type[WriteFailed] = WriteFailed) -> Iterator[Any]:
        with super().transaction(kind) as connection:
            yield connection
            self._scene.stroke.commit()


class Scene:
    """Plays rounds until so many positions were opened. ``tally`` has what came of them."""

    def __init__(self, row: Row, folder: Path, *, symbols: int, seed: int) -> None:
        self.row = row
        self.symbols = symbols_of(symbols)
        self.chance = Random(f"{row.name} {seed}")  # noqa: S311 - chance, not secrecy
        self.emulator = emulator_of(self.symbols, self.now_s, rising=row.rising)
        self._start_ms = self.emulator.now_ms
        self.clock = EqualClock(lambda: self._start_ms + int(self.now_s() * 1000))
        self.tally = Tally(LATENCY_S)
        self.judge = NakedTimeChecker(self.emulator.state, self.now_s)
        self.judge.record.observers.append(self._naked_changed)
        self.emulator.state.fails_to_fill = lambda order: self.stroke.fails_to_fill(order.client_id)
        self.acts = Acts(self.emulator)
        self.stroke = Stroke(self)
        self.requests = 0
        self._db = folder / f"{row.name}.sqlite"
        self._transport = MemoryTransport(
            Gateway(self.emulator, RequestLog()), self, round_trip_s=LATENCY_S, moment=self._moment
        )
        self._daemon: Daemon | None = None
        self._task: asyncio.Task[None] | None = None
        self._store: Store | None = None

    # --- what the stroke sees -----------------------------------------------------------------
    def now_s(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:  # as it is built
            return 0.0

    def naked(self) -> list[str]:
        return list(self.judge.record.lasting)

    def struck(self, symbol: str) -> None:
        self.tally.struck(symbol, self.naked(), self.now_s())

    def pass_by(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.tally.stood_still(loop.time(), loop.time() + seconds)
        loop.jump(seconds)

    def held_up(self, seconds: float) -> None:
        """The thread beside the loop has a client of its own: here its requests arrive at once."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        lifeline, until_s = self.daemon.live.lifeline, loop.time() + seconds
        lifeline.beat(loop.time())
        while loop.time() < until_s:
            loop.jump(min(BEAT_S, until_s - loop.time()))
            for stop in lifeline.due(loop.time()):
                self._moment()
                with suppress(Refusal):
                    self.emulator.write(lambda request=stop.request: self.emulator.venue.place_algo(request))  # type: ignore[misc]
                    lifeline.rests(stop)
        lifeline.beat(loop.time())

    # --- the weather --------------------------------------------------------------------------
    def befalls(self, asked: Asked) -> Blow | None:
        self.requests += 1
        self.tally.asked(asked)
        blow = self.stroke.befalls(asked)
        if blow is not None and is_close(asked):
            self.tally.close_slowed(asked.symbol, self.now_s(), blow.request_s)
        return blow

    def arrives(self, asked: Asked) -> None:
        return

    def answered(self, asked: Asked, answer: Answer | None) -> None:
        answer_tells(self.judge, asked, answer)
        if is_stop(asked) and answer is not None and answer.status != 200:
            self.tally.stops_refused[asked.symbol] += 1
        if is_close(asked):
            self.tally.closed(asked, answer, self.now_s())

    def stream_late_s(self) -> float:
        return self.stroke.stream_late_s()

    def _moment(self) -> None:
        now_ms = self.clock.now_ms()
        if now_ms - self.emulator.now_ms >= GRAIN_MS:
            self.emulator.advance(now_ms)

    def _naked_changed(self, naked: Naked) -> None:
        """A stretch without a stop begins or ends."""
        if naked.until_s is None:
            self.stroke.filled(naked.symbol)
            if naked.cause is Cause.FLIPPED:
                self.tally.turned(naked.symbol, self.now_s())
            return
        self.tally.ended(naked, self.judge.word_s(naked.symbol))
        if self.emulator.state.holding(naked.symbol).quantity:
            self.stroke.protected(naked.symbol)

    # --- the bot ------------------------------------------------------------------------------
    async def start(self) -> None:
        self._store = StallingStore(open_store(self._db, mode="write", at_ms=self.clock.now_ms()), self)
        self._store.bind(environment="sim", account=None, at_ms=self.clock.now_ms(), database_id=DATABASE_ID)
        line = Line(self.emulator, self._transport, self, self.clock, lambda event: event_tells(self.judge, event))
        self._daemon = await assemble(
            config=config(self.symbols),
            rules=rules(),
            store=self._store,
            run_id="run1",
            exchange=line.client,
            clock=self.clock,
            on_step=self._stepped,
            listen=line.listen,
        )
        self._task = asyncio.create_task(self._daemon.run())
        while not self._daemon.started.is_set():
            self._raise_if_dead()
            await asyncio.sleep(STEP_S)

    def _stepped(self, step: Step) -> None:
        """Has the operator been told of a position that is not the bot's, with its size and that nothing covers it?"""
        if step.trigger is Trigger.QUARANTINE and self._store is not None:
            size = f"{abs(self.emulator.state.holding(step.symbol).quantity):f}"
            told = self._store.connection.execute(ALERTS, (step.symbol,)).fetchone()
            if told is not None and size in told[0] and "NO STOP covers it" in told[0]:
                self.tally.named(step.symbol, self.now_s())

    def _raise_if_dead(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()
            raise AssertionError("the bot has ended")

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()
        if self._store is not None:
            self._store.close()

    @property
    def daemon(self) -> Daemon:
        assert self._daemon is not None
        return self._daemon

    # --- rounds -------------------------------------------------------------------------------
    async def play(self, positions: int, rounds_max: int) -> None:
        """Round after round until so many positions were opened."""
        await self.start()
        rounds = 0
        while self.tally.positions < positions and rounds < rounds_max:
            rounds += 1
            await self._forward()
            self.tally.begin_round()
            if not (self.row.stays_halted and self.stroke.began_s is not None):
                self.stroke = self.row.make(self, self.acts)
            await self._watch()
            if self.row.rising:
                await self._forward()
                await self._watch()
            self.tally.end_round(self.row, self.stroke)
            if not self.row.stays_halted:
                self.stroke = Stroke(self)
            await self._rest()
            if self.tally.is_halted(self.row):
                return

    async def _forward(self) -> None:
        """To shortly before candles are read: both clocks, in pieces."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        close_ms = self.clock.now_ms() // HOUR_MS * HOUR_MS + HOUR_MS
        while (left_s := (close_ms - self.clock.now_ms()) / 1000 + SETTLE_S) > 0.0:
            loop.jump(min(left_s, AHEAD_S))
            self._moment()
            await asyncio.sleep(0.3 if left_s > AHEAD_S else 0.001)

    async def _watch(self) -> None:
        """Until everything that the stroke does is over, and every position is protected or closed."""
        began_s = self.now_s()
        while self.now_s() < began_s + OVER_S_MIN + 2 * self.row.waits_s:
            await asyncio.sleep(STEP_S)
            self._raise_if_dead()
            if isinstance(self.stroke, ByHand):
                self._moment()
                self.stroke.due()
            self._look_at_trades()
            waited_s = self.now_s() - began_s
            if waited_s < ROUND_S_MIN or (self.naked() and not self.tally.is_all_named):
                continue
            if self._is_settled() and (self.stroke.is_over() or waited_s > self.row.waits_s):
                break
        for symbol in self.naked():  # it has had its time, or is not the bot's: a hand ends what would last for ever
            self.acts.close(symbol)

    def _look_at_trades(self) -> None:
        engine, state = self.daemon.live.engine, self.emulator.state
        for symbol in self.symbols:
            open_trade = engine.record(symbol).trade is not None and engine.record(symbol).state is not State.ENTERING
            is_flat = state.holding(symbol).quantity == 0
            self.tally.held(symbol, open_trade=open_trade, is_flat=is_flat, now_s=self.now_s())

    def _is_settled(self) -> bool:
        engine = self.daemon.live.engine
        states = [engine.record(symbol).state for symbol in self.symbols]
        return all(state in (State.IDLE, State.PROTECTED, State.HALT) for state in states)

    async def _rest(self) -> None:
        """Targets are hit everywhere; whatever then stands still is resumed, and whatever is left is closed by hand."""
        await asyncio.sleep(TARGETS_S)
        self._moment()
        now_ms = self.emulator.now_ms
        up = {name: Quote(BEYOND_TARGETS, BEYOND_TARGETS) for name in self.symbols}
        self.emulator.move_prices(lambda: self.emulator.venue.jump(now_ms, up))
        await self._until_flat()
        if not self._is_flat():
            for symbol in self.symbols:
                self.acts.close(symbol)
            await self._until_flat()
        if not self.row.stays_halted:
            self._resume()
        await asyncio.sleep(3.0)

    def _resume(self) -> None:
        with open_store(self._db, mode="post") as post:
            inbox, engine = Inbox(post), self.daemon.live.engine
            standing = [r.symbol for r in engine.machines.records() if r.halt or r.paused or r.quarantine]
            everybody: list[str | None] = [None] if engine.account.halt or engine.account.paused else []
            for name in (*everybody, *standing):
                inbox.post("resume", name, "cli", self.clock.now_ms())

    async def _until_flat(self) -> None:
        until_s = self.now_s() + REST_S_MAX
        while not self._is_flat() and self.now_s() < until_s:
            await asyncio.sleep(STEP_S)
            self._moment()
            self._raise_if_dead()

    def _is_flat(self) -> bool:
        engine, state = self.daemon.live.engine, self.emulator.state
        return all(
            state.holding(symbol).quantity == 0 and engine.record(symbol).state in (State.IDLE, State.HALT)
            for symbol in self.symbols
        )
