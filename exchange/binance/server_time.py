"""Keeps the difference between our clock and the exchange's, and measures it again at most once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from exchange.binance.clock import Clock


class ServerTime:
    """``now_ms`` = our clock + the offset. ``version`` rises with each measurement, so that callers coalesce."""

    def __init__(self, clock: Clock, read_server_ms: Callable[[], Awaitable[int]]) -> None:
        self._clock = clock
        self._read_server_ms = read_server_ms
        self._lock = asyncio.Lock()
        self._offset_ms = 0
        self.version = 0

    def now_ms(self) -> int:
        """The exchange's time, as well as we know it."""
        return self._clock.now_ms() + self._offset_ms

    @property
    def offset_ms(self) -> int:
        """How far the exchange's clock is ahead of ours."""
        return self._offset_ms

    async def measure(self, *, seen_version: int) -> int:
        """Read the server's time, unless somebody did since ``seen_version``; returns the server's time now."""
        async with self._lock:
            if self.version == seen_version:
                sent_ms = self._clock.now_ms()
                server_ms = await self._read_server_ms()
                received_ms = self._clock.now_ms()
                # the answer was written about half-way; a clock that jumped meanwhile only spoils this half
                travel_ms = max(received_ms - sent_ms, 0) // 2
                self._offset_ms = server_ms + travel_ms - received_ms
                self.version += 1
        return self.now_ms()
