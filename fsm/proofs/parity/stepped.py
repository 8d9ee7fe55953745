"""Steps the clock of a simulator that is a process of its own, from close to close, and waits for the daemon each time.

The market moves only when it is told to, and stops after everything that happens to the account until the daemon has
answered: by what the stream tells, or, without one, by its own looks. On a ``PatientLoop`` real time stands still while
the daemon waits for an answer, so that a loaded machine does not look like an exchange that is late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from exchange.binance.client import BinanceClient
from exchange.environment import Network
from exchange.secrets import Credentials, Secret
from exchange.sim.server.launch import Launched
from exchange.sim.server.remote import RemoteSimulation, WatchedTransport
from fsm.bootstrap import Run, Where, make_daemon, open_bound
from fsm.live.context.clock import Hands, SteppedClock
from fsm.live.process.daemon import Daemon
from fsm.proofs.testkit.virtual_time import PatientLoop

ASK_AGAIN_S = 0.005
ANSWER_S_MAX = 120.0
"""Real time in which a daemon answers what happened; far above every time-out of a call."""

START_S_MAX = 900.0
"""A daemon feeds the whole history of all its symbols before it has started."""


class NotAnswered(Exception):
    """The daemon did not come to rest, or its stream did not tell; the message says where."""


@asynccontextmanager
async def stepped_daemon(run: Run, simulator: Launched) -> AsyncIterator[Stepper]:
    """A daemon that has started on this simulator, and what moves both; the daemon is stopped in order at the end.

    Raises what the daemon's start and life raise, and NotAnswered.
    """
    keys = Credentials(api_key=Secret(simulator.api_key), api_secret=Secret(simulator.api_secret))
    where = Where(network=Network.SIM, rest_url=simulator.rest, ws_urls=(simulator.ws,), credentials=keys)
    async with AsyncExitStack() as ending:
        simulation = RemoteSimulation(simulator.rest)
        ending.push_async_callback(simulation.aclose)
        hands, transport = _patience_of(asyncio.get_running_loop())
        clock = SteppedClock((await simulation.clock())[0], hands)
        client = BinanceClient(base_url=where.rest_url, clock=clock, credentials=keys, transport=transport)
        ending.push_async_callback(client.aclose)
        store = await ending.enter_async_context(open_bound(run, where, clock, client))
        daemon = await make_daemon(run, where, store, client, clock)
        life = asyncio.create_task(daemon.run())
        try:
            stepper = Stepper(simulation, clock, daemon, life)
            await stepper.started()
            yield stepper
            daemon.stop()
            await life
        finally:
            life.cancel()
            await asyncio.wait({life})


class Stepper:
    """Moves one simulation and one daemon."""

    def __init__(
        self, simulation: RemoteSimulation, clock: SteppedClock, daemon: Daemon, life: asyncio.Task[None]
    ) -> None:
        self.daemon = daemon
        self._simulation = simulation
        self._clock = clock
        self._life = life
        self._settle_ms = daemon.live.active.settings.market_data.settle_delay_ms
        self.events = 0

    async def started(self) -> None:
        """Until the daemon takes decisions, and its stream listens."""
        stream = self.daemon.stream
        async with _patience("the daemon did not start", START_S_MAX):
            await self._once(self.daemon.started.is_set)
            await self._once(lambda: stream is None or stream.is_open)

    async def close(self, close_ms: int) -> None:
        """Go on to this full hour, let the daemon decide on the candles that close then, and carry it out."""
        await self.until(close_ms + self._settle_ms)
        schedule = self.daemon.schedule
        async with _patience(f"no decision on the close at {close_ms}"):
            await self._once(lambda: schedule.decided_ms is not None and schedule.decided_ms >= close_ms)
            if self.daemon.live.engine.active():
                await self._at_rest()

    async def until(self, at_ms: int) -> None:
        """Move on to this time, and stop wherever something happens to the account."""
        reached = False
        while not reached:
            now_ms, reached = await self._simulation.advance(at_ms - self._clock.now_ms(), until_event=True)
            self._clock.set(now_ms)
            if not reached:
                self.events += 1
                async with _patience(f"no answer to what happened at {now_ms}"):
                    await self._hear()
                    await self._seen()
                    await self._at_rest()

    async def _seen(self) -> None:
        """Without a stream: until each symbol that holds something was looked at by the daemon's own interval."""
        since_s = self._clock.monotonic()
        if self.daemon.stream is None:
            lanes = self.daemon.workers.values()
            await self._once(
                lambda: all(worker.record.trade is None or worker.looking.looked_s >= since_s for worker in lanes)
            )

    async def _at_rest(self) -> None:
        """Until the daemon has heard everything that was told, has nothing to do, and waits for nothing."""
        workers = list(self.daemon.workers.values())
        resting = False
        while not resting:
            await self._once(lambda: all(worker.quiet.is_set() and not worker.looking.is_waiting for worker in workers))
            await self._hear()
            resting = all(worker.quiet.is_set() for worker in workers)

    async def _hear(self) -> None:
        """Until everything that the stream has told so far has arrived and woken whom it is about."""
        stream, events = self.daemon.stream, self.daemon.listener.events
        if stream is not None:
            told = await self._simulation.told()
            await self._once(lambda: stream.received_count >= told and not len(events))

    async def _once(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; what it asks for is another task's work on this same loop."""
        while not condition():
            if self._life.done():
                self._life.result()
                raise NotAnswered("the daemon has ended")
            await self._clock.sleep(ASK_AGAIN_S)


def _patience_of(loop: asyncio.AbstractEventLoop) -> tuple[Hands | None, WatchedTransport | None]:
    """The time that the daemon goes by, and what lets it stand still."""
    if not isinstance(loop, PatientLoop):
        return None, None
    return Hands(monotonic=loop.time, boot=loop.time), WatchedTransport(loop.awaiting)


@asynccontextmanager
async def _patience(what: str, limit_s: float = ANSWER_S_MAX) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError:
        raise NotAnswered(f"{what} within {limit_s:.0f} s") from None
