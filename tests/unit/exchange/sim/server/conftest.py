"""A simulated exchange in the test's own event loop: real application, real protocol, invented candles, no network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pytest

from exchange.binance.signing import query, signed
from exchange.candle_columns import CandleColumns, FundingColumns
from exchange.secrets import Credentials, Secret
from exchange.sim.core.venue import Venue
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_brackets, shipped_exchange_info, shipped_filters
from exchange.sim.server.app import App
from exchange.sim.server.clock import SimClock
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.keys import keys_of
from exchange.sim.server.world import World
from indicators.candle import Timeframe

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEGIN_MS = 1_735_689_600_000  # 2025-01-01 00:00 UTC, a Wednesday
NOW_MS = BEGIN_MS + 2 * DAY_MS  # two days of history before every test
SYMBOL = "BTCUSDT"

Prices = tuple[float, float, float, float]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class RealTime:
    """Seconds that pass only when told to."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def feed_of(
    symbol: str,
    hours: list[Prices],
    *,
    flat: float,
    rates: Mapping[int, float] | None = None,
    ahead: int = 48,
    begin_ms: int = BEGIN_MS,
) -> SymbolFeed:
    """Two flat days, then the hours given, then flat ones again."""
    rows = [(flat,) * 4] * 48 + hours + [(flat,) * 4] * ahead
    array = np.array(rows, dtype=np.float64)
    times = begin_ms + HOUR_MS * np.arange(len(rows), dtype=np.int64)
    columns = CandleColumns(
        symbol=symbol,
        timeframe=Timeframe.H1,
        open_time_ms=times,
        open=array[:, 0],
        high=array[:, 1],
        low=array[:, 2],
        close=array[:, 3],
        volume=np.full(len(rows), 100.0),
    )
    funding = None
    if rates is not None:
        funding = FundingColumns(
            symbol=symbol,
            time_ms=np.array(sorted(rates), dtype=np.int64),
            rate=np.array([rates[at_ms] for at_ms in sorted(rates)], dtype=np.float64),
        )
    return SymbolFeed(candles=columns, funding=funding)


class Socket:
    """The client's end of one WebSocket connection, as the server protocol sees it."""

    def __init__(self) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed: int | None = None

    async def send(self, message: object) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        await self._to_app.put({"type": "websocket.receive", "text": text})

    async def ask(self, method: str, *params: object) -> Any:
        """Send a control message; its answer."""
        await self.send({"method": method, "params": list(params), "id": 7})
        return await self.next()

    async def next(self) -> Any:
        """The next frame; fails the test where none comes."""
        async with asyncio.timeout(60):
            message = await self._from_app.get()
        if message["type"] == "websocket.close":
            self.closed = message["code"]
            return None
        return json.loads(message["text"])

    async def waiting(self) -> list[Any]:
        """Everything that has been sent by now."""
        for _ in range(20):
            await asyncio.sleep(0)
        frames = []
        while not self._from_app.empty():
            frames.append(await self.next())
        return frames

    async def run(self, app: App, path: str) -> None:
        route, _, text = path.partition("?")
        scope = {
            "type": "websocket",
            "path": route,
            "raw_path": route.encode(),
            "root_path": "",
            "query_string": text.encode(),
            "headers": [(b"host", b"127.0.0.1")],
            "subprotocols": [],
            "state": {},
        }
        await self._to_app.put({"type": "websocket.connect"})
        await app(scope, self._to_app.get, self._from_app.put)

    async def accepted(self) -> bool:
        message = await self._from_app.get()
        return bool(message["type"] == "websocket.accept")

    async def leave(self) -> None:
        await self._to_app.put({"type": "websocket.disconnect", "code": 1000})


