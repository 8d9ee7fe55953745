"""Market data over REST, read back with the client's own codec."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from exchange.binance import codec_market
from indicators.candle import Timeframe

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
BEGIN_MS = 1_735_689_600_000
NOW_MS = BEGIN_MS + 48 * HOUR_MS


async def klines(bench: Any, interval: str = "1h", path: str = "klines", **params: object) -> Any:
    return await bench.get(f"/fapi/v1/{path}", symbol="BTCUSDT", interval=interval, **params)


async def test_symbols_and_limits_are_those_of_the_shipped_dump(bench: Any) -> None:
    info = codec_market.exchange_info(await bench.get("/fapi/v1/exchangeInfo"))
    assert list(info.filters) == ["BTCUSDT"]
    assert info.filters["BTCUSDT"] == bench.emulator.state.filters["BTCUSDT"]
    assert sorted(limit.limit for limit in info.rate_limits) == [300, 1200, 2400]


async def test_the_last_candle_is_the_one_that_is_forming(bench: Any) -> None:
    await bench.advance(30 * 60_000)  # on the way from the low at 58,000 to the high at 61,000
    rows = await klines(bench, limit=2)
    assert [row[0] for row in rows] == [NOW_MS - HOUR_MS, NOW_MS]
    forming = [Decimal(price) for price in rows[1][1:5]]
    last = bench.emulator.state.quotes["BTCUSDT"].last
    assert forming[0] == 60_000
    assert forming[1] == max(forming[0], forming[3])
    assert forming[2] == 58_000
    assert abs(forming[3] - last) <= Decimal("0.05")
    assert float(rows[1][5]) == 50  # half of the hour's volume
    assert rows[1][6] == NOW_MS + HOUR_MS - 1


async def test_a_forming_candle_knows_only_where_the_price_has_been(bench: Any) -> None:
    await bench.advance(60_000)
    assert [float(price) for price in (await klines(bench, limit=1))[0][1:5]] == [60_000] * 4
    await bench.advance(HOUR_MS - 60_000 - 1)
    assert [float(price) for price in (await klines(bench, limit=1))[0][1:5]] == [60_000, 61_000, 58_000, 60_500]


async def test_a_closed_candle_reads_back_exactly_as_it_was_recorded(bench: Any) -> None:
    await bench.advance(HOUR_MS)
    rows = codec_market.candle_rows(await klines(bench, limit=2))
    recorded = bench.emulator.world.feeds["BTCUSDT"].candles(Timeframe.H1, start_ms=NOW_MS, end_ms=NOW_MS + HOUR_MS)
    assert rows[0].candle == recorded[0]
    assert rows[1].candle.open_time_ms == NOW_MS + HOUR_MS


async def test_four_hours_are_made_of_hours_and_form_with_them(bench: Any) -> None:
    await bench.advance(2 * HOUR_MS)
    row = (await klines(bench, "4h", limit=1))[0]
    assert (row[0], [float(price) for price in row[1:5]]) == (NOW_MS, [60_000, 61_000, 58_000, 60_000])


@pytest.mark.parametrize("interval", ["1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"])
async def test_rows_of_every_interval_follow_one_another(bench: Any, interval: str) -> None:
    await bench.advance(5 * HOUR_MS)
    rows = await klines(bench, interval, limit=1500)
    assert rows
    for before, after in pairwise(rows):
        assert before[6] + 1 == after[0]
    assert rows[-1][6] >= bench.emulator.now_ms


async def test_a_week_begins_on_monday(bench: Any) -> None:
    (row,) = await klines(bench, "1w", limit=1)
    assert row[0] == BEGIN_MS - 2 * 24 * HOUR_MS


async def test_ranges_include_both_ends_and_begin_at_the_start(bench: Any) -> None:
    rows = await klines(bench, startTime=BEGIN_MS, endTime=BEGIN_MS + 2 * HOUR_MS)
    assert [row[0] for row in rows] == [BEGIN_MS, BEGIN_MS + HOUR_MS, BEGIN_MS + 2 * HOUR_MS]
    assert [row[0] for row in await klines(bench, startTime=BEGIN_MS + 1, limit=1)] == [BEGIN_MS + HOUR_MS]
    assert [row[0] for row in await klines(bench, endTime=BEGIN_MS, limit=5)] == [BEGIN_MS]
    assert await klines(bench, startTime=NOW_MS + HOUR_MS) == []


@pytest.mark.parametrize("path", ["klines", "markPriceKlines"])
async def test_who_asks_for_times_before_the_first_candle_gets_the_first(bench: Any, path: str) -> None:
    rows = await klines(bench, path=path, startTime=0, limit=3)
    assert [row[0] for row in rows] == [BEGIN_MS, BEGIN_MS + HOUR_MS, BEGIN_MS + 2 * HOUR_MS]


@pytest.mark.parametrize(
    ("params", "code"),
    [({"limit": 1501}, -1130), ({"limit": 0}, -1130), ({"interval": "1s"}, -1120), ({"interval": "15m"}, -1120),
     ({"startTime": 2, "endTime": 1}, -1128), ({"startTime": "noon"}, -1102), ({"symbol": "NOPE"}, -1121)],
)  # fmt: skip
async def test_a_wrong_question_has_its_code(bench: Any, params: Any, code: int) -> None:
    answer = await bench.get("/fapi/v1/klines", **{"symbol": "BTCUSDT", "interval": "1h", **params})
    assert answer["code"] == code


async def test_nothing_of_the_future_is_told(bench: Any) -> None:
    assert (await klines(bench, limit=1500))[-1][0] == NOW_MS
    assert (await klines(bench, "1d", limit=1500))[-1][0] == NOW_MS
    assert (await klines(bench, path="markPriceKlines", limit=1500))[-1][0] == NOW_MS


async def test_mark_candles_have_shorter_wicks_and_no_volume(bench: Any) -> None:
    await bench.advance(HOUR_MS)
    row = (await klines(bench, path="markPriceKlines", limit=2))[0]
    assert [Decimal(price) for price in row[1:5]] == [60_000, 60_975, 58_100, 60_500]
    assert float(row[5]) == 0
    four = (await klines(bench, "4h", path="markPriceKlines", limit=1))[0]
    assert [Decimal(price) for price in four[1:4]] == [60_000, 60_975, 58_100]


async def test_prices_of_now_in_all_their_forms(bench: Any) -> None:
    mark = codec_market.mark_price(await bench.get("/fapi/v1/premiumIndex", symbol="BTCUSDT"))
    assert (mark.price, mark.time_ms) == (60_000, NOW_MS)
    for version in (1, 2):
        last = codec_market.last_price(await bench.get(f"/fapi/v{version}/ticker/price", symbol="BTCUSDT"))
        assert last.price == 60_000
    for path in ("premiumIndex", "ticker/bookTicker", "ticker/price", "ticker/24hr"):
        assert len(await bench.get(f"/fapi/v1/{path}")) == 1


async def test_the_book_shows_what_a_taker_will_get(bench: Any) -> None:
    book = await bench.get("/fapi/v1/depth", symbol="BTCUSDT", limit=5)
    ticker = await bench.get("/fapi/v1/ticker/bookTicker", symbol="BTCUSDT")
    assert (ticker["askPrice"], ticker["bidPrice"]) == (book["asks"][0][0], book["bids"][0][0])
    assert [price for price, _ in book["asks"]] == ["60012.00", "60024.00", "60036.00", "60048.00", "60060.00"]
    bought = await bench.order("BUY", "0.01")
    filled = await bench.call("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=bought["orderId"])
    assert Decimal(filled["avgPrice"]) == Decimal(ticker["askPrice"])
    assert (await bench.get("/fapi/v1/depth", symbol="BTCUSDT", limit=7))["code"] == -4021


async def test_the_day_is_the_last_24_hours(bench: Any) -> None:
    await bench.advance(2 * HOUR_MS)
    day = await bench.get("/fapi/v1/ticker/24hr", symbol="BTCUSDT")
    assert (day["openPrice"], day["highPrice"], day["lowPrice"], day["lastPrice"]) == (
        "60000.00", "61000.00", "58000.00", "60000.00",
    )  # fmt: skip


async def test_funding_is_announced_then_listed(make_bench: Any) -> None:
    due_ms = NOW_MS + 8 * HOUR_MS
    bench = make_bench(rates={NOW_MS: 0.0002, due_ms: -0.0003})
    coming = await bench.get("/fapi/v1/premiumIndex", symbol="BTCUSDT")
    assert (coming["lastFundingRate"], coming["nextFundingTime"]) == ("-0.00030000", due_ms)
    assert [row["fundingTime"] for row in await bench.get("/fapi/v1/fundingRate", symbol="BTCUSDT")] == [NOW_MS]
    await bench.advance(8 * HOUR_MS)
    rows = await bench.get("/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=due_ms)
    assert [(row["fundingTime"], row["fundingRate"]) for row in rows] == [(due_ms, "-0.00030000")]
    assert await bench.get("/fapi/v1/fundingInfo") == []
    assert (await bench.get("/fapi/v1/openInterest", symbol="BTCUSDT"))["openInterest"] == "10"


async def test_a_symbol_without_a_price_yet_is_not_trading(make_bench: Any, make_feed: Any) -> None:
    late = make_feed("ETHUSDT", [], flat=3_000.0, begin_ms=NOW_MS + 2 * HOUR_MS)
    early = make_feed("BTCUSDT", [], flat=60_000.0)
    bench = make_bench(feeds=[early, late])
    assert [row["symbol"] for row in await bench.get("/fapi/v1/ticker/price")] == ["BTCUSDT"]
    assert (await bench.get("/fapi/v1/ticker/price", symbol="ETHUSDT"))["code"] == -1122
    assert (await bench.order("BUY", "0.01", symbol="ETHUSDT"))["code"] == -1122
    assert await bench.call("GET", "/fapi/v3/positionRisk") == []
    await bench.advance(2 * HOUR_MS)
    assert "orderId" in await bench.order("BUY", "0.01", symbol="ETHUSDT")
