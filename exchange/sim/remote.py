"""The simulation's own interface as its caller meets it: what time it is there, and moving that on."""

from __future__ import annotations

from typing import TypeVar

import httpx
import msgspec

from exchange.errors import MalformedReply, Unreachable

_Answer = TypeVar("_Answer")
TIMEOUT_S = 5.0
MOVE_TIMEOUT_S = 600.0


class _Clock(msgspec.Struct, frozen=True, rename="camel"):
    server_time: int
    speed: float


class _Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    server_time: int
    speed: float
    reached: bool = True


class _Connection(msgspec.Struct, frozen=True):
    route: str
    messages: int


class _Streams(msgspec.Struct, frozen=True):
    connections: list[_Connection]


class RemoteSimulation:
    """A running simulator. Close it with ``aclose``; every call raises Unreachable or MalformedReply."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT_S, transport=transport, trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def clock(self) -> tuple[int, float]:
        """Its time, and simulated milliseconds per real one (GET /sim/v1/clock)."""
        found = await self._ask("GET", "/sim/v1/clock", _Clock, None, TIMEOUT_S)
        return found.server_time, found.speed

    async def set_speed(self, speed: float) -> None:
        """How many simulated milliseconds pass in a real one from now on (POST /sim/v1/clock)."""
        await self._ask("POST", "/sim/v1/clock", _Clock, {"speed": speed}, TIMEOUT_S)

    async def advance(self, span_ms: int, *, until_event: bool = False) -> tuple[int, bool]:
        """Move time on; (the time it is then, whether the span was reached: not when an event came first)."""
        wanted = {"ms": span_ms, "until_event": until_event}
        found = await self._ask("POST", "/sim/v1/advance", _Progress, wanted, MOVE_TIMEOUT_S)
        return found.server_time, found.reached

    async def told(self) -> int:
        """How many messages the private streams that are open now have been sent (GET /sim/v1/streams)."""
        found = await self._ask("GET", "/sim/v1/streams", _Streams, None, TIMEOUT_S)
        return sum(connection.messages for connection in found.connections if connection.route == "private")

    async def _ask(self, method: str, path: str, kind: type[_Answer], body: object, timeout_s: float) -> _Answer:
        try:
            answer = await self._http.request(method, path, json=body, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unreachable(f"{path}: {type(error).__name__} {error}") from error
        if answer.status_code != 200:
            raise Unreachable(f"{path}: {answer.status_code} {answer.text[:200]}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.MsgspecError as error:
            raise MalformedReply(f"{path}: {error}") from error
