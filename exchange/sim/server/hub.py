"""Knows every WebSocket connection and which streams it wants; hands messages to them and never waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

BACKLOG_MAX = 20_000
"""Messages a connection may be behind before it is closed: a client that does not read must not fill the memory."""

LIFETIME_S = 86_400.0
"""Connections are cut after 24 hours, in real time (WebSocket market streams, checked 2026-11)."""


class Route(StrEnum):
    """Where a connection was made; UNROUTED gets what /public has and nothing else (change notice of 2026-04-23)."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"
    UNROUTED = ""


class Connection:
    """One socket as the hub sees it: what it asked for, and what waits to be sent to it."""

    def __init__(self, route: Route, *, combined: bool, born_s: float) -> None:
        self.route = route
        self.combined = combined
        self.born_s = born_s
        self.streams: dict[str, None] = {}
        self.keys: dict[str, frozenset[str] | None] = {}
        self.asked_by_message: set[str] = set()
        self.close_code: int | None = None
        self.muted = False
        self.offered = 0
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()

    def offer(self, text: str) -> None:
        """Have it sent, unless the connection is being closed or hears nothing any more."""
        if self.close_code is not None:
            return
        if self._waiting.qsize() >= BACKLOG_MAX:
            self.close(1008)
            return
        self.offered += 1
        self._waiting.put_nowait(text)

    def publish(self, stream: str, payload: str) -> None:
        """A message of a stream, in the wrapping that this connection wants."""
        if not self.muted:
            self.offer(f'{{"stream":"{stream}","data":{payload}}}' if self.combined else payload)

    def close(self, code: int) -> None:
        """Send what waits, then close."""
        if self.close_code is None:
            self.close_code = code
            self._waiting.put_nowait(None)

    async def next(self) -> str | None:
        """The next text to send; None = close now."""
        return await self._waiting.get()

    @property
    def waits(self) -> int:
        """How many texts are there to be sent."""
        return self._waiting.qsize()


class Hub:
    """All connections, and an index of the streams that somebody listens to."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._connections: dict[Connection, None] = {}
        self._listeners: dict[str, dict[Connection, None]] = {}

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections))

    def open(self, route: Route, *, combined: bool) -> Connection:
        connection = Connection(route, combined=combined, born_s=self._monotonic())
        self._connections[connection] = None
        return connection

    def drop(self, connection: Connection) -> None:
        """The socket is gone."""
        self.unsubscribe(connection, list(connection.streams))
        self._connections.pop(connection, None)

    def subscribe(self, connection: Connection, names: list[str]) -> None:
        for name in names:
            connection.streams[name] = None
            self._listeners.setdefault(name, {})[connection] = None

    def unsubscribe(self, connection: Connection, names: list[str]) -> None:
        for name in names:
            connection.streams.pop(name, None)
            listeners = self._listeners.get(name, {})
            listeners.pop(connection, None)
            if not listeners:
                self._listeners.pop(name, None)

    def wanted(self) -> list[str]:
        """Names that somebody asked for, right or wrong."""
        return list(self._listeners)

    def publish(self, stream: str, routes: frozenset[Route], payload: object) -> None:
        """Send to those who listen on a route that carries the stream; on a wrong one nothing ever comes."""
        listeners = [found for found in self._listeners.get(stream, {}) if found.route in routes]
        if listeners:
            text = msgspec.json.encode(payload).decode()
            for connection in listeners:
                connection.publish(stream, text)

    def cut(self, code: int = 1001) -> None:
        """Close every connection, as the exchange does after 24 hours and when it restarts."""
        for connection in self._connections:
            connection.close(code)

    def cut_old(self) -> None:
        """Close the connections whose 24 hours are over."""
        now_s = self._monotonic()
        for connection in self._connections:
            if now_s - connection.born_s >= LIFETIME_S:
                connection.close(1001)

    def mute(self, muted: bool) -> None:
        """Connections of now stay open and hear nothing, or hear again."""
        for connection in self._connections:
            connection.muted = muted
