"""Serves one WebSocket connection: reads its address, answers its control messages, and sends what the hub gives it.

Addresses and control messages: WebSocket change notice and stream pages (checked 2026-11). Whatever is asked for is
acknowledged; what is wrong with it shows only in that nothing comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qsl

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from exchange.sim.server.hub import Connection, Hub, Route

STREAMS_MAX = 1_024
MESSAGES_PER_S_MAX = 10


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What an address asks for."""

    route: Route
    combined: bool
    streams: list[str]
    keys: dict[str, frozenset[str] | None]


def read_address(path: str, query: str) -> Address | None:
    """None when there is nothing at this path."""
    parts = [part for part in path.split("/") if part]
    route = Route.UNROUTED
    if parts and parts[0] in (Route.PUBLIC, Route.MARKET, Route.PRIVATE):
        route = Route(parts.pop(0))
    if not parts or parts[0] not in ("ws", "stream"):
        return None
    combined = parts.pop(0) == "stream"
    pairs = parse_qsl(query)
    streams = parts + [name for key, value in pairs if key == "streams" for name in value.split("/") if name]
    return Address(route=route, combined=combined, streams=streams[:STREAMS_MAX], keys=_keys(pairs))


def _keys(pairs: list[tuple[str, str]]) -> dict[str, frozenset[str] | None]:
    """Each listenKey with the events= that follows it; None = no list was given."""
    found: dict[str, frozenset[str] | None] = {}
    newest: str | None = None
    for name, value in pairs:
        if name == "listenKey":
            newest = value
            found[value] = None
        elif name == "events" and newest is not None:
            found[newest] = frozenset(value.split("/"))
    return found


class Sockets:
    """Serves every connection of a hub."""

    def __init__(self, hub: Hub, monotonic: Callable[[], float]) -> None:
        self._hub = hub
        self._monotonic = monotonic

    async def serve(self, socket: WebSocket) -> None:
        """Until either side closes."""
        query = socket.scope["query_string"].decode("utf-8", "replace")
        address = read_address(str(socket.scope["path"]), query)
        if address is None:
            await socket.close()  # before accepting: the handshake is refused
            return
        connection = self._hub.open(address.route, combined=address.combined)
        self._hub.subscribe(connection, address.streams)
        connection.keys.update(address.keys)
        try:
            await socket.accept()  # whoever reads the answer to the handshake is listening already
            await self._talk(socket, connection)
        finally:
            self._hub.drop(connection)

    async def _talk(self, socket: WebSocket, connection: Connection) -> None:
        reading = asyncio.ensure_future(self._read(socket, connection))
        writing = asyncio.ensure_future(_write(socket, connection))
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, socket: WebSocket, connection: Connection) -> None:
        second, seen = 0, 0
        try:
            while True:
                text = await socket.receive_text()
                now = int(self._monotonic())
                second, seen = (second, seen + 1) if now == second else (now, 1)
                if seen > MESSAGES_PER_S_MAX:
                    connection.close(1008)
                connection.offer(msgspec.json.encode(self.control(connection, text)).decode())
        except (WebSocketDisconnect, KeyError):  # a binary frame has no text
            return

    def control(self, connection: Connection, text: str) -> dict[str, object]:
        """Carry out one control message; returns its answer."""
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            return {"code": 3, "msg": f"Invalid JSON: {error}"}
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return {"code": 2, "msg": "Invalid request: missing field `method`"}
        number, params = message.get("id"), message.get("params", [])
        if message["method"] in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                return {"code": 2, "msg": "Invalid request: params must be a list of stream names", "id": number}
            self._change(connection, message["method"] == "SUBSCRIBE", params)
            return {"result": None, "id": number}
        if message["method"] == "LIST_SUBSCRIPTIONS":
            return {"result": list(connection.streams), "id": number}
        if message["method"] in ("SET_PROPERTY", "GET_PROPERTY") and params and params[0] == "combined":
            if message["method"] == "GET_PROPERTY":
                return {"result": connection.combined, "id": number}
            connection.combined = bool(params[1]) if len(params) > 1 else connection.combined
            return {"result": None, "id": number}
        return {"code": 2, "msg": f"Invalid request: unknown variant {message['method']!r}", "id": number}

    def _change(self, connection: Connection, more: bool, names: list[str]) -> None:
        """On /private a name may be the listen key, as the official SDK sends it."""
        if not more:
            self._hub.unsubscribe(connection, names)
            for name in names:
                connection.keys.pop(name, None)
            return
        room = STREAMS_MAX - len(connection.streams)
        self._hub.subscribe(connection, names[: max(room, 0)])
        if connection.route is Route.PRIVATE:
            for name in names[: max(room, 0)]:
                connection.keys.setdefault(name, None)
                connection.asked_by_message.add(name)


async def _write(socket: WebSocket, connection: Connection) -> None:
    try:
        while (text := await connection.next()) is not None:
            await socket.send_text(text)
        await socket.close(connection.close_code or 1000)
    except (WebSocketDisconnect, RuntimeError):  # the far side was faster
        return
