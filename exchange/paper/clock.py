"""Reads this machine's clocks, and says how far prices on paper may go: as far as they are known, and no further."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from exchange.sim.server.clock import SimClock


class OwnClock:
    """The wall clock at the start, carried on by one that nobody can set and that counts on through a suspend."""

    def __init__(self) -> None:
        self._zero_ms = time.time_ns() // 1_000_000 - int(_boot_s() * 1_000)

    def now_ms(self) -> int:
        return self._zero_ms + int(_boot_s() * 1_000)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class PaperClock(SimClock):
    """The real exchange's time. ``known_ms``: it now, or None while prices are not known."""

    def __init__(self, now_ms: int, known_ms: Callable[[], int | None]) -> None:
        super().__init__(now_ms, 1.0, lambda: 0.0)
        self._known_ms = known_ms

    def target_ms(self, now_ms: int) -> int:
        known_ms = self._known_ms()
        return now_ms if known_ms is None else max(known_ms, now_ms)
