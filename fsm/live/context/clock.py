"""The only reader of time: what the exchange's clock says, how much real time passes, and waiting for either.

Three clocks of this machine are read, and nothing but messages to readers is ever decided by the one that can be set:

* the monotonic clock, for deadlines; it stands still while the machine is suspended;
* the boot clock, which counts on through a suspend, and carries the exchange's time between two measurements;
* the wall clock, which anybody may set: once at the start, to have something to begin with, and for readers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from exchange.errors import ExchangeError
from exchange.server_time import Measured, ServerTime

LOOK_AGAIN_S = 1.0
"""How long to wait at most before asking a clock again: it may be set, stopped or stepped meanwhile."""

STEPPED_LOOK_S = 0.02
"""The same for a clock that moves only in steps, whose next step may come at any moment."""


BACK_MS_MAX = 1_000
"""So far back a correction is waited out, so that no moment comes twice; beyond it the exchange itself went back."""


def _boot_s() -> float:
    """Only Linux tells; elsewhere a suspend shows as a jump of the difference to the exchange, which is measured."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class Hands:
    """The clocks of this machine, as arguments: seconds without suspends, seconds with them, and the wall clock."""

    monotonic: Callable[[], float] = time.monotonic
    boot: Callable[[], float] = _boot_s
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class Clock(Protocol):
    """``now_ms`` is the exchange's time, which may run fast or stand still in a simulation; the others are real.

    ``wall_ms`` is this machine's clock, which may be set at any time: for readers, who compare it with their own.
    ``real_ms`` is as near to true time as can be had, and never stepped: for what is spaced in real time also across a
    new start.
    """

    def now_ms(self) -> int: ...

    def wall_ms(self) -> int: ...

    def real_ms(self) -> int: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    @property
    def speed(self) -> float:
        """How many of the exchange's milliseconds pass in a real one; 0 for a clock that is moved step by step."""
        ...

    @property
    def measured(self) -> Measured | None:
        """The latest measurement of the exchange's clock; None where it is not measured, as in a simulation."""
        ...

    async def pass_by(self, span_ms: int) -> None:
        """Wait until the exchange's clock may have moved on that far; it may end sooner, so ask again."""
        ...


class _RealTime:
    """What all clocks but a driven one have in common: real time is this machine's, as it was set at the start."""

    def __init__(self, hands: Hands | None = None) -> None:
        self.hands = hands or Hands()
        self._zero_ms = self.hands.wall_ms() - int(self.hands.boot() * 1000)

    def wall_ms(self) -> int:
        return self.hands.wall_ms()

    def real_ms(self) -> int:
        return self._zero_ms + int(self.hands.boot() * 1000)

    def monotonic(self) -> float:
        return self.hands.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @property
    def measured(self) -> Measured | None:
        return None


class MachineClock(_RealTime):
    """This machine's own idea of the time: its wall clock at the start, carried on by what nobody can set."""

    def now_ms(self) -> int:
        return self.real_ms()

    @property
    def speed(self) -> float:
        return 1.0

    async def pass_by(self, span_ms: int) -> None:
        await asyncio.sleep(_bounded(span_ms / 1000))


class ExchangeClock(MachineClock):
    """The exchange's time: the machine's unsteppable clock and the measured offset, which signatures go by too (R76).

    It never goes back, unless the exchange itself is found to have gone back by more than a second.
    """

    def __init__(self, machine: MachineClock, server: ServerTime) -> None:
        super().__init__(machine.hands)
        self._server = server
        self._latest_ms = 0

    def now_ms(self) -> int:
        found_ms = self._server.now_ms()
        if not 0 < self._latest_ms - found_ms <= BACK_MS_MAX:
            self._latest_ms = found_ms
        return self._latest_ms

    def real_ms(self) -> int:
        return self.now_ms()

    @property
    def measured(self) -> Measured | None:
        return self._server.latest

    async def measure(self) -> None:
        """Ask for the exchange's time now. Raises ExchangeError."""
        await self._server.measure(seen_version=self._server.version)


class PacedClock(_RealTime):
    """The clock of a simulated exchange, read from it now and then and carried on between at its own speed.

    It never goes back, and not beyond ``end_ms``, where the recorded data ends. Speed 0 stands still until read again.
    """

    def __init__(self, read: Callable[[], Awaitable[tuple[int, float]]], *, end_ms: int | None = None) -> None:
        super().__init__()
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

    def real_ms(self) -> int:
        return self.wall_ms()

    @property
    def measured(self) -> Measured | None:
        return None

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

    def __init__(self, now_ms: int, hands: Hands | None = None) -> None:
        super().__init__(hands)
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
