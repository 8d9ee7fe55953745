"""The simulation's own interface as its caller meets it: what time it is there, and moving that on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import TypeVar

import httpx
import msgspec

from exchange.certificates import trusted
from exchange.errors import MalformedReply, Unreachable

Held = dict[str, Decimal]
_Answer = TypeVar("_Answer")
TIMEOUT_S = 5.0
MOVE_TIMEOUT_S = 600.0
REQUESTS_MAX = 100_000


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


class _Position(msgspec.Struct, frozen=True):
    symbol: str
    quantity: Decimal


class _Algo(msgspec.Struct, frozen=True):
    symbol: str
    client_id: str
    type: str


class _Order(msgspec.Struct, frozen=True):
    symbol: str
    client_id: str


class _Money(msgspec.Struct, frozen=True):
    wallet_balance: Decimal


class Shown(msgspec.Struct, frozen=True, rename="camel"):
    """The simulated account with what is open on it, seen from behind the counter (GET /sim/v1/account)."""

    account: _Money
    positions: list[_Position]
    orders: list[_Order]
    algo_orders: list[_Algo]

    def held(self) -> Held:
        """Signed quantity by symbol, without flat ones."""
        return {found.symbol: found.quantity for found in self.positions if found.quantity}

    def stops(self) -> set[str]:
        """Symbols with a resting stop."""
        return {algo.symbol for algo in self.algo_orders if algo.type == "STOP_MARKET"}


class Asked(msgspec.Struct, frozen=True):
    """One request that somebody made of the simulated exchange."""

    number: int
    method: str
    path: str
    params: dict[str, str]
    status: int


class _Log(msgspec.Struct, frozen=True):
    requests: list[Asked]


class WatchedTransport(httpx.AsyncBaseTransport):
    """HTTP to a simulator; each request is inside of a block from when it leaves until its whole answer is here."""

    def __init__(self, awaiting: Callable[[], AbstractContextManager[None]]) -> None:
        self._awaiting = awaiting
        self._http = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._awaiting():
            answer = await self._http.handle_async_request(request)
            try:
                assert isinstance(answer.stream, httpx.AsyncByteStream)
                body = b"".join([chunk async for chunk in answer.stream])
            finally:
                await answer.aclose()
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(body))

    async def aclose(self) -> None:
        await self._http.aclose()


class RemoteSimulation:
    """A running simulator. Close it with ``aclose``; every call raises Unreachable or MalformedReply."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=TIMEOUT_S, transport=transport, trust_env=False, verify=trusted(False)
        )

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

    async def shown(self) -> Shown:
        """What is open on the account."""
        return await self._ask("GET", "/sim/v1/account", Shown, None, TIMEOUT_S)

    async def requests(self, after: int) -> list[Asked]:
        """What was asked of it after a request's number; it remembers the newest ten thousand."""
        path = f"/sim/v1/log?since={after}&limit={REQUESTS_MAX}"
        return (await self._ask("GET", path, _Log, None, TIMEOUT_S)).requests

    async def act(self, **deed: object) -> Shown:
        """Somebody else's hand on the account (POST /sim/v1/account); what is open afterwards."""
        return await self._ask("POST", "/sim/v1/account", Shown, deed, TIMEOUT_S)

    async def fault(self, **rule: object) -> None:
        """Let something go wrong from now on (POST /sim/v1/faults)."""
        await self._ask("POST", "/sim/v1/faults", object, {"rules": [rule]}, TIMEOUT_S)

    async def end_faults(self) -> None:
        """Everything goes right again, bans included (DELETE /sim/v1/faults)."""
        await self._ask("DELETE", "/sim/v1/faults", object, None, TIMEOUT_S)

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
