"""Our client on the simulator's own gateway without a socket between them, for tests of thousands of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request

from exchange.binance.client import BinanceClient
from exchange.secrets import Credentials, Secret
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.gateway import Gateway
from exchange.sim.server.request_log import RequestLog
from exchange.sim.server.setup import SimulationSetup, build
from tests.contract.grounds import BALANCE, START_MS

Breaks = Callable[[], httpx.TransportError]


def _dropped() -> httpx.TransportError:
    return httpx.RemoteProtocolError("the connection was dropped without an answer")


class WiredTransport(httpx.AsyncBaseTransport):
    """Carries requests to a gateway. ``breaks`` says how a connection that a fault drops looks to the client."""

    def __init__(self, gateway: Gateway) -> None:
        self.breaks: Breaks = _dropped
        self._gateway = gateway

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        scope: dict[str, Any] = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
        }
        try:
            response = await self._gateway.respond(Request(scope, _no_body))
        except ConnectionResetError:
            raise self.breaks() from None
        return httpx.Response(response.status_code, headers=response.raw_headers, content=bytes(response.body))


def credentials_of(emulator: Emulator) -> Credentials:
    """The account's keys in the client's own words."""
    keys = emulator.credentials
    return Credentials(api_key=Secret(keys.api_key), api_secret=Secret(keys.api_secret))


class SimulatedClock:
    """Shows the simulation's time; waiting moves it on at once."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._waited_s = 0.0

    def now_ms(self) -> int:
        return self._emulator.now_ms

    def monotonic(self) -> float:
        return self._waited_s

    async def sleep(self, seconds: float) -> None:
        self._waited_s += seconds
        self._emulator.advance(self._emulator.now_ms + max(round(seconds * 1_000), 1))

    def real_s(self, span_ms: int) -> float:
        return span_ms / 1_000


class Wired:
    """One simulation and one client of it."""

    def __init__(self, folder: Path) -> None:
        setting = SimulationSetup(folders=(folder,), start_ms=START_MS, speed=0.0, balance=BALANCE)
        self.emulator = build(setting)
        self.log = RequestLog()
        self.clock = SimulatedClock(self.emulator)
        self.transport = WiredTransport(Gateway(self.emulator, self.log))
        self.client = BinanceClient(
            base_url="http://127.0.0.1",
            clock=self.clock,
            credentials=credentials_of(self.emulator),
            transport=self.transport,
        )


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
