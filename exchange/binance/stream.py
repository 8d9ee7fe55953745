"""Keeps one WebSocket connection alive: connects, watches, ends it when it is due or silent, and begins again.

A successful handshake proves nothing: a wrong route, a bogus key or a misspelt name connects and then says
nothing (field probes, 2026-09). So what counts is what arrives, and each (re)connection asks for a full read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from exchange.binance import fields
from exchange.clock import Clock
from exchange.environment import is_loopback
from exchange.errors import ExchangeError, MalformedReply
from exchange.events import Resync, Sink, StreamAlarm
from exchange.secrets import RedactingFilter, redact

log = logging.getLogger(__name__)

LIFETIME_S = 85_800.0
"""Connections are cut after 24 hours (WebSocket market streams, checked 2026-11); we go ten minutes before."""

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before connecting again; at most 300 attempts in five minutes are allowed, this stays far below."""

_OPEN_S = 10.0
_PING_S = 20.0  # ours, so that a half-open connection is noticed; Binance's own comes every 3 minutes
_FRAME_BYTES_MAX = 1024 * 1024
_STEADY_S = 60.0  # a connection that lived this long starts the pauses from the first again

# The library logs handshakes and frames at DEBUG, and those carry listen keys.
_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.WARNING)
_wire_log.addFilter(RedactingFilter())


Frames = AsyncIterable[str | bytes]
Connect = Callable[[str], AbstractAsyncContextManager[Frames]]
"""Opens a connection to an address; what it gives ends when the far side closes."""


class SessionEnded(Exception):
    """Ends a connection on purpose; ``silent`` marks one that looked alive and was not."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Channel(Protocol):
    """What is particular to a kind of stream."""

    name: str

    async def path(self) -> str:
        """Path and query of the next connection; may ask the exchange for a key."""
        ...

    def opened(self) -> None:
        """A connection was made."""
        ...

    def received(self, payload: object) -> None:
        """One decoded frame. Raises MalformedReply, or SessionEnded to begin again."""
        ...

    def guards(self) -> list[Awaitable[None]]:
        """Watchers that run beside the connection and raise SessionEnded."""
        ...


class Stream:
    """Runs a channel until cancelled. The addresses are tried in turn, and left when they stay silent."""

    def __init__(
        self,
        channel: Channel,
        *,
        base_urls: tuple[str, ...],
        clock: Clock,
        sink: Sink,
        connect_to: Connect | None = None,
    ) -> None:
        """``connect_to`` is there for whoever runs the exchange in the same process; else it is a WebSocket."""
        if not base_urls:
            raise ValueError("a stream needs at least one address; without any, poll instead")
        self._channel = channel
        self._base_urls = base_urls
        self._clock = clock
        self._sink = sink
        self._connect_to = connect_to or _socket
        self._turn = 0
        self.is_open = False

    async def run(self) -> None:
        """Connect for ever; every failure is a reason, an event and a pause, never an exception."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            reason, next_address = await self._session()
            self.is_open = False
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # it failed while it was being closed
            self._turn += 1 if next_address else 0
            log.warning("%s stream ended: %s", self._channel.name, reason)
            self._sink(Resync(stream=self._channel.name, reason=reason))
            failures = 0 if self._clock.monotonic() - began >= _STEADY_S else failures + 1
            await self._clock.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])

    async def _session(self) -> tuple[str, bool]:
        """One connection, to its end: why it ended, and whether the next address is worth a try."""
        base_url = self._base_urls[self._turn % len(self._base_urls)]
        try:
            path = await self._channel.path()
        except ExchangeError as error:
            return f"no key: {error}", False
        try:
            async with self._connect_to(f"{base_url}{path}") as frames:
                self.is_open = True
                self._channel.opened()
                self._sink(Resync(stream=self._channel.name, reason="connected"))
                await self._first_end(self._read(frames), *self._channel.guards(), self._lifetime())
        except SessionEnded as ended:
            if ended.silent:
                self._sink(StreamAlarm(stream=self._channel.name, reason=str(ended)))
            return str(ended), ended.silent
        except (WebSocketException, OSError, EOFError) as error:  # a time-out is an OSError
            return redact(f"{type(error).__name__} {error}".strip()), True
        return "closed by the exchange", False

    async def _read(self, frames: Frames) -> None:
        """Frames until the far side closes. One that cannot be read means: something happened, look."""
        async for frame in frames:
            body = frame.encode() if isinstance(frame, str) else frame
            try:
                self._channel.received(fields.decode(body, self._channel.name))
            except MalformedReply as error:
                log.warning("%s stream: %s", self._channel.name, redact(str(error)))
                self._sink(Resync(stream=self._channel.name, reason=redact(str(error))))

    async def _lifetime(self) -> None:
        await self._clock.sleep(LIFETIME_S)
        raise SessionEnded("its 24 hours are nearly over")

    async def _first_end(self, *parts: Awaitable[None]) -> None:
        """Run all parts; when one ends or fails, cancel the others and pass its end on."""
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


class _Straight(connect):
    """Goes where it was told to go: a redirection would take a listen key to somebody else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _socket(url: str) -> connect:
    return _Straight(
        url,
        open_timeout=_OPEN_S,
        ping_interval=_PING_S,
        ping_timeout=_PING_S,
        close_timeout=1.0,
        max_size=_FRAME_BYTES_MAX,
        compression=None,
        proxy=None if is_loopback(url) else True,
        logger=_wire_log,
    )
