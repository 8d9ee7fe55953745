"""A real exchange that can be reached by its public half alone, the exchange on paper that follows it, and a bot there.

All in one process on a virtual loop: the exchange plays recorded candles second by second, its line can go down, its
stream can be late, silent or cut, and what it is asked is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import localcontext
from pathlib import Path

import httpx

from exchange.binance.http import Http
from exchange.binance.public_prices import PublicPrices
from exchange.clock import Clock as PlainClock
from exchange.paper.mirror import Mirror
from exchange.paper.serve import Paper, PaperSetup, begin
from exchange.sim.server.control import Control
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.gateway import Answer, Gateway
from exchange.sim.server.memory import Asked, Blow, Broken, MemoryStreams, MemoryTransport
from exchange.sim.server.request_log import RequestLog
from exchange.sim.server.saved import SavedState
from exchange.sim.server.setup import SimulationSetup, build
from fsm.config import Config
from fsm.core.model.money import MONEY
from fsm.live.context.clock import DrivenClock
from fsm.live.process.assembly import assemble
from fsm.live.process.daemon import Daemon
from fsm.proofs.testkit.virtual_time import run_virtually
from fsm.proofs.wire.line import REST_URL, STREAM_URL, Line
from indicators.candle import Timeframe
from rules.load import Ruleset
from store.database import open_store

TICK_S = 0.25


class Calm:
    """Nothing goes wrong, unless ``is_down``: nobody is there. ``late_s`` holds the stream up, which then bursts."""

    def __init__(self) -> None:
        self.is_down = False
        self.late_s = 0.0
        self.asked: list[Asked] = []

    def befalls(self, asked: Asked) -> Blow | None:
        return Blow(broken=Broken.REFUSED) if self.is_down else None

    def arrives(self, asked: Asked) -> None:
        self.asked.append(asked)

    def answered(self, asked: Asked, answer: Answer | None) -> None:
        """Not looked at."""

    def stream_late_s(self) -> float:
        return self.late_s


class Heads(MemoryTransport):
    """Remembers the headers that requests carried."""

    def __init__(self, gateway: Gateway, weather: Calm) -> None:
        super().__init__(gateway, weather)
        self.headers: set[str] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.headers.update(name.lower() for name in request.headers)
        return await super().handle_async_request(request)


class RealExchange:
    """Plays candles in real time, which is the loop's."""

    def __init__(self, folder: Path, start_ms: int, symbols: tuple[str, ...], step: Timeframe) -> None:
        setup = SimulationSetup(folders=(folder,), symbols=symbols, start_ms=start_ms, speed=1.0, step=step)
        self.emulator: Emulator = build(setup, monotonic=_loop_s)
        self.emulator.clock.anchor(start_ms)
        self.control = Control(self.emulator, RequestLog())
        self.weather = Calm()
        self.transport = Heads(Gateway(self.emulator, RequestLog()), self.weather)
        self.streams = MemoryStreams(self.emulator.hub, self.weather)

    async def run(self) -> None:
        while True:
            await self.control.keep_time()
            await asyncio.sleep(TICK_S)

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[AsyncIterator[str]]:
        if self.weather.is_down:
            raise ConnectionRefusedError("nobody is there")
        async with self.streams.connect(url) as frames:
            yield frames

    def go_down(self) -> None:
        """Nobody can be reached, and nothing comes any more."""
        self.weather.is_down = True
        self.emulator.hub.cut()

    def come_back(self) -> None:
        self.weather.is_down = False


class PaperBot:
    """``real`` and what follows it. ``paper`` is there after ``begin``."""

    def __init__(
        self,
        *,
        config: Config,
        rules: Ruleset,
        data: Path,
        db: Path,
        start_ms: int,
        symbols: tuple[str, ...],
        step: Timeframe,
    ) -> None:
        self.config, self.rules, self.db, self.symbols, self.start_ms = config, rules, db, symbols, start_ms
        self._data, self._step = data, step
        self.clock = DrivenClock(lambda: start_ms + int(_loop_s() * 1_000))
        self.real: RealExchange
        self.paper: Paper
        self.daemon: Daemon
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, script: Callable[[PaperBot], Awaitable[None]]) -> None:
        async def play() -> None:
            self.real = RealExchange(self._data, self.start_ms, self.symbols, self._step)
            real = asyncio.create_task(self.real.run())
            try:
                await script(self)
            finally:
                await self._end([*self._tasks, real])

        with localcontext(MONEY):
            run_virtually(play())

    async def begin(self, saved: SavedState | None = None, watched: tuple[str, ...] | None = None) -> None:
        """The exchange on paper alone, as its process begins."""
        simulation = self.config.settings.simulation
        setup = PaperSetup(
            rest_url=REST_URL,
            ws_urls=(STREAM_URL,),
            symbols=self.symbols if watched is None else watched,
            balance=simulation.balance_usdt,
            slippage_pct=simulation.slippage_pct,
            stop_depth=simulation.stop_depth_share,
        )
        clock: PlainClock = self.clock
        http = Http(base_url=REST_URL, clock=clock, transport=self.real.transport, steady=True)
        mirror = Mirror(REST_URL, self.real.transport)
        self.paper = await begin(setup, PublicPrices(http), mirror, clock, saved, connect_to=self.real.connect)
        self._tasks += [asyncio.create_task(self.paper.feed.run()), asyncio.create_task(self._keep_time())]

    async def start(self) -> None:
        """And the bot on it."""
        store = open_store(self.db, mode="write", at_ms=self.clock.now_ms())
        store.bind(environment="paper", account=None, at_ms=self.clock.now_ms())
        emulator, calm = self.paper.app.emulator, Calm()
        transport = MemoryTransport(self.paper.gateway, calm, round_trip_s=0.02)
        line = Line(emulator, transport, calm, self.clock)
        self.daemon = await assemble(
            config=self.config,
            rules=self.rules,
            store=store,
            run_id="run1",
            exchange=line.client,
            clock=self.clock,
            on_step=lambda step: None,
            listen=line.listen,
        )
        self._tasks.append(asyncio.create_task(self.daemon.run()))
        while not self.daemon.started.is_set():
            await asyncio.sleep(TICK_S)
            self._tasks[-1].done() and self._tasks[-1].result()

    async def until(self, at_ms: int) -> None:
        while self.clock.now_ms() < at_ms:
            await asyncio.sleep(TICK_S)
            for task in self._tasks:
                if task.done():
                    task.result()

    async def _keep_time(self) -> None:
        while True:
            await self.paper.app.control.keep_time()
            await asyncio.sleep(TICK_S)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _loop_s() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
