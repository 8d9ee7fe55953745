"""The private stream against a real WebSocket server: what ends a connection, and that silence is noticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.binance.http import Http
from exchange.binance.listen_keys import EXTEND_S, ListenKeys
from exchange.binance.stream import LIFETIME_S, PAUSES_S
from exchange.binance.user_stream import EVENTS, SILENT_S, UserStream
from exchange.event_queue import EventQueue
from exchange.events import (
    AlgoChanged,
    ListenKeyExpired,
    OrderChanged,
    OtherEvent,
    Resync,
    StreamAlarm,
    nudged_symbols,
)

pytestmark = pytest.mark.anyio
KEY = "POST /fapi/v1/listenKey"
EXTEND = "PUT /fapi/v1/listenKey"
CONNECTED = Resync(stream="user", reason="connected")


@pytest.fixture
def keys(exchange: Any, http: Http) -> ListenKeys:
    exchange.on(KEY, *({"listenKey": f"key{n}"} for n in range(1, 9)))
    exchange.on(EXTEND, {})
    return ListenKeys(http)


@pytest.fixture
def user(keys: ListenKeys, feed: Any, clock: Any, queue: EventQueue) -> UserStream:
    return UserStream(keys=keys, base_urls=(feed.url,), clock=clock, sink=queue.put)


async def test_the_private_address_is_the_query_form_with_the_whole_event_list(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        await feed.next()
        assert feed.paths == [f"/private/ws?listenKey=key1&events={'/'.join(EVENTS)}"]
        assert {"ALGO_UPDATE", "listenKeyExpired", "ORDER_TRADE_UPDATE"} <= set(EVENTS)
        assert await ear.next() == CONNECTED, "events from before the connection are lost, so everything is read"


async def test_events_raw_and_wrapped_reach_the_consumer(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, own_payloads: Path, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        await server.send((own_payloads / "order_update_trade.json").read_text())
        await server.send((own_payloads / "ws_futures_algo_update_triggering.json").read_bytes())
        first, second = await ear.next(), await ear.next()
        assert isinstance(first, OrderChanged)
        assert isinstance(second, AlgoChanged)
        assert nudged_symbols(second) == ("DOGEUSDT",)


async def test_a_frame_that_cannot_be_read_means_look_and_does_not_end_the_stream(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        for frame in ("not json", "[]", '{"e":"ORDER_TRADE_UPDATE"}', b"\xff"):
            await server.send(frame)
            assert isinstance(await ear.next(), Resync)
        await server.send('{"e":"GRID_UPDATE"}')
        assert await ear.next() == OtherEvent(kind="GRID_UPDATE")


async def test_r31_an_expired_key_brings_a_new_key_a_new_connection_and_a_full_read(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        await server.send('{"e":"listenKeyExpired","E":5,"listenKey":"key1"}')
        assert await ear.next() == ListenKeyExpired(time_ms=5)
        assert await ear.next() == Resync(stream="user", reason="the listen key expired")
        await ear.again(feed)
        assert await ear.next() == CONNECTED
        assert "listenKey=key2" in feed.paths[1]


async def test_the_key_is_extended_every_thirty_minutes(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, exchange: Any, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        for count in (1, 2):
            await clock.advance(EXTEND_S)
            await ear.until(lambda count=count: len(exchange.calls(EXTEND)) >= count)
        assert exchange.calls(EXTEND)[0].raw_query == ""


async def test_r31_minus_1125_on_extending_brings_a_new_key(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, exchange: Any, answer: Any, listening: Any
) -> None:
    exchange.on(EXTEND, answer({"code": -1125, "msg": "This listenKey does not exist."}, status=400))
    async with listening(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        assert isinstance(await ear.next_while_time_passes(600), Resync)
        await ear.again(feed)
        assert "listenKey=key2" in feed.paths[1]


async def test_an_extension_that_fails_otherwise_is_tried_again_on_the_same_connection(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, exchange: Any, answer: Any, listening: Any
) -> None:
    exchange.on(EXTEND, answer({"code": -1003, "msg": "Too many"}, status=429, headers={"Retry-After": "1"}), {})
    async with listening(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        while len(exchange.calls(EXTEND)) < 2:
            await clock.advance(60)
            await asyncio.sleep(0)
        assert len(queue) == 0
        assert len(feed.paths) == 1


async def test_r31_the_24_hour_cut_is_pre_empted_with_a_new_connection(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        began = clock.monotonic()
        ended = await ear.next_while_time_passes(900)
        assert isinstance(ended, Resync)
        assert "24 hours" in ended.reason
        assert LIFETIME_S <= clock.monotonic() - began <= LIFETIME_S + 900
        await ear.again(feed)
        assert await ear.next() == CONNECTED


@pytest.mark.parametrize("how", ["closed", "cut"])
async def test_r31_a_connection_the_exchange_ends_is_made_again(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, how: str, listening: Any
) -> None:
    async with listening(clock, user, queue) as ear:
        server = await feed.next()
        await ear.next()
        if how == "closed":
            await server.close()
        else:
            server.transport.abort()
        assert isinstance(await ear.next(), Resync)
        await ear.again(feed)
        assert await ear.next() == CONNECTED


async def test_r31_an_own_order_nobody_tells_of_raises_an_alarm_and_a_new_connection_elsewhere(
    keys: ListenKeys, feed: Any, other_feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    user = UserStream(keys=keys, base_urls=(feed.url, other_feed.url), clock=clock, sink=queue.put)
    async with listening(clock, user, queue) as ear:
        await feed.next()
        await ear.next()
        user.expect("f-1")
        await clock.advance(SILENT_S - 1)
        assert len(queue) == 0
        told = await ear.next_while_time_passes(1)
        assert isinstance(told, StreamAlarm)
        assert "f-1" in told.reason
        assert isinstance(await ear.next(), Resync)
        await ear.again(other_feed)
        assert await ear.next() == CONNECTED
        assert len(other_feed.paths) == 1


async def test_an_order_that_was_told_of_in_time_or_before_it_was_expected_raises_no_alarm(
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    def told(client_id: str) -> str:
        return json.dumps({"e": "TRADE_LITE", "s": "BTCUSDT", "c": client_id, "i": 1, "t": 1})

    async with listening(clock, user, queue) as ear:
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
    user: UserStream, feed: Any, clock: Any, queue: EventQueue, exchange: Any, answer: Any, listening: Any
) -> None:
    refused = answer({"code": -2015, "msg": "no"}, status=401)
    exchange.on(KEY, refused, refused, {"listenKey": "late"})
    async with listening(clock, user, queue) as ear:
        for _ in range(2):
            told = await ear.next_while_time_passes(0.1)
            assert isinstance(told, Resync)
            assert "no key" in told.reason
        await ear.again(feed)
        assert "listenKey=late" in feed.paths[0]


async def test_a_stream_needs_an_address(clock: Any, queue: EventQueue, keys: ListenKeys) -> None:
    with pytest.raises(ValueError, match="address"):
        UserStream(keys=keys, base_urls=(), clock=clock, sink=queue.put)


async def test_pauses_between_failing_connections_grow(
    clock: Any, queue: EventQueue, keys: ListenKeys, listening: Any
) -> None:
    user = UserStream(keys=keys, base_urls=("ws://127.0.0.1:1",), clock=clock, sink=queue.put)
    async with listening(clock, user, queue) as ear:
        for _ in range(7):
            assert isinstance(await ear.next_while_time_passes(0.25), Resync)
        assert [s for s in clock.slept if s in PAUSES_S][:6] == [*PAUSES_S[1:], PAUSES_S[-1]]


async def test_a_key_can_be_given_back(exchange: Any, keys: ListenKeys) -> None:
    exchange.on("DELETE /fapi/v1/listenKey", {})
    await keys.close()
    assert len(exchange.calls("DELETE /fapi/v1/listenKey")) == 1


async def test_a_connection_that_fails_while_it_is_being_closed_does_not_begin_again(
    keys: ListenKeys, clock: Any, queue: EventQueue
) -> None:
    opened, listens = [], asyncio.Event()

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[AsyncIterator[str]]:
        opened.append(url)
        try:
            yield forever()
        finally:
            if len(opened) == 1:
                raise OSError("reset by peer")

    async def forever() -> AsyncIterator[str]:
        listens.set()
        await asyncio.Event().wait()
        yield ""

    user = UserStream(keys=keys, base_urls=("ws://127.0.0.1:1",), clock=clock, sink=queue.put, connect_to=connect)
    listening = asyncio.create_task(user.run())
    await listens.wait()
    listening.cancel()
    done, _ = await asyncio.wait({listening}, timeout=60.0)
    listening.cancel()
    assert done
    assert listening.cancelled()
    assert len(opened) == 1
