"""The only reader of time: what the exchange's clock says, how much real time passes, and waiting for either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from exchange.errors import ExchangeError

LOOK_AGAIN_S = 1.0
"""How long to wait at most before asking a clock again: it may be set, stopped or stepped meanwhile."""

STEPPED_LOOK_S = 0.02
"""The same for a clock that moves only in steps, whose next step may come at any moment."""


class Clock(Protocol):
    """``now_ms`` is the exchange's time, which may run fast or stand still; the others are real.

    ``wall_ms`` is for readers, who compare it with their own clock, and for retries, which it spaces also across a
    new start; nothing else is decided by it.
    """

    def now_ms(self) -> int: ...

    def wall_ms(self) -> int: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    @property
    def speed(self) -> float:
        """How many of the exchange's milliseconds pass in a real one; 0 for a clock that is moved step by step."""
        ...

    async def pass_by(self, span_ms: int) -> None:
        """Wait until the exchange's clock may have moved on that far; it may end sooner, so ask again."""
        ...


class _RealTime:
    """What all clocks but a driven one have in common: real time is this machine's."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class WallClock(_RealTime):
    """The clock of this machine: the exchange's time runs as fast as ours (the client corrects the difference)."""

    def now_ms(self) -> int:
        return self.wall_ms()

    @property
    def speed(self) -> float:
        return 1.0

    async def pass_by(self, span_ms: int) -> None:
        await asyncio.sleep(_bounded(span_ms / 1000))


class PacedClock(_RealTime):
    """The clock of a simulated exchange, read from it now and then and carried on between at its own speed.

    It never goes back, and not beyond ``end_ms``, where the recorded data ends. Speed 0 stands still until read again.
    """

    def __init__(self, read: Callable[[], Awaitable[tuple[int, float]]], *, end_ms: int | None = None) -> None:
        self._read = read
        self._end_ms = end_ms
        self._anchor_ms = 0
        self._anchor_s = time.monotonic()
        self._speed = 0.0
        self._latest_ms = 0

    async def keep_right(self) -> None:
        """Read it again and again: seldom while it runs, often while it stands still, because then it is stepped."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S if self._speed else STEPPED_LOOK_S)
            await self.try_synchronise()

    async def synchronise(self) -> None:
        """Read the exchange's clock once. Raises what the reading raises."""
        sent_s = time.monotonic()
        server_ms, speed = await self._read()
        self._anchor_s = (sent_s + time.monotonic()) / 2
        self._anchor_ms, self._speed = server_ms, speed

    async def try_synchronise(self) -> None:
        """The same, but an exchange that does not answer leaves the clock as it runs."""
        with suppress(ExchangeError):
            await self.synchronise()

    def now_ms(self) -> int:
        elapsed_ms = int((time.monotonic() - self._anchor_s) * 1000 * self._speed)
        now_ms = self._anchor_ms + max(elapsed_ms, 0)
        if self._end_ms is not None:
            now_ms = min(now_ms, self._end_ms)
        self._latest_ms = max(self._latest_ms, now_ms)
        return self._latest_ms

    @property
    def speed(self) -> float:
        return self._speed

    async def pass_by(self, span_ms: int) -> None:
        await asyncio.sleep(_bounded(span_ms / 1000 / self._speed) if self._speed else STEPPED_LOOK_S)


class DrivenClock:
    """The exchange's time is told by whoever drives it; real time is the event loop's, which may be virtual."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms()

    def wall_ms(self) -> int:
        return int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @property
    def speed(self) -> float:
        return 0.0

    async def pass_by(self, span_ms: int) -> None:
        await asyncio.sleep(LOOK_AGAIN_S)


class SteppedClock(_RealTime):
    """The exchange's time stands still until it is set, which wakes at once whoever waits for it."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._moved = asyncio.Event()

    def set(self, now_ms: int) -> None:
        """The exchange's clock shows this now."""
        self._now_ms = now_ms
        self._moved.set()
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    @property
    def speed(self) -> float:
        return 0.0

    async def pass_by(self, span_ms: int) -> None:
        await self._moved.wait()


async def wait_until(clock: Clock, at_ms: int) -> None:
    """Wait until the exchange's clock shows this time."""
    while (left_ms := at_ms - clock.now_ms()) > 0:
        await clock.pass_by(left_ms)


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.001), LOOK_AGAIN_S)
