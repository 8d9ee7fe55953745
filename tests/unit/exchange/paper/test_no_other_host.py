"""Nothing follows a redirection: who answers for the configured host alone is spoken to, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from exchange.binance.http import Http
from exchange.binance.public_prices import PublicPrices
from exchange.binance.stream import SessionEnded, Stream
from exchange.errors import ExchangeError
from exchange.paper.clock import OwnClock
from exchange.paper.mirror import Mirror


class Elsewhere:
    """Two servers: the first sends everybody to the second, which counts who comes."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.visitors = 0
        self.port = 0

    async def send_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        path = head.split()[1]
        where = f"{'ws' if 'Upgrade' in head else 'http'}://127.0.0.1:{target}{path}"
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visitors += 1
        writer.close()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    found = Elsewhere()
    async with await asyncio.start_server(found.visited, "127.0.0.1", 0) as other:
        target = str(other.sockets[0].getsockname()[1])
        async with await asyncio.start_server(
            lambda reader, writer: found.send_on(reader, writer, target), "127.0.0.1", 0
        ) as first:
            found.port = first.sockets[0].getsockname()[1]
            yield found


class Silent:
    """A channel that says nothing of its own."""

    name = "test"

    def __init__(self) -> None:
        self.tried = asyncio.Event()

    async def path(self) -> str:
        return "/market/stream?streams=btcusdt@kline_1m"

    def opened(self) -> None:
        raise SessionEnded("it was opened")

    def received(self, payload: object) -> None:
        raise AssertionError(payload)

    def guards(self) -> list[Awaitable[None]]:
        return []


def lasts(script: Callable[[Elsewhere], Awaitable[None]]) -> Elsewhere:
    async def play() -> Elsewhere:
        async with elsewhere() as found:
            await script(found)
            return found

    return asyncio.run(play())


def test_a_stream_that_is_sent_elsewhere_stays_where_it_is() -> None:
    async def script(found: Elsewhere) -> None:
        ended = asyncio.Event()
        stream = Stream(
            Silent(), base_urls=(f"ws://127.0.0.1:{found.port}",), clock=OwnClock(), sink=lambda event: ended.set()
        )
        running = asyncio.create_task(stream.run())
        await asyncio.wait_for(ended.wait(), 60)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    found = lasts(script)
    assert (len(found.heads), found.visitors) == (1, 0)


def test_a_question_that_is_sent_elsewhere_is_not_asked_there() -> None:
    async def script(found: Elsewhere) -> None:
        url = f"http://127.0.0.1:{found.port}"
        mirror, http = Mirror(url), Http(base_url=url, clock=OwnClock())
        answer = await mirror.ask("/fapi/v1/klines", "symbol=BTCUSDT&interval=1m")
        assert answer.status == 302
        with pytest.raises(ExchangeError):
            await PublicPrices(http).rules()
        await mirror.aclose()
        await http.aclose()

    found = lasts(script)
    assert found.heads
    assert found.visitors == 0
    assert not any("x-mbx-apikey" in head.lower() for head in found.heads)


@pytest.mark.parametrize("query", ["signature=ab", "symbol=BTCUSDT&timestamp=1", "recvWindow=5000", "listenKey=abc"])
def test_what_is_signed_is_not_passed_on(query: str) -> None:
    async def script(found: Elsewhere) -> None:
        mirror = Mirror(f"http://127.0.0.1:{found.port}")
        answer = await mirror.ask("/fapi/v1/klines", query)
        assert (answer.status, answer.code) == (400, -1101)
        await mirror.aclose()

    assert lasts(script).heads == []
