"""The market stream against a real WebSocket server: each closed candle once, and silence noticed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exchange.binance.market_stream import DATA_AGE_S_MAX, STREAMS_MAX, MarketStream
from exchange.event_queue import EventQueue
from exchange.events import CandleClosed, Resync, StreamAlarm
from indicators.candle import Timeframe

pytestmark = pytest.mark.anyio


def _market(feed: Any, clock: Any, queue: EventQueue, *urls: str) -> MarketStream:
    return MarketStream(
        symbols=["BTCUSDT", "币安人生USDT"],
        timeframes=[Timeframe.H1],
        base_urls=(*urls, feed.url),
        clock=clock,
        sink=queue.put,
    )


async def test_an_address_that_does_not_answer_leads_to_the_next(
    feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, _market(feed, clock, queue, "ws://127.0.0.1:1"), queue) as ear:
        assert isinstance(await ear.next(), Resync)
        await ear.again(feed)
        assert len(feed.paths) == 1


async def test_the_market_address_names_lower_case_symbols_on_the_market_route(
    feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, _market(feed, clock, queue), queue):
        await feed.next()
        assert feed.paths == [
            "/market/stream?streams=btcusdt@kline_1h/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@kline_1h"
        ]


def _kline(opened: int, *, closed: bool = True, symbol: str = "BTCUSDT", **more: Any) -> str:
    k = {"t": opened, "s": symbol, "i": "1h", "o": "1", "c": "2", "h": "3", "l": "1", "v": "5", "x": closed}
    return json.dumps({"stream": "s", "data": {"e": "kline", "s": symbol, "k": k} | more})


async def test_each_closed_candle_is_announced_once_and_in_order(
    feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    hour = 3_600_000
    async with listening(clock, _market(feed, clock, queue), queue) as ear:
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


async def test_a_candle_nobody_asked_for_is_odd_and_means_look(
    feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    async with listening(clock, _market(feed, clock, queue), queue) as ear:
        server = await feed.next()
        await ear.next()
        await server.send(_kline(3_600_000, symbol="ETHUSDT"))
        assert isinstance(await ear.next(), Resync)


async def test_a_market_stream_without_data_is_an_alarm_and_a_new_connection(
    feed: Any, clock: Any, queue: EventQueue, listening: Any
) -> None:
    market = _market(feed, clock, queue)
    async with listening(clock, market, queue) as ear:
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
        await ear.again(feed)


async def test_a_stream_carries_a_sensible_number_of_names(clock: Any, queue: EventQueue) -> None:
    for symbols in ([], [f"S{n}USDT" for n in range(STREAMS_MAX + 1)]):
        with pytest.raises(ValueError, match="names"):
            MarketStream(symbols=symbols, timeframes=[Timeframe.H1], base_urls=("ws://x",), clock=clock, sink=queue.put)
