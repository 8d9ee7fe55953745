"""Streams against a real WebSocket server: what ends a connection, what follows, and that silence is noticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from exchange.binance.event_queue import EventQueue
from exchange.binance.events import (
    AlgoChanged,
    CandleClosed,
    ListenKeyExpired,
    OrderChanged,
    OtherEvent,
    Resync,
    StreamAlarm,
    StreamEvent,
    nudged_symbols,
)
from exchange.binance.http import Http
from exchange.binance.listen_keys import EXTEND_S, ListenKeys
from exchange.binance.market_stream import DATA_AGE_S_MAX, STREAMS_MAX, MarketStream
from exchange.binance.stream import LIFETIME_S, PAUSES_S
from exchange.binance.user_stream import EVENTS, SILENT_S, UserStream
from indicators.candle import Timeframe

pytestmark = pytest.mark.anyio
KEY = "POST /fapi/v1/listenKey"
EXTEND = "PUT /fapi/v1/listenKey"
CONNECTED = Resync(stream="user", reason="connected")


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
        return await asyncio.wait_for(self._arrived.get(), 5)


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    feed = Feed()
    async with serve(feed.serve_one, "127.0.0.1", 0) as server:
        feed.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield feed


class Ear:
    """A running stream and what it told."""

    def __init__(self, clock: Any, queue: EventQueue) -> None:
        self.clock = clock
        self.queue = queue

    async def next(self) -> StreamEvent:
        return await asyncio.wait_for(self.queue.get(), 5)

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


@asynccontextmanager
async def _running(clock: Any, stream: UserStream | MarketStream, queue: EventQueue) -> AsyncIterator[Ear]:
    clock.jumping = False
    task = asyncio.create_task(stream.run())
    try:
        yield Ear(clock, queue)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def keys(exchange: Any, http: Http) -> ListenKeys:
    exchange.on(KEY, *({"listenKey": f"key{n}"} for n in range(1, 9)))
    exchange.on(EXTEND, {})
    return ListenKeys(http)


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue()


@pytest.fixture
def user(keys: ListenKeys, feed: Feed, clock: Any, queue: EventQueue) -> UserStream:
    return UserStream(keys=keys, base_urls=(feed.url,), clock=clock, sink=queue.put)


def _market(feed: Feed, clock: Any, queue: EventQueue, *urls: str) -> MarketStream:
    return MarketStream(
        symbols=["BTCUSDT", "币安人生USDT"],
        timeframes=[Timeframe.H1],
        base_urls=(*urls, feed.url),
        clock=clock,
        sink=queue.put,
    )


async def _again(ear: Ear, feed: Feed) -> ServerConnection:
    """Let the pause before the next connection pass."""
    arriving = asyncio.ensure_future(feed.next())
    while not arriving.done():
        await ear.clock.advance(PAUSES_S[0])
        await asyncio.sleep(0)
    return arriving.result()


async def test_the_private_address_is_the_query_form_with_the_whole_event_list(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue
) -> None:
    async with _running(clock, user, queue) as ear:
        await feed.next()
        assert feed.paths == [f"/private/ws?listenKey=key1&events={'/'.join(EVENTS)}"]
        assert {"ALGO_UPDATE", "listenKeyExpired", "ORDER_TRADE_UPDATE"} <= set(EVENTS)
        assert await ear.next() == CONNECTED, "events from before the connection are lost, so everything is read"


async def test_events_raw_and_wrapped_reach_the_consumer(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue, own_payloads: Path
) -> None:
    async with _running(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        await server.send((own_payloads / "order_update_trade.json").read_text())
        await server.send((own_payloads / "ws_futures_algo_update_triggering.json").read_bytes())
        first, second = await ear.next(), await ear.next()
        assert isinstance(first, OrderChanged)
        assert isinstance(second, AlgoChanged)
        assert nudged_symbols(second) == ("DOGEUSDT",)


async def test_a_frame_that_cannot_be_read_means_look_and_does_not_end_the_stream(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue
) -> None:
    async with _running(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        for frame in ("not json", "[]", '{"e":"ORDER_TRADE_UPDATE"}', b"\xff"):
            await server.send(frame)
            assert isinstance(await ear.next(), Resync)
        await server.send('{"e":"GRID_UPDATE"}')
        assert await ear.next() == OtherEvent(kind="GRID_UPDATE")


async def test_r31_an_expired_key_brings_a_new_key_a_new_connection_and_a_full_read(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue
) -> None:
    async with _running(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        await server.send('{"e":"listenKeyExpired","E":5,"listenKey":"key1"}')
        assert await ear.next() == ListenKeyExpired(time_ms=5)
        assert await ear.next() == Resync(stream="user", reason="the listen key expired")
        await _again(ear, feed)
        assert await ear.next() == CONNECTED
        assert "listenKey=key2" in feed.paths[1]


async def test_the_key_is_extended_every_thirty_minutes(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue, exchange: Any
) -> None:
    async with _running(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        for count in (1, 2):
            await clock.advance(EXTEND_S)
            await ear.until(lambda count=count: len(exchange.calls(EXTEND)) >= count)
        assert exchange.calls(EXTEND)[0].raw_query == ""


async def test_r31_minus_1125_on_extending_brings_a_new_key(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue, exchange: Any, answer: Any
) -> None:
    exchange.on(EXTEND, answer({"code": -1125, "msg": "This listenKey does not exist."}, status=400))
    async with _running(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        assert isinstance(await ear.next_while_time_passes(600), Resync)
        await _again(ear, feed)
        assert "listenKey=key2" in feed.paths[1]


async def test_an_extension_that_fails_otherwise_is_tried_again_on_the_same_connection(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue, exchange: Any, answer: Any
) -> None:
    exchange.on(EXTEND, answer({"code": -1003, "msg": "Too many"}, status=429, headers={"Retry-After": "1"}), {})
    async with _running(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        while len(exchange.calls(EXTEND)) < 2:
            await clock.advance(60)
            await asyncio.sleep(0)
        assert len(queue) == 0
        assert len(feed.paths) == 1


async def test_r31_the_24_hour_cut_is_pre_empted_with_a_new_connection(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue
) -> None:
    async with _running(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        began = clock.monotonic()
        ended = await ear.next_while_time_passes(900)
        assert isinstance(ended, Resync)
        assert "24 hours" in ended.reason
        assert LIFETIME_S <= clock.monotonic() - began <= LIFETIME_S + 900
        await _again(ear, feed)
        assert await ear.next() == CONNECTED


@pytest.mark.parametrize("how", ["closed", "cut"])
async def test_r31_a_connection_the_exchange_ends_is_made_again(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue, how: str
) -> None:
    async with _running(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        if how == "closed":
            await server.close()
        else:
            server.transport.abort()
        assert isinstance(await ear.next(), Resync)
        await _again(ear, feed)
        assert await ear.next() == CONNECTED


async def test_r31_an_own_order_nobody_tells_of_raises_an_alarm_and_a_new_connection_elsewhere(
    keys: ListenKeys, feed: Feed, clock: Any, queue: EventQueue
) -> None:
    other = Feed()
    async with serve(other.serve_one, "127.0.0.1", 0) as server:
        other.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        user = UserStream(keys=keys, base_urls=(feed.url, other.url), clock=clock, sink=queue.put)
        async with _running(clock, user, queue) as ear:
            await feed.next()
            await ear.next()
            user.expect("f-1")
            await clock.advance(SILENT_S - 1)
            assert len(queue) == 0
            told = await ear.next_while_time_passes(1)
            assert isinstance(told, StreamAlarm)
            assert "f-1" in told.reason
            assert isinstance(await ear.next(), Resync)
            await _again(ear, other)
            assert await ear.next() == CONNECTED
            assert len(other.paths) == 1


async def test_an_order_that_was_told_of_in_time_or_before_it_was_expected_raises_no_alarm(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue
) -> None:
    def told(client_id: str) -> str:
        return json.dumps({"e": "TRADE_LITE", "s": "BTCUSDT", "c": client_id, "i": 1, "t": 1})

    async with _running(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        user.expect("f-1")
        await server.send(told("f-1"))
        await server.send(told("f-2"))
        await ear.next()
        await ear.next()
        user.expect("f-2")
        await clock.advance(SILENT_S * 3)
        assert len(queue) == 0


async def test_before_a_connection_nothing_is_expected(user: UserStream, clock: Any, queue: EventQueue) -> None:
    user.expect("f-1")
    assert user._expected == {}


async def test_without_a_key_it_keeps_trying_and_never_fails(
    user: UserStream, feed: Feed, clock: Any, queue: EventQueue, exchange: Any, answer: Any
) -> None:
    refused = answer({"code": -2015, "msg": "no"}, status=401)
    exchange.on(KEY, refused, refused, {"listenKey": "late"})
    async with _running(clock, user, queue) as ear:
        for _ in range(2):
            told = await ear.next_while_time_passes(0.1)
            assert isinstance(told, Resync)
            assert "no key" in told.reason
        await _again(ear, feed)
        assert "listenKey=late" in feed.paths[0]


async def test_an_address_that_does_not_answer_leads_to_the_next(feed: Feed, clock: Any, queue: EventQueue) -> None:
    async with _running(clock, _market(feed, clock, queue, "ws://127.0.0.1:1"), queue) as ear:
        assert isinstance(await ear.next(), Resync)
        await _again(ear, feed)
        assert len(feed.paths) == 1


async def test_the_market_address_names_lower_case_symbols_on_the_market_route(
    feed: Feed, clock: Any, queue: EventQueue
) -> None:
    async with _running(clock, _market(feed, clock, queue), queue):
        await feed.next()
        assert feed.paths == [
            "/market/stream?streams=btcusdt@kline_1h/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@kline_1h"
        ]


def _kline(opened: int, *, closed: bool = True, symbol: str = "BTCUSDT", **more: Any) -> str:
    k = {"t": opened, "s": symbol, "i": "1h", "o": "1", "c": "2", "h": "3", "l": "1", "v": "5", "x": closed}
    return json.dumps({"stream": "s", "data": {"e": "kline", "s": symbol, "k": k} | more})


async def test_each_closed_candle_is_announced_once_and_in_order(feed: Feed, clock: Any, queue: EventQueue) -> None:
    hour = 3_600_000
    async with _running(clock, _market(feed, clock, queue), queue) as ear:
        server = await feed.next()
        await ear.next()
        for frame in (
            _kline(hour, closed=False),
            _kline(hour),
            _kline(hour),  # repeated
            _kline(2 * hour),
            _kline(hour),  # late
            _kline(3 * hour, st=2),  # a COIN-M symbol of the same name
            '{"result":null,"id":1}',
            _kline(3 * hour),
        ):
            await server.send(frame)
        told = [await ear.next() for _ in range(3)]
        assert [e.candle.open_time_ms for e in told if isinstance(e, CandleClosed)] == [hour, 2 * hour, 3 * hour]
        assert len(queue) == 0


async def test_a_candle_nobody_asked_for_is_odd_and_means_look(feed: Feed, clock: Any, queue: EventQueue) -> None:
    async with _running(clock, _market(feed, clock, queue), queue) as ear:
        server = await feed.next()
        await ear.next()
        await server.send(_kline(3_600_000, symbol="ETHUSDT"))
        assert isinstance(await ear.next(), Resync)


async def test_a_market_stream_without_data_is_an_alarm_and_a_new_connection(
    feed: Feed, clock: Any, queue: EventQueue
) -> None:
    market = _market(feed, clock, queue)
    async with _running(clock, market, queue) as ear:
        server = await feed.next()
        await ear.next()
        await clock.advance(DATA_AGE_S_MAX - 5)
        await server.send(_kline(3_600_000, closed=False))
        await ear.until(lambda: market.data_age_s == 0)
        await clock.advance(DATA_AGE_S_MAX - 5)
        assert len(queue) == 0, "data came in between"
        told = await ear.next_while_time_passes(1)
        assert isinstance(told, StreamAlarm)
        assert "no market data" in told.reason
        assert isinstance(await ear.next(), Resync)
        await _again(ear, feed)


async def test_a_stream_needs_an_address_and_a_sensible_number_of_names(
    clock: Any, queue: EventQueue, keys: Any
) -> None:
    with pytest.raises(ValueError, match="address"):
        UserStream(keys=keys, base_urls=(), clock=clock, sink=queue.put)
    for symbols in ([], [f"S{n}USDT" for n in range(STREAMS_MAX + 1)]):
        with pytest.raises(ValueError, match="names"):
            MarketStream(symbols=symbols, timeframes=[Timeframe.H1], base_urls=("ws://x",), clock=clock, sink=queue.put)


async def test_pauses_between_failing_connections_grow(clock: Any, queue: EventQueue, keys: ListenKeys) -> None:
    user = UserStream(keys=keys, base_urls=("ws://127.0.0.1:1",), clock=clock, sink=queue.put)
    async with _running(clock, user, queue) as ear:
        for _ in range(7):
            assert isinstance(await ear.next_while_time_passes(0.25), Resync)
        assert [s for s in clock.slept if s in PAUSES_S][:6] == [*PAUSES_S[1:], PAUSES_S[-1]]


async def test_a_full_queue_becomes_one_request_to_read_everything() -> None:
    queue = EventQueue(limit=3)
    for n in range(4):
        queue.put(OtherEvent(kind=str(n)))
    assert len(queue) == 1
    assert isinstance(await queue.get(), Resync)


async def test_a_key_can_be_given_back(exchange: Any, keys: ListenKeys) -> None:
    exchange.on("DELETE /fapi/v1/listenKey", {})
    await keys.close()
    assert len(exchange.calls("DELETE /fapi/v1/listenKey")) == 1
