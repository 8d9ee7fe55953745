"""Real parts for the client's tests: a clock that jumps, an HTTP server on loopback, and the recorded payloads."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve

from exchange.binance.client import BinanceClient
from exchange.binance.http import Http
from exchange.binance.limits import Budget
from exchange.binance.market_stream import MarketStream
from exchange.binance.user_stream import UserStream
from exchange.event_queue import EventQueue
from exchange.events import StreamEvent
from exchange.secrets import Credentials, Secret

REPOSITORY = Path(__file__).parents[4]
OWN_PAYLOADS = REPOSITORY / "tests" / "data" / "binance"
SHARED_PAYLOADS = REPOSITORY.parent / "shared" / "data" / "binance"
API_KEY = "planted-key-7f3a9"
API_SECRET = "planted-secret-c41d8"
START_MS = 1_764_000_000_000
PATIENCE_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def payload_dirs() -> list[Path]:
    """Folders with recorded payloads: ours always, the shared ones where they are."""
    return [path for path in (OWN_PAYLOADS, SHARED_PAYLOADS) if path.is_dir()]


@pytest.fixture
def own_payloads() -> Path:
    return OWN_PAYLOADS


class VirtualClock:
    """Time that moves only when told to, or (``jumping``) by as much as anybody sleeps."""

    def __init__(self, *, jumping: bool = True) -> None:
        self.jumping = jumping
        self.seconds = 0.0
        self.offset_ms = 0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        return START_MS + self.offset_ms + int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.jumping:
            self.seconds += seconds
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.seconds + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in their order and letting each run; those who were just begun sleep first."""
        end = self.seconds + seconds
        await self._settled()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.seconds, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await self._settled()
        self.seconds = end

    @staticmethod
    async def _settled() -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    connection: int

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """What the server does: answer, or ``drop`` the connection, or ``hang`` until it is closed."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    hang: bool = False

    def raw(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} X", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Responder = Callable[[Asked], Answer]


class ScriptedExchange:
    """An HTTP/1.1 server on loopback. Answers to a call are used up in turn; the last one stays."""

    def __init__(self, clock: VirtualClock) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._scripts: dict[str, list[Answer | Responder]] = {}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.on("GET /fapi/v1/time", lambda _: Answer({"serverTime": clock.now_ms()}))

    def on(self, name: str, *answers: object) -> None:
        """Script a call; plain values are bodies of HTTP 200."""
        self._scripts[name] = [a if isinstance(a, Answer) or callable(a) else Answer(a) for a in answers]

    def names(self) -> list[str]:
        """Calls in the order in which they came, without time."""
        return [asked.name for asked in self.asked if asked.path != "/fapi/v1/time"]

    def calls(self, name: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.name == name]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *rest = head.split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest if line)}
                await reader.readexactly(int(headers.get("content-length", "0")))
                method, target, _ = first.split(" ")
                parts = urlsplit(target)
                asked = Asked(method, parts.path, parts.query, headers, number)
                self.asked.append(asked)
                answer = self._answer(asked)
                if answer.drop:
                    return
                if answer.hang:
                    await reader.read()
                    return
                writer.write(answer.raw())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, asked: Asked) -> Answer:
        script = self._scripts.get(asked.name)
        if not script:
            return Answer({"code": -1099, "msg": f"not scripted: {asked.name}"}, status=404)
        answer = script.pop(0) if len(script) > 1 else script[0]
        return answer if isinstance(answer, Answer) else answer(asked)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
async def exchange(clock: VirtualClock) -> AsyncIterator[ScriptedExchange]:
    async with _running(clock) as server:
        yield server


@asynccontextmanager
async def _running(clock: VirtualClock) -> AsyncIterator[ScriptedExchange]:
    server = ScriptedExchange(clock)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def credentials() -> Credentials:
    return Credentials(api_key=Secret(API_KEY), api_secret=Secret(API_SECRET))


@pytest.fixture
async def http(exchange: ScriptedExchange, clock: VirtualClock, credentials: Credentials) -> AsyncIterator[Http]:
    http = Http(base_url=exchange.url, clock=clock, credentials=credentials)
    yield http
    await http.aclose()


@pytest.fixture
async def client(
    exchange: ScriptedExchange, clock: VirtualClock, credentials: Credentials
) -> AsyncIterator[BinanceClient]:
    client = BinanceClient(base_url=exchange.url, clock=clock, credentials=credentials)
    exchange.on("GET /fapi/v1/exchangeInfo", json.loads((OWN_PAYLOADS / "exchange_info.json").read_bytes()))
    await client.filters()
    client.http.turns.budget = Budget()
    exchange.asked.clear()
    yield client
    await client.aclose()


class Feed:
    """A WebSocket server on loopback that shows each connection as it comes."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self._arrived: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def serve_one(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self._arrived.put_nowait(connection)
        await connection.wait_closed()

    async def next(self) -> ServerConnection:
        """The next connection, once its handshake is done."""
        return await asyncio.wait_for(self._arrived.get(), PATIENCE_S)


class Ear:
    """A running stream and what it told."""

    def __init__(self, clock: Any, queue: EventQueue) -> None:
        self.clock = clock
        self.queue = queue

    async def next(self) -> StreamEvent:
        return await asyncio.wait_for(self.queue.get(), PATIENCE_S)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let everything run, time standing still, until the condition holds."""
        for _ in range(100_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came about")

    async def next_while_time_passes(self, step_s: float) -> StreamEvent:
        """The next event, with the clock running."""
        for _ in range(20_000):
            if len(self.queue):
                return await self.queue.get()
            await self.clock.advance(step_s)
            await asyncio.sleep(0)
        raise AssertionError("nothing was told")

    async def again(self, feed: Feed) -> ServerConnection:
        """The next connection, with the pause before it passing."""
        arriving = asyncio.ensure_future(feed.next())
        while not arriving.done():
            await self.clock.advance(0.5)
            await asyncio.sleep(0)
        return arriving.result()


@asynccontextmanager
async def _listening(clock: VirtualClock, stream: UserStream | MarketStream, queue: EventQueue) -> AsyncIterator[Ear]:
    clock.jumping = False
    task = asyncio.create_task(stream.run())
    try:
        yield Ear(clock, queue)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def listening() -> Any:
    """Runs a stream for the length of a block; time then moves only when told to."""
    return _listening


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    async with _feeding() as feed:
        yield feed


@pytest.fixture
async def other_feed() -> AsyncIterator[Feed]:
    async with _feeding() as feed:
        yield feed


@asynccontextmanager
async def _feeding() -> AsyncIterator[Feed]:
    feed = Feed()
    async with serve(feed.serve_one, "127.0.0.1", 0) as server:
        feed.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield feed


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue()
