"""Hands stream events to one consumer without ever making the stream wait or growing without bound."""

from __future__ import annotations

import asyncio

from exchange.events import Resync, StreamEvent

EVENTS_MAX = 1_000
"""Far more than a minute of a busy account; a consumer that is further behind must look afresh anyway."""


class EventQueue:
    """``put`` is a Sink. When it is full, everything in it is dropped for one Resync, which says it all."""

    def __init__(self, limit: int = EVENTS_MAX) -> None:
        self._queue: asyncio.Queue[StreamEvent] = asyncio.Queue(maxsize=limit)

    def put(self, event: StreamEvent) -> None:
        """Never blocks and never fails."""
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            event = Resync(stream="queue", reason=f"more than {self._queue.maxsize} events were waiting")
        self._queue.put_nowait(event)

    async def get(self) -> StreamEvent:
        """The oldest event, as soon as there is one."""
        return await self._queue.get()

    def __len__(self) -> int:
        return self._queue.qsize()
