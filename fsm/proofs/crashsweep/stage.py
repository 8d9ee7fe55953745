"""The rehearsal of a bot that may die at every call: exchange, commits, files, messages are reached through its life.

Dying is followed by a new start while the market stands still, as often as it takes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec

from exchange.port import Exchange
from exchange.types import Pause, Room
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.delivery import Delivery
from fsm.live.operator.messenger import Message, Tally
from fsm.live.process.supervisor import Background
from fsm.live.process.timekeeping import first_measured
from fsm.proofs.crashsweep.full_disk import Disk
from fsm.proofs.crashsweep.intended import is_intended
from fsm.proofs.crashsweep.points import Died, Flight, Kind, Life, Point, Reaper, Side
from fsm.proofs.testkit.in_process_bot import DATABASE_ID, InProcessBot
from fsm.proofs.torture.machine import Machine
from store.alerts import AlertBox
from store.database import Store, open_store
from store.errors import StoreError, WriteFailed

WRITES = frozenset(
    {"place_order", "place_algo", "cancel_order", "cancel_algo", "cancel_all", "ensure_margin_type", "ensure_leverage"}
)
PLACES = frozenset({"place_order", "place_algo"})
SETTLED_S = 12.0
"""Real time after a start in which the market stands still: absences are believed, late requests have arrived."""

STARTS_MAX = 8
STARTED_AGAIN_AFTER_S = 15.0
"""What a supervisor waits before it starts a bot again that could not write."""


class MortalStore(Store):
    """A store whose transactions are calls: before the commit, and after it. It is not flushed to the disk: only a
    power cut could tell, and nothing here is one."""

    def __init__(self, store: Store, life: Life, begins: Callable[[Point], None]) -> None:
        """``begins`` is called within every transaction, before anything is written in it."""
        super().__init__(store.path, store.mode, store.database, store.seals)
        self._life = life
        self._begins = begins
        self._depth = 0
        self.connection.pragma("synchronous", "OFF")

    @contextmanager
    def transaction(self, kind: type[WriteFailed] = WriteFailed) -> Iterator[Any]:
        self._life.check()
        if self._depth:
            with super().transaction(kind) as connection:
                yield connection
            return
        point = self._life.call(Kind.COMMIT, _writer())
        self._depth += 1
        try:
            with super().transaction(kind) as connection:
                self._begins(point)
                yield connection
                self._life.at(point, Side.BEFORE)
        finally:
            self._depth -= 1
        self._life.at(point, Side.AFTER)


def _writer() -> str:
    """Who commits: the first function outside of the store on the way here."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith(("store.", "contextlib", __name__)):
            return f"{name}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "start"


