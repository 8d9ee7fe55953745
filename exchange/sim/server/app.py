"""Puts the parts behind one port: the exchange's REST interface, its WebSocket routes, and the simulation's own."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from exchange.sim.server.control import Control
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.gateway import Gateway
from exchange.sim.server.request_log import RequestLog
from exchange.sim.server.sockets import Sockets
from exchange.sim.server.wire import drop


class App:
    """An ASGI application. Only names of this machine are accepted as Host, so no web page can reach it."""

    def __init__(self, emulator: Emulator, gateway: Gateway | None = None) -> None:
        """``gateway``: what answers under /fapi, if it is another one than the emulator's own."""
        self.emulator = emulator
        self._gateway = gateway or Gateway(emulator, RequestLog())
        self.control = Control(emulator, self._gateway.requests)
        self._sockets = Sockets(emulator.hub, emulator.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            if _is_here(socket.headers.get("host", "")):
                await self._sockets.serve(socket)
            else:
                await socket.close()
            return
        if scope["type"] != "http":
            raise RuntimeError(f"nothing here speaks {scope['type']}")
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ConnectionResetError:
            if not drop(dict(scope)):
                raise
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if not _is_here(request.headers.get("host", "")):
            return Response("this simulator answers on loopback only\n", 421, {"content-type": "text/plain"})
        if str(request.scope["path"]).startswith("/sim/"):
            return await self.control.respond(request)
        return await self._gateway.respond(request)


def _is_here(host: str) -> bool:
    """True for localhost and loopback addresses, with or without a port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if name.lower() in ("localhost", "testserver"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
