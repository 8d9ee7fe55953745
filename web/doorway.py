"""Bounds connections before there is a request: how long a head may take, and who makes way when too many wait.

A connection *waits* while no request of it is under way: its head has not come, or its last answer has gone. One that
waits too long is closed, and the one that has waited longest makes way for a newcomer where there are too many: of
one address, or altogether. So slow callers never keep anybody out, and the operator always gets in.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from web.crowd import HEAD_BYTES_MAX, head_too_large, spelt_out
from web.errors import ApiError

CONNECTIONS_MAX = 432
"""Open connections. More than the requests that may be under way (crowd.REQUESTS_MAX), so that some always wait."""
WAITING_OF_ADDRESS_MAX = 32
"""Of one address, of those that have had their second. A browser keeps six; behind a proxy all have one address."""
FIRST_S = 1.0
"""What everybody has to send a head before making way for others of the same address."""
HEAD_S = 5.0
"""For a head from its first byte; and for the first byte from when the connection was made or had its last answer."""
LINGER_S = 2.0
"""What is left to a caller to take an answer whose connection is closed behind it."""


class Doorway:
    """Who waits, the one that has waited longest first."""

    def __init__(self) -> None:
        self._inside: set[Connection] = set()
        self._waiting: dict[str, dict[Connection, float]] = {}

    def enter(self, connection: Connection, now_s: float) -> None:
        """Somebody has come; others may have to make way."""
        self._inside.add(connection)
        while len(self._inside) > CONNECTIONS_MAX and (oldest := self._oldest()) is not None:
            self._expel(oldest)
        waiting = self._waiting.get(connection.address, {})
        while len(waiting) >= WAITING_OF_ADDRESS_MAX:
            oldest, since_s = next(iter(waiting.items()))
            if now_s - since_s < FIRST_S:
                break
            self._expel(oldest)
        self.waits(connection, now_s)

    def waits(self, connection: Connection, now_s: float) -> None:
        """No request of it is under way."""
        self.works(connection)
        self._waiting.setdefault(connection.address, {})[connection] = now_s

    def works(self, connection: Connection) -> None:
        """A request of it is under way: it makes way for nobody."""
        waiting = self._waiting.get(connection.address)
        if waiting is not None and waiting.pop(connection, None) is not None and not waiting:
            del self._waiting[connection.address]

    def leave(self, connection: Connection) -> None:
        self._inside.discard(connection)
        self.works(connection)

    def _oldest(self) -> Connection | None:
        firsts = [next(iter(waiting.items())) for waiting in self._waiting.values()]
        return min(firsts, key=lambda first: first[1])[0] if firsts else None

    def _expel(self, connection: Connection) -> None:
        self.leave(connection)
        connection.make_way()


class Connection(H11Protocol):
    """uvicorn's, which waits for nobody for ever."""

    def __init__(self, *, doorway: Doorway, **given: Any) -> None:
        super().__init__(**given)
        self._doorway = doorway
        self._timer: asyncio.TimerHandle | None = None
        self._has_begun = False
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._doorway.enter(self, self.loop.time())
        self._limit(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unlimit()
        self._doorway.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_asking:
            self._has_begun = False
            self._unlimit()
            self._doorway.works(self)
        elif not self._has_begun:
            self._has_begun = True
            self._limit(HEAD_S)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_asking:
            self._doorway.waits(self, self.loop.time())
            self._limit(HEAD_S)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls where a request makes no sense."""
        if len(self.conn.trailing_data[0]) > HEAD_BYTES_MAX:
            self._refuse(head_too_large())
        else:
            self._refuse(ApiError(400, "BAD_REQUEST", "this is not a request of HTTP/1.1", "ask with an HTTP client"))

    def make_way(self) -> None:
        hint = "send the whole head at once"
        if self._has_begun and not self.transport.get_write_buffer_size():
            self._refuse(ApiError(408, "SLOW_HEAD", f"the head did not arrive within {HEAD_S:g} s", hint))
        else:
            self._close(0.0)

    def shutdown(self) -> None:
        """The server ends. A stream is cut, and so is who is still sending; answers under way may end."""
        if self._is_asking and (self.cycle.response_started or self.cycle.more_body):
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.abort()
        elif self._is_asking:
            super().shutdown()
        else:
            self._close(LINGER_S / 2)

    @property
    def _is_asking(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: ApiError) -> None:
        if self._is_asking or self.conn.our_state is not h11.IDLE:
            self._close(0.0)
            return
        status, headers, body = spelt_out(error)
        headers = [header for header in headers if header[0] != b"connection"] + [(b"connection", b"close")]
        head = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._close(LINGER_S)

    def _close(self, linger_s: float) -> None:
        """Close, and do not wait for ever until what was written is taken."""
        self._unlimit()
        if linger_s:
            self.transport.close()
            self._timer = self.loop.call_later(linger_s, self.transport.abort)
        else:
            self.transport.abort()

    def _limit(self, seconds: float) -> None:
        self._unlimit()
        self._timer = self.loop.call_later(seconds, self.make_way)

    def _unlimit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
