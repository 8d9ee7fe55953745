"""Steps the clock of a simulator that is a process of its own, from close to close, and waits for the daemon each time.

The market moves only when it is told to, and stops after everything that happens to the account until the daemon has
answered: by what the stream tells, or, without one, by its own looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from exchange.sim.remote import RemoteSimulation
from fsm.bootstrap import Made
from fsm.live.clock import SteppedClock

ASK_AGAIN_S = 0.001
ANSWER_S_MAX = 60.0
"""Real time in which a daemon answers what happened; far above its protection deadline."""


class NotAnswered(Exception):
    """The daemon did not come to rest, or its stream did not tell; the message says where."""


class Stepper:
    """Moves one simulation and one daemon. Run the daemon beside it."""

    def __init__(self, simulation: RemoteSimulation, clock: SteppedClock, made: Made) -> None:
        self._simulation = simulation
        self._clock = clock
        self._made = made
        self._settle_ms = made.daemon.shared.in_force.settings.market_data.settle_delay_ms
        self.events = 0

    async def close(self, close_ms: int) -> None:
        """Go on to this full hour, let the daemon decide on the candles that close then, and carry it out."""
        await self.until(close_ms + self._settle_ms)
        schedule = self._made.daemon.schedule
        async with _patience(f"no decision on the close at {close_ms}"):
            await self._once(lambda: schedule.decided_ms is not None and schedule.decided_ms >= close_ms)
            if self._made.daemon.shared.engine.active():
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
                    await self._seen()
                    await self._at_rest()

    async def _seen(self) -> None:
        """Without a stream: until each symbol that holds something was looked at by the daemon's own interval."""
        since_s = self._clock.monotonic()
        if self._made.stream is None:
            lanes = self._made.daemon.lanes.values()
            await self._once(lambda: all(lane.record.trade is None or lane.looked_s >= since_s for lane in lanes))

    async def _at_rest(self) -> None:
        """Until the daemon has heard everything that was told, has nothing to do, and waits for nothing."""
        lanes = list(self._made.daemon.lanes.values())
        while True:
            told = await self._heard()
            await self._once(lambda: all(lane.quiet.is_set() and not lane.is_waiting for lane in lanes))
            if await self._heard() == told and all(lane.quiet.is_set() for lane in lanes):
                return

    async def _heard(self) -> int:
        """How much the stream has told, once all of it has arrived and woken whom it is about."""
        stream, queue = self._made.stream, self._made.queue
        if stream is None:
            return 0
        told = await self._simulation.told()
        await self._once(lambda: stream.received_count >= told and not len(queue))
        return told

    async def _once(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; what it asks for is another task's work on this same loop."""
        while not condition():
            await self._clock.sleep(ASK_AGAIN_S)


@asynccontextmanager
async def _patience(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            yield
    except TimeoutError:
        raise NotAnswered(f"{what} within {ANSWER_S_MAX:.0f} s") from None