class MortalExchange:
    """Every method of a port, each a call; changes of the exchange travel on their own once they have left."""

    def __init__(self, stage: CrashingBot, life: Life, latency_s: float) -> None:
        self._stage = stage
        self._life = life
        self._latency_s = latency_s
        self._left: set[str] = set()

    def set_naked(self, symbol: str, naked: bool) -> None:
        self._stage.port.set_naked(symbol, naked)

    def has_left(self, client_id: str) -> bool:
        """What departed arrives, whatever becomes of the one who sent it."""
        return client_id in self._left

    def pause(self) -> Pause | None:
        return self._stage.port.pause()

    def room(self) -> Room:
        return self._stage.port.room()

    def tell_unreadable(self, told: Callable[[str, str], None]) -> None:
        self._stage.port.tell_unreadable(told)

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **named: Any) -> Any:
            return await self._call(method, args, named)

        return call

    async def _call(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        life = self._life
        point = life.call(Kind.EXCHANGE, _said(method, args))
        if method in PLACES:
            self._stage.check_intended(args[0].client_id)
            self._left.add(args[0].client_id)

        async def effect() -> Any:
            return await getattr(self._stage.port, method)(*args, **named)

        if method in WRITES:
            flight = Flight(effect)
            flight.task = asyncio.ensure_future(self._travel(flight))
            life.depart(flight)
            life.at(point, Side.BEFORE)
            answer = await asyncio.shield(flight.task)
        else:
            life.at(point, Side.BEFORE)
            await self._stage.clock.sleep(self._latency_s / 2)
            answer = await effect()
        life.at(point, Side.AFTER)
        await self._stage.clock.sleep(self._latency_s / 2)
        life.check()
        return answer

    async def _travel(self, flight: Flight) -> Any:
        await self._stage.clock.sleep(self._latency_s / 2)
        self._life.arrive(flight)
        return await flight.effect()


def _said(method: str, args: tuple[Any, ...]) -> str:
    told = []
    for each in args[:2]:
        client_id = getattr(each, "client_id", None)
        if client_id is not None:
            told.append(f"{each.symbol} {client_id}")
        elif isinstance(each, str):
            told.append(each)
    return " ".join((method, *told))


class Messenger:
    """The operator's telephone: everything that arrived, in its order."""

    def __init__(self, life: Callable[[], Life]) -> None:
        self._life = life
        self.heard: list[str] = []

    async def hear(self, after: int | None) -> list[Message]:
        """Nobody writes."""
        del after
        return []

    async def send(self, text: str, *, silent: bool) -> None:
        del silent
        life = self._life()
        point = life.call(Kind.MESSAGE, text[:60])
        life.at(point, Side.BEFORE)
        self.heard += [line.rpartition("UTC  ")[2] for line in text.splitlines()]
        life.at(point, Side.AFTER)

    async def edit(self, message_id: int, text: str) -> None:
        """Never asked for: ``send`` gives no number."""

    async def show(self, png: bytes, caption: str, *, silent: bool) -> None:
        await self.send(caption, silent=silent)


WALL_HOURS = (0.0, 16.0, -1.0, -0.9, 960.0, -9_600.0, 40.0)
"""How wrong the machine's clock is in one process after the other."""


class Naked(msgspec.Struct):
    """A position without a stop: since when in real time, counted anew from a start of the bot."""

    symbol: str
    since_s: float


class CrashingBot(InProcessBot):
    """A in-process bot with a reaper. ``failures`` are sentences about what must not happen while it runs."""

    def __init__(self, *, reaper: Reaper, travel_s: float = 0.02, **given: Any) -> None:
        super().__init__(**given)
        self.machine = Machine(lambda: self.venue.now_ms)
        self.clock = self.machine.clock
        self.reaper = reaper
        self.travel_s = travel_s
        self.failures: list[tuple[str, str]] = []
        self._lives: list[Life] = []
        self.life = self._new_life()
        self.messenger = Messenger(lambda: self.life)
        self._reviving: asyncio.Task[None] | None = None
        self._naked: dict[str, Naked] = {}
        self.on_life: Callable[[], None] = lambda: None
        self.disk = Disk()
        self.ended_unwritten = 0

    # --- one process --------------------------------------------------------------------------
    def _new_life(self) -> Life:
        self._lives.append(Life(self.reaper, looks=self._look_around, ended=self._died))
        return self._lives[-1]

    def opened(self) -> Store:
        self.life = life = self._new_life()
        self._naked.clear()
        lock, base = life.call(Kind.FILE, "lock"), life.call(Kind.FILE, "open the database")
        life.at(lock, Side.BEFORE)
        self.lock.acquire()
        life.at(lock, Side.AFTER)
        life.at(base, Side.BEFORE)
        self.store = store = MortalStore(open_store(self.db, mode="write", at_ms=self.venue.now_ms), life, self._begins)
        life.at(base, Side.AFTER)
        store.bind(environment="sim", account=None, at_ms=self.venue.now_ms, database_id=DATABASE_ID)
        return store

    async def _live(self) -> None:
        """Each process reads another wall clock at its start, and is right all the same (R76)."""
        self.machine.set_wall(WALL_HOURS[self.starts % len(WALL_HOURS)], seconds=0)
        self.clock = clock = self.machine.process(self.machine.told)
        await first_measured(clock)
        try:
            await super()._live()
        except (StoreError, ExceptionGroup):
            if self.disk.fills == 0:
                raise
            self._ended_unwritten()
            raise

    def exchange(self) -> Exchange:
        self.on_life()
        return cast(Exchange, MortalExchange(self, self.life, self.travel_s))

    def background(self, live: LiveContext) -> Sequence[Background]:
        return (Delivery(AlertBox(live.journal.store), self.messenger, live.active, self.clock, Tally()).run,)

    async def begin(self) -> None:
        """The first start; a process that dies in it is followed by the next."""
        try:
            await self.start()
        except (Died, StoreError, OSError, BaseExceptionGroup) as ended:
            self._not_dead(ended)
        except asyncio.CancelledError:
            if self._reviving is None:
                raise
            # it died in one of several calls at once, and the next process did not wait for the others
        await self.up()

    async def up(self) -> None:
        """Until a process lives and has settled, or none will."""
        if self._reviving is not None:
            await asyncio.wait({self._reviving})

    def _begins(self, point: Point) -> None:
        full = self.reaper.full_at(point)
        if full is not None:
            self.disk.fill(full.seconds)

    # --- death, and the next one --------------------------------------------------------------
    def _ended_unwritten(self) -> None:
        """The process has ended by itself, since nothing could be written: nobody looks after its positions now."""
        self.ended_unwritten += 1
        for symbol in self.config.settings.symbols:
            if self.daemon is not None and self.venue.state.holding(symbol).quantity and not self._has_stop(symbol):
                self.failures.append(("LEFT_COVERED", f"{symbol} was left without a stop"))
        self.life.over()
        self._died()

    def _died(self) -> None:
        self._restarting = True
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.ensure_future(self._revive())

    async def _revive(self) -> None:
        try:
            for _ in range(STARTS_MAX):
                if await self._start_again() and not self.life.is_over:
                    return
            self.failures.append(("STARTS_AGAIN", f"it did not come up in {STARTS_MAX} starts"))
        except Exception as error:
            self.failures.append(("STARTS_AGAIN", f"a start failed: {type(error).__name__}: {error}"))
        finally:
            self._restarting = False

    async def _start_again(self) -> bool:
        """Start while the market stands still, and once more: twice is the same as once (R24). False: it died."""
        first = None
        for _ in range(2 if self.reaper.is_done else 1):
            await self.kill()
            if self.disk.is_full:
                await self.clock.sleep(STARTED_AGAIN_AFTER_S)
            try:
                await self.start()
            except (Died, StoreError, OSError, BaseExceptionGroup) as ended:
                return self._not_dead(ended)
            if await self._strays_arrived():  # the next comparison of the whole account finds what came too late
                await self.clock.sleep(self.config.settings.loops.lists_interval_ms / 1000)
            await self.clock.sleep(SETTLED_S)
            if self.life.is_over:
                return False
            found = self._standing()
            if first is not None and found != first:
                self.failures.append(("RECOVERED_TWICE", _difference(first, found)))
            first = found
        return True

    def _not_dead(self, ended: BaseException) -> bool:
        """False for a death, and for what a full disk explains; anything else is raised on."""
        expected = (Died, StoreError, OSError) if self.disk.fills else Died
        others = ended.split(expected)[1] if isinstance(ended, BaseExceptionGroup) else ended
        if others is None or isinstance(others, expected):
            if not isinstance(ended, Died):
                self._died()
            return False
        raise others

    async def _strays_arrived(self) -> bool:
        """Whatever outlives a process has arrived; True where something did."""
        return any([await life.strays_arrived() for life in self._lives])

    def _standing(self) -> dict[str, object]:
        """What a start must leave as it is."""
        symbols = list(self.running.workers)
        engine, state = self.running.live.engine, self.venue.state
        return {
            "records": [msgspec.to_builtins(engine.record(symbol)) for symbol in symbols],
            "account": msgspec.to_builtins(engine.account),
            "next row": self.running.live.journal.journal.next_transition_id,
            "positions": [(symbol, state.holding(symbol).quantity) for symbol in self.stage.feeds],
            "orders": [(order.client_id, order.status.value) for order in (*state.orders, *state.algos)
                       if "-P" not in order.client_id],
        }  # fmt: skip

    async def kill(self) -> None:
        self.life.over()
        process = self._task
        await super().kill()
        if process is not None and not process.cancelled():
            process.exception()

    # --- what is looked at all the time -------------------------------------------------------
    def check_intended(self, client_id: str) -> None:
        """An order leaves: what wants it is committed (R18). The self-test's probe is announced in system_events."""
        assert self.store is not None
        if "-P" in client_id:
            return
        if not is_intended(self.store, client_id):
            self.failures.append(("INTENT_FIRST", f"{client_id} left and no committed row wants it"))

    def _look_around(self) -> None:
        if self.daemon is None:
            return
        now_s = self.clock.monotonic()
        deadline_s = self.config.settings.protection.deadline_ms / 1000
        for symbol in self.daemon.workers:
            if self.venue.state.holding(symbol).quantity == 0 or self._has_stop(symbol):
                self._naked.pop(symbol, None)
                continue
            naked = self._naked.setdefault(symbol, Naked(symbol, now_s))
            state = self.daemon.live.engine.record(symbol).state.value
            if now_s - naked.since_s > deadline_s + 1 and state not in ("FLATTEN", "EXITING"):
                seconds = round(now_s - naked.since_s, 1)
                self.failures.append(("COVERED_IN_TIME", f"{symbol} is {state} and without a stop for {seconds} s"))
                naked.since_s = now_s

    def _has_stop(self, symbol: str) -> bool:
        held = self.venue.state.holding(symbol).quantity
        return any(
            algo.type.value == "STOP_MARKET"
            and (algo.close_position or (algo.quantity or 0) >= abs(held))
            and (algo.side.value == "SELL") == (held > 0)
            for algo in self.venue.state.algos.open(symbol)
        )


def _difference(first: dict[str, object], then: dict[str, object]) -> str:
    changed = {name: (first[name], then[name]) for name in first if first[name] != then[name]}
    return "; ".join(f"{name} was {was} and is {now}" for name, (was, now) in changed.items())
