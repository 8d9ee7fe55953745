"""Carries requests and streams to an emulator in the same process: no sockets, no threads, and everything may go wrong.

What the client sends is real to the byte, and so is what comes back. What befalls a request on its way (delays, lost
halves, answers of a firewall that stands before the exchange) is asked of a ``Weather``; all its times are seconds of
the event loop, which may be a virtual one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from exchange.sim.server.gateway import Answer, Gateway
from exchange.sim.server.hub import Connection, Hub
from exchange.sim.server.sockets import read_address


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it leaves the client: its number from 1, and when (seconds of the loop)."""

    number: int
    method: str
    path: str
    params: Mapping[str, str]
    at_s: float

    @property
    def what(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def symbol(self) -> str:
        return self.params.get("symbol", "")

    @property
    def client_id(self) -> str:
        names = ("newClientOrderId", "clientAlgoId", "origClientOrderId")
        return next((self.params[name] for name in names if name in self.params), "")


class Broken(StrEnum):
    """How a connection looks to the client when nothing comes back."""

    SILENT = "SILENT"  # it stays open and nothing ever comes
    DROPPED = "DROPPED"  # it is cut after the request was sent
    REFUSED = "REFUSED"  # there is none: the request was never sent


class Blow(msgspec.Struct, frozen=True, kw_only=True):
    """What befalls one request.

    ``request_s`` and ``answer_s`` are delays on the way there and back. ``instead`` is the answer that the client gets,
    ``broken`` means that it gets none; either way the request is carried out only if ``arrives``, at once or ``late_s``
    after the client was answered. ``alter`` changes what really comes back.
    """

    request_s: float = 0.0
    answer_s: float = 0.0
    instead: Answer | None = None
    broken: Broken | None = None
    arrives: bool = False
    late_s: float | None = None
    alter: Callable[[Answer], Answer] | None = None


_NOTHING = Blow()


class WireFaults(Protocol):
    """Whoever decides what goes wrong, and sees what comes and goes."""

    def befalls(self, asked: Asked) -> Blow | None:
        """Asked as a request leaves the client."""
        ...

    def arrives(self, asked: Asked) -> None:
        """It is about to be carried out."""
        ...

    def answered(self, asked: Asked, answer: Answer | None) -> None:
        """The client gets this; None: nothing."""
        ...

    def stream_late_s(self) -> float:
        """How much later than it happened the stream tells of it; below zero: not at all."""
        ...


class MemoryTransport(httpx.AsyncBaseTransport):
    """``moment`` is called before a request is carried out: it brings the market to where it should be by now."""

    def __init__(
        self,
        gateway: Gateway,
        weather: WireFaults,
        *,
        round_trip_s: float = 0.0,
        moment: Callable[[], None] = lambda: None,
    ) -> None:
        self._gateway = gateway
        self._weather = weather
        self._half_s = round_trip_s / 2
        self._moment = moment
        self._late: set[asyncio.Task[Answer]] = set()
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        query = request.url.query.decode("utf-8", "surrogateescape")
        body = request.content.decode("utf-8", "surrogateescape") if request.method != "GET" else ""
        api_key = request.headers.get("x-mbx-apikey", "")
        asked = Asked(
            number=self.asked,
            method=request.method,
            path=request.url.path,
            params=dict(parse_qsl(query)),
            at_s=asyncio.get_running_loop().time(),
        )
        answer = await self._answered(asked, query, body, api_key)
        self._weather.answered(asked, answer)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    async def _answered(self, asked: Asked, query: str, body: str, api_key: str) -> Answer:
        blow = self._weather.befalls(asked) or _NOTHING
        if blow.broken is Broken.REFUSED:
            await _wait(blow.request_s)
            raise self._nothing(asked, httpx.ConnectError("connection refused"))
        real = blow.instead is None and blow.broken is None
        found: Answer | None = blow.instead
        if not real and not blow.arrives:
            await _wait(self._half_s + blow.request_s)
        elif blow.late_s is not None:
            self._under_way(self._travels(blow.late_s, asked, query, body, api_key))
            await _wait(self._half_s + blow.request_s)
        else:
            carried = await self._sent(self._half_s + blow.request_s, asked, query, body, api_key)
            found = carried if real else found
        await _wait(self._half_s + blow.answer_s)
        if blow.broken is Broken.SILENT:
            await asyncio.Event().wait()
        if found is None:
            raise self._nothing(asked, httpx.RemoteProtocolError("the connection was dropped without an answer"))
        return found if blow.alter is None else blow.alter(found)

    async def _sent(self, wait_s: float, asked: Asked, query: str, body: str, api_key: str) -> Answer:
        """What was sent arrives, whatever becomes of the client that waits for its answer."""
        if wait_s <= 0:
            return await self._carried(asked, query, body, api_key)
        return await asyncio.shield(self._under_way(self._travels(wait_s, asked, query, body, api_key)))

    async def _travels(self, wait_s: float, asked: Asked, query: str, body: str, api_key: str) -> Answer:
        await asyncio.sleep(wait_s)
        return await self._carried(asked, query, body, api_key)

    def _under_way(self, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        task = asyncio.get_running_loop().create_task(work)
        self._late.add(task)
        task.add_done_callback(self._arrived)
        return task

    def _arrived(self, task: asyncio.Task[Answer]) -> None:
        """Nobody may be waiting for it any more, so its error is looked at here."""
        self._late.discard(task)
        if not task.cancelled():
            task.exception()

    async def _carried(self, asked: Asked, query: str, body: str, api_key: str) -> Answer:
        self._moment()
        self._weather.arrives(asked)
        try:
            return await self._gateway.answer(asked.method, asked.path, query, body, api_key)
        except ConnectionResetError:
            raise self._nothing(asked, httpx.RemoteProtocolError("the connection was dropped")) from None

    def _nothing(self, asked: Asked, error: httpx.TransportError) -> httpx.TransportError:
        self._weather.answered(asked, None)
        return error


class MemoryStreams:
    """Connects to an emulator's hub as a WebSocket client would, and hears what it would hear."""

    def __init__(self, hub: Hub, weather: WireFaults) -> None:
        self._hub = hub
        self._weather = weather

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[AsyncIterator[str]]:
        parts = urlsplit(url)
        address = read_address(parts.path, parts.query)
        if address is None:
            raise ConnectionRefusedError(f"there is nothing at {parts.path}")
        connection = self._hub.open(address.route, combined=address.combined)
        self._hub.subscribe(connection, address.streams)
        connection.keys.update(address.keys)
        try:
            yield self._frames(connection)
        finally:
            self._hub.drop(connection)

    async def _frames(self, connection: Connection) -> AsyncIterator[str]:
        """What waits when a delay is over comes at once: the whole stream is late, not each message after the other."""
        while (text := await connection.next()) is not None:
            late_s = self._weather.stream_late_s()
            if late_s < 0:
                continue
            count = 0
            if late_s:
                await asyncio.sleep(late_s)
                count = connection.waits
            yield text
            for _ in range(count):
                following = await connection.next()
                if following is None:
                    return
                yield following


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