@dataclass
class Bench:
    """One simulation and one client of it."""

    emulator: Emulator
    time: RealTime
    app: App = field(init=False)
    http: httpx.AsyncClient = field(init=False)
    credentials: Any = field(init=False)

    def __post_init__(self) -> None:
        self.app = App(self.emulator)
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        keys = self.emulator.credentials
        self.credentials = Credentials(Secret(keys.api_key), Secret(keys.api_secret))

    @property
    def key(self) -> dict[str, str]:
        return {"X-MBX-APIKEY": self.credentials.api_key.reveal()}

    async def get(self, path: str, **params: object) -> Any:
        """A public question."""
        response = await self.http.get(path, params={name: str(value) for name, value in params.items()})
        return response.json()

    async def send(self, method: str, path: str, **params: object) -> httpx.Response:
        """A signed request."""
        given = {name: str(value) for name, value in params.items() if value is not None}
        payload = query({**given, "timestamp": str(self.emulator.server_ms)})
        url = f"{path}?{signed(payload, self.credentials.api_secret)}"
        return await self.http.request(method, url, headers=self.key)

    async def call(self, method: str, path: str, **params: object) -> Any:
        return (await self.send(method, path, **params)).json()

    async def order(self, side: str, quantity: str, **params: object) -> Any:
        """A market order unless told otherwise, answered with its result."""
        given = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity, "newOrderRespType": "RESULT"}
        return await self.call("POST", "/fapi/v1/order", **{**given, **params})

    async def algo(self, side: str, kind: str, trigger: str, **params: object) -> Any:
        given = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": side, "type": kind, "triggerPrice": trigger}
        return await self.call("POST", "/fapi/v1/algoOrder", **{**given, **params})

    async def sim(self, method: str, path: str, **body: object) -> Any:
        """The simulation's own interface."""
        response = await self.http.request(method, f"/sim/v1/{path}", json=body if body else None)
        return response.json()

    async def advance(self, ms: int, *, until_event: bool = False) -> Any:
        return await self.sim("POST", "advance", ms=ms, until_event=until_event)

    async def fault(self, **rule: object) -> Any:
        return await self.sim("POST", "faults", **rule)

    async def key_of_stream(self) -> str:
        response = await self.http.post("/fapi/v1/listenKey", headers=self.key)
        found = response.json()["listenKey"]
        assert isinstance(found, str)
        return found

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[Socket]:
        """An accepted connection."""
        socket = Socket()
        running = asyncio.ensure_future(socket.run(self.app, path))
        assert await socket.accepted()
        try:
            yield socket
        finally:
            await socket.leave()
            async with asyncio.timeout(60):
                await running

    @asynccontextmanager
    async def user_socket(self, events: str = "") -> AsyncIterator[Socket]:
        """A private stream; all events unless some are named."""
        key = await self.key_of_stream()
        names = (
            events or "ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE/TRADE_LITE/ACCOUNT_CONFIG_UPDATE/listenKeyExpired"
        )
        async with self.socket(f"/private/ws?listenKey={key}&events={names}") as socket:
            yield socket


def bench_of(
    hours: list[Prices] | None = None,
    *,
    feeds: list[SymbolFeed] | None = None,
    rates: Mapping[int, float] | None = None,
    balance: str = "10000",
    speed: float = 0.0,
    slack_ms: int = 0,
    start_ms: int = NOW_MS,
    **venue: Any,
) -> Bench:
    """A simulation at the end of two flat days of BTCUSDT at 60,000; ``hours`` come next."""
    played = feeds or [feed_of(SYMBOL, hours or [], flat=60_000.0, rates=rates)]
    time = RealTime()
    exchange = Venue(filters=shipped_filters(), brackets=shipped_brackets(), balance=Decimal(balance), **venue)
    world = World.begin(exchange, {feed.symbol: feed for feed in played}, start_ms)
    emulator = Emulator(
        world=world,
        clock=SimClock(world.now_ms, speed, time),
        credentials=keys_of(7),
        exchange_info=shipped_exchange_info(),
        seed=7,
        monotonic=time,
        slack_ms=slack_ms,
    )
    return Bench(emulator, time)


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return bench_of


@pytest.fixture
def make_feed() -> Callable[..., SymbolFeed]:
    return feed_of


@pytest.fixture
def bench() -> Bench:
    """The next hour goes down to 58,000 and up to 61,000 and ends at 60,500; then it is flat again."""
    return bench_of([(60_000, 61_000, 58_000, 60_500)])
