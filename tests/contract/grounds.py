"""Two simulated exchanges with one face for tests: in this process behind the port, or a child behind our client.

No test waits: where the client waits, the simulated clock moves on by as much.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import httpx
from msgspec.structs import replace

from exchange.binance.client import BinanceClient
from exchange.candle_files import CandleFolders
from exchange.port import Exchange
from exchange.secrets import Credentials, Secret
from exchange.sim.core.venue import Venue
from exchange.sim.in_process import SimPort, Stage
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.sim.server.launch import Launched

HOUR_MS = 3_600_000
BEGIN_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC, a Monday
START_MS = BEGIN_MS + 60 * 24 * HOUR_MS + 30 * 60_000  # in the middle of an hour, with sixty days of history
HOURS = 60 * 24 + 90 * 24
BTC, ETH = "BTCUSDT", "ETHUSDT"
PRICES = {BTC: 60_000, ETH: 3_000}
BALANCE = Decimal(100_000)


def write_candles(folder: Path) -> Path:
    """Flat prices, so that nothing happens unless a test makes it; the hour's number is in its volume."""
    for symbol, price in PRICES.items():
        rows = [f"{BEGIN_MS + n * HOUR_MS},{price},{price},{price},{price},{n + 1}" for n in range(HOURS)]
        text = "\n".join(["open_time_ms,open,high,low,close,volume", *rows]) + "\n"
        (folder / f"{symbol}-1h.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return folder


class Ground(Protocol):
    """An exchange to be asked, and the hand that moves its prices."""

    exchange: Exchange

    async def now_ms(self) -> int: ...
    async def advance(self, ms: int) -> None: ...
    async def price(self, last: str, mark: str | None = None, *, symbol: str = BTC) -> None: ...
    async def deposit(self, amount: str) -> None: ...
    async def depth(self, usdt: str) -> None:
        """So much notional on one level of the book, and all levels at one price; 0 = no limit."""
        ...

    async def lose(self, path: str, *, answer: bool) -> None:
        """The next write to this path of Binance's is carried out and not answered, or never arrives."""
        ...


class InProcess:
    """The matching core behind the port."""

    def __init__(self, folder: Path) -> None:
        self.venue = Venue(filters=shipped_filters(), brackets=shipped_brackets(), balance=BALANCE)
        folders = CandleFolders((folder,))
        stage = Stage(self.venue, {symbol: SymbolFeed.read(folders, symbol) for symbol in PRICES}, START_MS)
        for _ in stage.advance(START_MS):
            raise AssertionError("something happened to an account that has nothing")
        self.exchange = SimPort(stage, sleep=asyncio.sleep)
        self._stage = stage

    async def now_ms(self) -> int:
        return self.venue.now_ms

    async def advance(self, ms: int) -> None:
        for _ in self._stage.advance(self.venue.now_ms + ms):
            pass

    async def price(self, last: str, mark: str | None = None, *, symbol: str = BTC) -> None:
        ticks = self.venue.tick(symbol, last=Decimal(last), mark=Decimal(mark or last), at_ms=self.venue.now_ms)
        for _ in ticks:
            pass
        self.venue.drain()

    async def deposit(self, amount: str) -> None:
        self.venue.deposit(Decimal(amount))
        self.venue.drain()

    async def depth(self, usdt: str) -> None:
        settings = self.venue.state.settings
        self.venue.state.settings = replace(settings, depth_usdt=Decimal(usdt) or None, slippage=Decimal(0))

    async def lose(self, path: str, *, answer: bool) -> None:
        method = {"/fapi/v1/order": "place_order", "/fapi/v1/algoOrder": "place_algo"}[path]
        left = [Fault(lost=Lost.ANSWER if answer else Lost.REQUEST)]

        def faults(call: Call) -> Fault | None:
            return left.pop() if left and call.method == method else None

        self.exchange.faults = faults


class SteppedClock:
    """The clock a client is given: waiting moves the simulation on by as much, and takes no time here."""

    def __init__(self, control: httpx.AsyncClient) -> None:
        self.slept: list[float] = []
        self._control = control
        self._now_ms = 0
        self._waited_s = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._waited_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.advance(max(round(seconds * 1_000), 1))
        self._waited_s += seconds

    def real_s(self, span_ms: int) -> float:
        return span_ms / 1_000

    async def advance(self, ms: int) -> None:
        """Simulated time passes."""
        answer = await self._control.post("/sim/v1/advance", json={"ms": ms})
        self._now_ms = answer.raise_for_status().json()["serverTime"]

    async def read(self) -> int:
        """What the simulation's clock shows, and this one from now on."""
        answer = await self._control.get("/sim/v1/clock")
        self._now_ms = answer.raise_for_status().json()["serverTime"]
        return self._now_ms


class OverHttp:
    """``python -m exchange.sim`` behind our client."""

    def __init__(self, ready: Launched, control: httpx.AsyncClient) -> None:
        self.control = control
        self.clock = SteppedClock(control)
        self.credentials = Credentials(api_key=Secret(ready.api_key), api_secret=Secret(ready.api_secret))
        self.url: str = ready.rest
        self.exchange = BinanceClient(base_url=self.url, clock=self.clock, credentials=self.credentials)

    async def now_ms(self) -> int:
        return await self.clock.read()

    async def advance(self, ms: int) -> None:
        await self.clock.advance(ms)

    async def price(self, last: str, mark: str | None = None, *, symbol: str = BTC) -> None:
        await self.sim("POST", "price", {"symbol": symbol, "last": last, "mark": mark or last})

    async def deposit(self, amount: str) -> None:
        await self.sim("POST", "account", {"action": "deposit", "amount": amount})

    async def depth(self, usdt: str) -> None:
        await self.fault(settings={"depth_usdt": usdt, "slippage": "0"})

    async def lose(self, path: str, *, answer: bool) -> None:
        match = {"method": "POST", "path": path}
        await self.fault(match=match, effect="unknown_503", when="after" if answer else "instead", times=1)

    async def fault(self, **rule: Any) -> None:
        """Arm a rule of the fault menu."""
        await self.sim("POST", "faults", rule)

    async def sim(self, method: str, path: str, body: object = None) -> Any:
        """The simulation's own interface."""
        answer = await self.control.request(method, f"/sim/v1/{path}", json=body)
        return answer.raise_for_status().json()

    async def requests(self) -> list[dict[str, Any]]:
        """What the exchange has been asked since the log was emptied; the time is asked for too often to matter."""
        rows = (await self.sim("GET", "log"))["requests"]
        return [row for row in rows if row["path"] != "/fapi/v1/time"]

    async def asked(self) -> list[str]:
        """The same in words: ``POST /fapi/v1/order 503``."""
        return [f"{row['method']} {row['path']} {row['status']}" for row in await self.requests()]

    async def clear(self) -> None:
        """An empty account with the setup of a new one, usual prices, no faults, no log."""
        await self.sim("DELETE", "faults")
        await self.fault(settings={"depth_usdt": 0, "slippage": "0.0002", "retry_after": True})
        await self.clock.read()
        held = await self.sim("GET", "account")
        for symbol in {row["symbol"] for row in held["orders"] + held["algoOrders"]}:
            await self.exchange.cancel_all(symbol)
        for symbol in [row["symbol"] for row in held["positions"] if Decimal(row["quantity"])]:
            await self.sim("POST", "account", {"action": "close", "symbol": symbol})
        for symbol, price in PRICES.items():
            await self.price(str(price), symbol=symbol)


@asynccontextmanager
async def connected(ready: Launched) -> AsyncIterator[OverHttp]:
    """A client of a simulator that listens."""
    async with httpx.AsyncClient(base_url=ready.rest, trust_env=False, verify=False) as control:
        ground = OverHttp(ready, control)
        await ground.clock.read()
        try:
            yield ground
        finally:
            await ground.exchange.aclose()


@asynccontextmanager
async def cleared(ready: Launched) -> AsyncIterator[OverHttp]:
    """The same with an account in which nothing is left of earlier tests, and symbols that may be traded."""
    async with connected(ready) as ground:
        await ground.clear()
        await ground.exchange.filters()
        await ground.sim("DELETE", "log")
        yield ground
