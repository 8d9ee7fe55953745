"""Only closed candles come out, without gaps, however the exchange lags (R33)."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.errors import CandlesMissing, MalformedReply, Unreachable
from indicators.candle import Timeframe

pytestmark = pytest.mark.anyio
KLINES = "GET /fapi/v1/klines"
HOUR = 3_600_000
NOW = 1_764_000_000_000  # an hour's boundary: the clock's start
FIRST = NOW - 4_000 * HOUR  # the symbol was listed then


class Market:
    """Serves klines as Binance does: inclusive on open time, newest without a start, the last one forming."""

    def __init__(self, answer: Any, clock: Any) -> None:
        self._answer = answer
        self._clock = clock
        self.missing: set[int] = set()
        self.healed_after = 10**9
        self.trades_now = True
        self.asked = 0

    def __call__(self, asked: Any) -> Any:
        self.asked += 1
        params = asked.params
        limit = int(params["limit"])
        assert limit <= 1500, "1501 is refused with -1130"
        now = self._clock.now_ms()
        newest = now - now % HOUR - (0 if self.trades_now else HOUR)
        start = int(params.get("startTime", FIRST))
        end = min(int(params.get("endTime", newest)), newest)
        opens = [t for t in range(max(start + -start % HOUR, FIRST), end + 1, HOUR) if self._is_there(t)]
        opens = opens[:limit] if "startTime" in params else opens[-limit:]
        return self._answer([self._row(t, forming=t + HOUR > now) for t in opens])

    def _is_there(self, opened: int) -> bool:
        return opened not in self.missing or self.asked > self.healed_after

    def _row(self, opened: int, *, forming: bool) -> list[Any]:
        close = "1.5" if forming else "2"
        return [opened, "1", "3", "1", close, "10", opened + HOUR - 1, "0", 1, "0", "0", "0"]


@pytest.fixture
def market(exchange: Any, answer: Any, clock: Any) -> Market:
    market = Market(answer, clock)
    exchange.on(KLINES, market)
    return market


def _opens(candles: list[Any]) -> list[int]:
    return [candle.open_time_ms for candle in candles]


async def test_r33_the_forming_candle_is_never_returned(client: BinanceClient, market: Market, clock: Any) -> None:
    clock.seconds = 1_800
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=5)
    assert _opens(candles) == [NOW - n * HOUR for n in (5, 4, 3, 2, 1)]
    assert {candle.close for candle in candles} == {2.0}


async def test_r33_right_after_the_close_the_next_open_proves_it(
    exchange: Any, client: BinanceClient, market: Market
) -> None:
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=2)
    assert _opens(candles) == [NOW - 2 * HOUR, NOW - HOUR]
    assert exchange.calls("GET /fapi/v1/time") == [], "no clock was needed"


async def test_r33_without_trades_yet_the_servers_time_proves_it_and_the_candle_is_read_again(
    exchange: Any, client: BinanceClient, market: Market, clock: Any
) -> None:
    market.trades_now = False
    clock.seconds = 1.0
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=2)
    assert _opens(candles) == [NOW - 2 * HOUR, NOW - HOUR]
    assert len(exchange.calls("GET /fapi/v1/time")) == 1
    assert market.asked == 2


async def test_r33_our_clock_running_ahead_does_not_close_a_candle(
    exchange: Any, client: BinanceClient, market: Market, clock: Any
) -> None:
    clock.seconds = 1_800.0
    server_ms = clock.now_ms()
    exchange.on("GET /fapi/v1/time", {"serverTime": server_ms})
    market._clock = type("Frozen", (), {"now_ms": staticmethod(lambda: server_ms)})
    clock.offset_ms = 7_200_000  # two hours ahead
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=2)
    assert _opens(candles) == [NOW - 2 * HOUR, NOW - HOUR]
    assert clock.now_ms() > NOW + HOUR


async def test_history_longer_than_a_page_is_paged_backwards(client: BinanceClient, market: Market) -> None:
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=3_500)
    assert _opens(candles) == list(range(NOW - 3_500 * HOUR, NOW, HOUR))
    assert market.asked == 3


async def test_history_from_a_time_is_paged_forwards_and_ends_at_the_limit(
    client: BinanceClient, market: Market
) -> None:
    start = NOW - 3_000 * HOUR
    candles = await client.candles("BTCUSDT", Timeframe.H1, start_ms=start - 1, limit=2_000)
    assert _opens(candles) == list(range(start, start + 2_000 * HOUR, HOUR))
    assert market.asked == 2


async def test_history_from_a_time_ends_with_the_last_closed_candle(
    client: BinanceClient, market: Market, clock: Any
) -> None:
    clock.seconds = 60.0
    candles = await client.candles("BTCUSDT", Timeframe.H1, start_ms=NOW - 3 * HOUR)
    assert _opens(candles) == [NOW - n * HOUR for n in (3, 2, 1)]
    assert await client.candles("BTCUSDT", Timeframe.H1, start_ms=NOW) == []


async def test_a_young_symbol_has_fewer_candles(
    client: BinanceClient, market: Market, exchange: Any, answer: Any
) -> None:
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=5_000)
    assert _opens(candles)[0] == FIRST
    exchange.on(KLINES, [])
    assert await client.candles("NEWUSDT", Timeframe.H1) == []


async def test_r33_a_gap_is_asked_for_again_and_repaired(client: BinanceClient, market: Market, clock: Any) -> None:
    market.missing = {NOW - 5 * HOUR, NOW - 4 * HOUR, NOW - 9 * HOUR}
    market.healed_after = 1
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=10)
    assert _opens(candles)[-10:] == [NOW - n * HOUR for n in range(10, 0, -1)]
    assert clock.slept == [0.2]


async def test_r33_a_gap_is_asked_for_twice_before_it_is_given_up(
    client: BinanceClient, market: Market, clock: Any
) -> None:
    market.missing = {NOW - 5 * HOUR}
    market.healed_after = 2
    candles = await client.candles("BTCUSDT", Timeframe.H1, limit=10)
    assert NOW - 5 * HOUR in _opens(candles)
    assert clock.slept == [0.2, 1.0]


async def test_r33_a_candle_missing_just_before_the_forming_one_is_a_gap_too(
    client: BinanceClient, market: Market
) -> None:
    market.missing = {NOW - HOUR}
    market.healed_after = 1
    assert _opens(await client.candles("BTCUSDT", Timeframe.H1, limit=2)) == [NOW - 2 * HOUR, NOW - HOUR]


async def test_r33_a_gap_that_stays_is_told_and_not_papered_over(client: BinanceClient, market: Market) -> None:
    market.missing = {NOW - 5 * HOUR, NOW - 4 * HOUR}
    with pytest.raises(Unreachable, match=f"{NOW - 5 * HOUR}–{NOW - 4 * HOUR} are missing"):
        await client.candles("BTCUSDT", Timeframe.H1, limit=10)


async def test_r66_a_hole_is_believed_after_a_minute_and_a_second_answer(
    client: BinanceClient, market: Market, clock: Any
) -> None:
    market.missing = {NOW - 5 * HOUR, NOW - 4 * HOUR}
    with pytest.raises(CandlesMissing) as first:
        await client.candles("BTCUSDT", Timeframe.H1, limit=10)
    assert first.value.again_ms - clock.now_ms() <= 60_000
    clock.seconds += 58
    with pytest.raises(CandlesMissing):
        await client.candles("BTCUSDT", Timeframe.H1, limit=10)
    clock.seconds += 60
    asked = market.asked
    found = await client.candles("BTCUSDT", Timeframe.H1, limit=10)
    assert [each for each in _opens(found) if each in market.missing] == []
    assert NOW - 6 * HOUR in _opens(found)
    assert NOW - 3 * HOUR in _opens(found)
    assert market.asked == asked + 1, "what is confirmed is not asked for again"


async def test_r66_a_candle_that_comes_after_all_is_taken(client: BinanceClient, market: Market, clock: Any) -> None:
    market.missing = {NOW - 5 * HOUR}
    with pytest.raises(CandlesMissing):
        await client.candles("BTCUSDT", Timeframe.H1, limit=10)
    market.missing = set()
    assert NOW - 5 * HOUR in _opens(await client.candles("BTCUSDT", Timeframe.H1, limit=10))


@pytest.mark.parametrize(
    "row",
    [
        [NOW - 3 * HOUR, "1", "0.5", "1", "2", "10", NOW - 2 * HOUR - 1],
        [NOW - 3 * HOUR, "1", "nan", "1", "2", "10", NOW - 2 * HOUR - 1],
        [NOW - 3 * HOUR, "1", "3", "0", "2", "10", NOW - 2 * HOUR - 1],
        [NOW - 3 * HOUR, "1", "3", "1", "", "10", NOW - 2 * HOUR - 1],
        [NOW - 3 * HOUR + 5, "1", "3", "1", "2", "10", NOW - 2 * HOUR - 1],
    ],
)
async def test_r66_a_row_that_cannot_be_true_counts_as_missing(
    exchange: Any, client: BinanceClient, clock: Any, row: list[Any]
) -> None:
    """Until a minute later it counts as a hole: one wrong row must not stop a symbol for ever."""
    rows = [[NOW - n * HOUR, *ROW, NOW - (n - 1) * HOUR - 1] for n in (5, 4, 3, 2, 1, 0)]
    rows[2] = row
    exchange.on(KLINES, rows)
    with pytest.raises(CandlesMissing):
        await client.candles("BTCUSDT", Timeframe.H1, limit=5)
    clock.seconds += 61
    found = await client.candles("BTCUSDT", Timeframe.H1, limit=5)
    assert _opens(found) == [NOW - n * HOUR for n in (5, 4, 2, 1)]


@pytest.mark.parametrize("values", [["1", "3", "1", "1.5", "10"], ["1", "0.5", "1", "2", "10"]])
async def test_r66_a_candle_that_is_listed_twice_with_other_values_counts_as_missing(
    exchange: Any, client: BinanceClient, clock: Any, values: list[str]
) -> None:
    """Nobody can say which of them is true; one such pair must not stop a symbol for ever."""
    rows = [[NOW - n * HOUR, *ROW, NOW - (n - 1) * HOUR - 1] for n in (5, 4, 3, 2, 1, 0)]
    rows.insert(3, [NOW - 3 * HOUR, *values, NOW - 2 * HOUR - 1])
    exchange.on(KLINES, rows)
    with pytest.raises(CandlesMissing):
        await client.candles("BTCUSDT", Timeframe.H1, limit=5)
    clock.seconds += 61
    found = await client.candles("BTCUSDT", Timeframe.H1, limit=5)
    assert _opens(found) == [NOW - n * HOUR for n in (5, 4, 2, 1)]


async def test_a_candle_that_is_listed_twice_alike_is_one(exchange: Any, client: BinanceClient) -> None:
    rows = [[NOW - n * HOUR, *ROW, NOW - (n - 1) * HOUR - 1] for n in (3, 3, 2, 1, 1, 0)]
    exchange.on(KLINES, rows)
    assert _opens(await client.candles("BTCUSDT", Timeframe.H1, limit=3)) == [NOW - n * HOUR for n in (3, 2, 1)]


async def test_r33_repairs_that_bring_other_candles_repair_nothing(
    exchange: Any, client: BinanceClient, market: Market
) -> None:
    rows = [[NOW - n * HOUR, *ROW, NOW - (n - 1) * HOUR - 1] for n in (4, 3, 1, 0)]
    exchange.on(KLINES, rows, rows[:1])
    with pytest.raises(Unreachable, match=str(NOW - 2 * HOUR)):
        await client.candles("BTCUSDT", Timeframe.H1, limit=3)


ROW = ["1", "3", "1", "2", "10"]


@pytest.mark.parametrize(
    "rows",
    [
        [[NOW + 1, *ROW, NOW + HOUR]],
        [[NOW, *ROW, NOW + HOUR]],
        [[NOW, *ROW]],
        [[NOW, *ROW, NOW + HOUR - 1], [NOW - HOUR, *ROW, NOW - 1]],
        [[NOW + n * HOUR, *ROW, NOW + (n + 1) * HOUR - 1] for n in range(9)],
    ],
)
async def test_rows_that_are_not_what_was_asked_for_are_malformed(
    exchange: Any, client: BinanceClient, rows: list[Any]
) -> None:
    exchange.on(KLINES, rows)
    with pytest.raises(MalformedReply):
        await client.candles("BTCUSDT", Timeframe.H1, limit=4)


async def test_rows_before_the_time_asked_for_are_malformed(exchange: Any, client: BinanceClient) -> None:
    exchange.on(KLINES, [[NOW, *ROW, NOW + HOUR - 1]])
    with pytest.raises(MalformedReply, match="outside"):
        await client.candles("BTCUSDT", Timeframe.H1, start_ms=NOW + HOUR, limit=1)
    rows = [[NOW + n * HOUR, *ROW, NOW + (n + 1) * HOUR - 1] for n in range(1500)]
    exchange.on(KLINES, rows, rows[:501])
    with pytest.raises(MalformedReply, match="outside"):
        await client.candles("BTCUSDT", Timeframe.H1, limit=2_000)


@pytest.mark.parametrize("limit", [0, -1, 100_001])
async def test_an_absurd_limit_is_a_mistake_of_the_caller(client: BinanceClient, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        await client.candles("BTCUSDT", Timeframe.H1, limit=limit)
