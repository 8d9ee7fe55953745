"""Keeps the difference between our clock and the exchange's: the one measured offset, for signatures and decisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from exchange.clock import Clock
from exchange.priority import Priority

log = logging.getLogger(__name__)

ROUND_TRIP_MS_MAX = 2_000
"""A slower answer says less about the exchange's clock than we know already."""

JUMP_MS = 1_000
"""An offset that differs by more than this is believed only when a second measurement agrees (R76)."""

UNCERTAIN_MS_MAX = 100
"""A difference above this is taken over however slow the answer was: time stamps must be right to a second."""

DOUBT_PAUSE_S = 0.25
"""Between an answer that is doubted and the next: two of the same moment may come from the same wrong clock."""

DOUBTED_MAX = 5
"""So many measurements that do not agree with one another are one failure: the offset stays as it is."""


class Measured(msgspec.Struct, frozen=True):
    """One measurement: the offset, how long its question was under way, and when by our own clock. Milliseconds."""

    offset_ms: int
    round_trip_ms: int
    at_ms: int

    def agrees(self, other: Measured) -> bool:
        """Two answers agree when what is uncertain of both, and half a second, explains their difference."""
        uncertain_ms = (self.round_trip_ms + other.round_trip_ms) // 2
        return abs(self.offset_ms - other.offset_ms) <= JUMP_MS // 2 + uncertain_ms


class ServerTime:
    """``now_ms`` = our clock + the offset. ``version`` rises with each measurement, so that callers coalesce.

    With ``steady`` our clock is one that nothing steps, so a jump of the difference is doubted at first. The clock of a
    simulation, which runs fast or is stepped itself, is not steady: there the newest answer is right.
    """

    def __init__(
        self, clock: Clock, read_server_ms: Callable[[Priority], Awaitable[int]], *, steady: bool = False
    ) -> None:
        self._clock = clock
        self._read_server_ms = read_server_ms
        self._steady = steady
        self._lock = asyncio.Lock()
        self._offset_ms = 0
        self.latest: Measured | None = None
        self.version = 0

    def now_ms(self) -> int:
        """The exchange's time, as well as we know it."""
        return self._clock.now_ms() + self._offset_ms

    @property
    def offset_ms(self) -> int:
        """How far the exchange's clock is ahead of ours."""
        return self._offset_ms

    async def measure(self, *, seen_version: int, priority: Priority = Priority.TRADE) -> int:
        """Read the server's time, unless somebody did since ``seen_version``; returns the server's time now.

        ``priority`` is that of what the time is needed for.
        """
        async with self._lock:
            if self.version == seen_version:
                await self._measure(priority)
        return self.now_ms()

    async def _measure(self, priority: Priority) -> None:
        first = await self._once(priority)
        found = await self._agreed(first, priority) if self._steady and self._is_doubtful(first) else first
        if found is None:
            log.warning("measurements of the exchange's clock do not agree; the offset stays %d ms", self._offset_ms)
            return
        # within what is uncertain of it, the new one says nothing new: the offset must not follow every slow answer
        says_more = abs(found.offset_ms - self._offset_ms) > min(found.round_trip_ms // 2, UNCERTAIN_MS_MAX)
        if not self._steady or says_more or self.latest is None:
            self._offset_ms = found.offset_ms
        self.latest = found
        self.version += 1

    def _is_doubtful(self, found: Measured) -> bool:
        slow = found.round_trip_ms > ROUND_TRIP_MS_MAX
        return slow or abs(found.offset_ms - self._offset_ms) > JUMP_MS

    async def _agreed(self, first: Measured, priority: Priority) -> Measured | None:
        """The first measurement that agrees with the one before it; one that is not doubtful needs no other."""
        before = first
        for _ in range(DOUBTED_MAX - 1):
            await self._clock.sleep(DOUBT_PAUSE_S)
            found = await self._once(priority)
            if not self._is_doubtful(found):
                return found
            fast = self.latest is None or found.round_trip_ms <= ROUND_TRIP_MS_MAX
            if fast and found.agrees(before):
                return found
            before = found
        return None

    async def _once(self, priority: Priority) -> Measured:
        sent_ms = self._clock.now_ms()
        server_ms = await self._read_server_ms(priority)
        received_ms = self._clock.now_ms()
        # the answer was written about half-way; a clock that jumped meanwhile only spoils this half
        round_trip_ms = max(received_ms - sent_ms, 0)
        return Measured(server_ms + round_trip_ms // 2 - received_ms, round_trip_ms, received_ms)
