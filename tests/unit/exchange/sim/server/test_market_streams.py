"""Market streams and control messages: each stream on its route, all else acknowledged and silent (R33)."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.codec_events import market_event
from exchange.sim.server.hub import BACKLOG_MAX, Connection, Route
from exchange.sim.server.sockets import read_address

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
NOW_MS = 1_735_689_600_000 + 48 * HOUR_MS


async def test_a_candle_is_told_while_it_forms_and_once_when_it_closes(bench: Any) -> None:
    async with bench.socket("/market/ws/btcusdt@kline_1h") as socket:
        await bench.advance(30 * MINUTE_MS)
        (forming,) = await socket.waiting()
        assert (forming["k"]["x"], forming["k"]["t"], float(forming["k"]["l"])) == (False, NOW_MS, 58_000)
        await bench.advance(30 * MINUTE_MS)
        closed, next_one = await socket.waiting()
    assert (closed["k"]["x"], closed["E"], closed["k"]["h"]) == (True, NOW_MS + HOUR_MS, "61000.0")
    assert (next_one["k"]["x"], next_one["k"]["t"]) == (False, NOW_MS + HOUR_MS)
    event = market_event(closed)
    assert event is not None
    assert event.closed is not None
    assert event.closed.candle.close == 60_500


async def test_longer_candles_close_with_their_last_hour(bench: Any) -> None:
    async with bench.socket("/market/stream?streams=btcusdt@kline_1h/btcusdt@kline_4h") as socket:
        await bench.advance(4 * HOUR_MS)
        closed = [frame for frame in await socket.waiting() if frame["data"]["k"]["x"]]
    assert [frame["stream"] for frame in closed] == ["btcusdt@kline_1h"] * 4 + ["btcusdt@kline_4h"]
    assert closed[-1]["data"]["E"] == NOW_MS + 4 * HOUR_MS


async def test_a_long_advance_leaves_out_no_close(bench: Any) -> None:
    async with bench.socket("/market/ws/btcusdt@kline_1h") as socket:
        await bench.advance(20 * HOUR_MS)
        frames = await socket.waiting()
    assert [frame["k"]["t"] for frame in frames if frame["k"]["x"]] == [NOW_MS + n * HOUR_MS for n in range(20)]


@pytest.mark.parametrize(
    ("path", "speaks"),
    [
        ("/market/ws/btcusdt@kline_1h", True),
        ("/market/ws/btcusdt@markPrice", True),
        ("/market/ws/btcusdt@markPrice@1s", True),
        ("/market/ws/!markPrice@arr", True),
        ("/market/ws/btcusdt@aggTrade", True),
        ("/market/ws/btcusdt@ticker", True),
        ("/public/ws/btcusdt@bookTicker", True),
        ("/public/ws/btcusdt@depth5@100ms", True),
        ("/ws/btcusdt@bookTicker", True),
        ("/ws/btcusdt@kline_1h", False),
        ("/public/ws/btcusdt@kline_1h", False),
        ("/market/ws/btcusdt@bookTicker", False),
        ("/private/ws/btcusdt@kline_1h", False),
        ("/market/ws/BTCUSDT@kline_1h", False),
        ("/market/ws/btcusdt@kline_15m", False),
        ("/market/ws/btcusdt@nonsense", False),
        ("/market/ws/nopeusdt@kline_1h", False),
    ],
)
async def test_a_stream_speaks_on_its_own_route_in_small_letters_only(bench: Any, path: str, speaks: bool) -> None:
    async with bench.socket(path) as socket:
        await bench.advance(20 * MINUTE_MS)
        assert bool(await socket.waiting()) is speaks


async def test_what_is_wrong_is_acknowledged_all_the_same(bench: Any) -> None:
    async with bench.socket("/market/ws") as socket:
        assert await socket.ask("SUBSCRIBE", "BTCUSDT@kline_1h", "btcusdt@bookTicker") == {"result": None, "id": 7}
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == ["BTCUSDT@kline_1h", "btcusdt@bookTicker"]
        await bench.advance(20 * MINUTE_MS)
        assert await socket.waiting() == []


async def test_streams_are_added_wrapped_and_left_while_connected(bench: Any) -> None:
    async with bench.socket("/market/ws") as socket:
        await socket.ask("SUBSCRIBE", "btcusdt@markPrice")
        await bench.advance(MINUTE_MS)
        assert [frame["e"] for frame in await socket.waiting()] == ["markPriceUpdate"]
        await socket.ask("SET_PROPERTY", "combined", True)
        assert (await socket.ask("GET_PROPERTY", "combined"))["result"] is True
        await bench.advance(MINUTE_MS)
        assert [frame["stream"] for frame in await socket.waiting()] == ["btcusdt@markPrice"]
        await socket.ask("UNSUBSCRIBE", "btcusdt@markPrice")
        await bench.advance(MINUTE_MS)
        assert await socket.waiting() == []


@pytest.mark.parametrize(
    ("message", "code"),
    [("{", 3), ("[]", 2), ('{"method":"DANCE","id":1}', 2), ('{"method":"SUBSCRIBE","params":"x","id":1}', 2)],
)
async def test_a_message_that_is_none_is_an_error(bench: Any, message: str, code: int) -> None:
    async with bench.socket("/market/ws") as socket:
        await socket.send(message)
        assert (await socket.next())["code"] == code


async def test_more_than_ten_messages_a_second_close_the_connection(bench: Any) -> None:
    async with bench.socket("/market/ws") as socket:
        for _ in range(11):
            await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        for _ in range(10):
            assert (await socket.next())["id"] == 1
        assert await socket.next() is None
        assert socket.closed == 1008


async def test_connections_are_cut_after_24_hours_of_real_time(bench: Any) -> None:
    async with bench.socket("/market/ws/btcusdt@kline_1h") as old:
        bench.time.seconds += 80_000
        async with bench.socket("/market/ws/btcusdt@kline_1h") as young:
            bench.time.seconds += 6_400
            bench.emulator.hub.cut_old()
            assert await old.next() is None
            assert await young.waiting() == []
            assert (old.closed, young.closed) == (1001, None)


async def test_messages_keep_to_the_exchanges_pace_while_the_clock_runs(make_bench: Any) -> None:
    bench = make_bench([(60_000, 61_000, 58_000, 60_500)], speed=60.0)
    async with bench.socket("/market/stream?streams=btcusdt@kline_1h/btcusdt@markPrice@1s") as socket:
        for _ in range(100):  # ten real seconds in tenths: ten simulated minutes
            bench.time.seconds += 0.1
            await bench.app.control.keep_time()
        names = [frame["stream"] for frame in await socket.waiting()]
    assert bench.emulator.now_ms == NOW_MS + 10 * MINUTE_MS
    assert names.count("btcusdt@markPrice@1s") in (10, 11)
    assert 30 <= names.count("btcusdt@kline_1h") <= 41


async def test_a_client_that_does_not_read_is_let_go(bench: Any) -> None:
    connection = Connection(Route.MARKET, combined=False, born_s=0.0)
    for number in range(BACKLOG_MAX + 1):
        connection.publish("x", str(number))
    assert connection.close_code == 1008


async def test_an_address_that_leads_nowhere_is_refused(bench: Any) -> None:
    assert read_address("/elsewhere/ws/x", "") is None
    assert read_address("/market", "") is None
    found = read_address("/private/stream", "listenKey=A&events=X/Y&listenKey=B")
    assert found is not None
    assert found.keys == {"A": frozenset({"X", "Y"}), "B": None}
