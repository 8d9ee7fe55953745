"""Downloads by public endpoints: no keys, the least urgent of all, patient with pauses, and holes asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from exchange.binance.http import Http
from exchange.binance.public_history import PublicHistory
from exchange.candle_store.downloading import Download
from exchange.candle_store.reading import CandleStore
from exchange.candle_store.series import Series, candles_of, funding_of
from exchange.candle_store.writing import StoreWriter
from exchange.errors import RateLimited, Unreachable
from indicators.candle import Timeframe

pytestmark = pytest.mark.anyio

MINUTE = 60_000
HOUR = 3_600_000
T0 = 1_700_006_400_000  # the first candle that there is
COUNT = 20_000
END = T0 + COUNT * HOUR
BTC = candles_of("BTCUSDT", Timeframe.H1)
LIMIT = 2_400
BULK_SHARE, RESERVE_SHARE = 0.35, 0.65


def row(at_ms: int, *, step: int = HOUR, high: float = 12.0) -> list[object]:
    return [at_ms, "10.0", str(high), "9.0", "11.0", "5", at_ms + step - 1, "55", 3, "1", "11", "0"]


class Exchange:
    """Plays the endpoints over the scripted server: candles from T0 on, but for those that are ``lost``."""

    def __init__(self, scripted, clock, answer) -> None:
        self.scripted, self.clock, self.answer = scripted, clock, answer
        self.lost: set[int] = set()
        self.odd: set[int] = set()
        self.others_used = 0
        self.weights: dict[int, int] = {}
        scripted.on("GET /fapi/v1/klines", self.klines)
        scripted.on("GET /fapi/v1/fundingRate", self.funding)

    def klines(self, asked):
        start, limit = int(asked.params["startTime"]), int(asked.params["limit"])
        first = max(0, -(-(start - T0) // HOUR))
        opens = [T0 + n * HOUR for n in range(first, first + limit + len(self.lost)) if T0 + n * HOUR <= END]
        rows = [row(at, high=1.0 if at in self.odd else 12.0) for at in opens if at not in self.lost]
        weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1_000 else 10
        minute = self.clock.now_ms() // MINUTE
        self.weights[minute] = self.weights.get(minute, 0) + weight
        used = self.weights[minute] + self.others_used
        return self.answer(rows[:limit], headers={"X-MBX-USED-WEIGHT-1M": str(used)})

    def funding(self, asked):
        start, limit = int(asked.params["startTime"]), int(asked.params["limit"])
        times = [T0 + n * 8 * HOUR + n % 17 for n in range(COUNT // 8)]
        listed = [at for at in times if at >= start][:limit]
        return self.answer([{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": "0.00010000"} for at in listed])


@pytest.fixture
def there(exchange, clock, answer) -> Exchange:
    return Exchange(exchange, clock, answer)


@pytest.fixture
async def history(there: Exchange, clock) -> AsyncIterator[PublicHistory]:
    http = Http(base_url=there.scripted.url, clock=clock)
    yield PublicHistory(http, clock)
    await http.aclose()


async def fetched(history: PublicHistory, folder: Path, series: Series = BTC, start: int | None = None) -> CandleStore:
    with StoreWriter(folder) as writer:
        await Download(history, writer).series(series, start, END, lambda done, total: None)
    return CandleStore(folder)


async def test_everything_from_the_first_candle_on(history: PublicHistory, there: Exchange, tmp_path: Path) -> None:
    store = await fetched(history, tmp_path)
    times = store.columns(BTC)["open_time_ms"]
    assert np.array_equal(times, T0 + np.arange(COUNT) * HOUR)
    assert not [asked for asked in there.scripted.asked if "x-mbx-apikey" in asked.headers]
    assert not [asked for asked in there.scripted.asked if "endTime" in asked.params]


async def test_its_weight_stays_in_its_own_share_of_every_minute(
    history: PublicHistory, there: Exchange, tmp_path: Path
) -> None:
    """It waits for the next window, and again."""
    for number in range(14):
        await fetched(history, tmp_path / str(number))
    assert len(there.weights) >= 3
    assert max(there.weights.values()) <= LIMIT * BULK_SHARE


async def test_what_others_of_this_address_use_is_left_to_them(
    history: PublicHistory, there: Exchange, tmp_path: Path
) -> None:
    """Where a bot on the same address has used a third, a download does nothing but look whether that is over.

    One request a minute tells it: a window of which nothing is known yet begins empty.
    """
    there.others_used = int(LIMIT * BULK_SHARE)
    await fetched(history, tmp_path, start=END - 5_000 * HOUR)
    assert max(there.weights.values()) <= 10
    assert max(there.weights.values()) + there.others_used < LIMIT * RESERVE_SHARE


async def test_a_pause_is_waited_for_and_a_long_ban_is_not(
    history: PublicHistory, there: Exchange, clock, answer, tmp_path: Path
) -> None:
    limited = answer({"code": -1003, "msg": "too many"}, status=429, headers={"Retry-After": "30"})
    there.scripted.on("GET /fapi/v1/klines", limited, there.klines)
    began = clock.seconds
    await fetched(history, tmp_path)
    assert clock.seconds - began >= 30
    banned = answer({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "86400"})
    there.scripted.on("GET /fapi/v1/klines", banned)
    with pytest.raises(RateLimited):
        await fetched(history, tmp_path / "other")


async def test_no_answer_is_asked_for_again_for_a_while_and_what_there_is_stays(
    history: PublicHistory, there: Exchange, answer, tmp_path: Path
) -> None:
    drop = answer(drop=True)
    there.scripted.on("GET /fapi/v1/klines", *[drop] * 6, there.klines)
    await fetched(history, tmp_path / "a")
    there.scripted.on("GET /fapi/v1/klines", there.klines, there.klines, there.klines, drop)
    with pytest.raises(Unreachable):
        await fetched(history, tmp_path / "b")
    assert CandleStore(tmp_path / "b").entries[BTC].rows == 3_000


async def test_holes_stay_holes_and_are_asked_for_again(
    history: PublicHistory, there: Exchange, tmp_path: Path
) -> None:
    hole = {T0 + n * HOUR for n in (*range(700, 750), 5_000, *range(9_000, 12_000))}
    there.lost = set(hole)
    store = await fetched(history, tmp_path)
    entry = store.entries[BTC]
    assert (entry.rows, entry.missing) == (COUNT - len(hole), len(hole))
    there.lost = {T0 + 5_000 * HOUR}
    assert (await fetched(history, tmp_path)).entries[BTC].missing == 1
    there.lost = set()
    assert (await fetched(history, tmp_path)).entries[BTC].missing == 0


async def test_a_candle_that_cannot_be_true_counts_as_missing(
    history: PublicHistory, there: Exchange, tmp_path: Path
) -> None:
    there.odd = {T0 + 100 * HOUR}
    entry = (await fetched(history, tmp_path)).entries[BTC]
    (left_out,) = entry.rejected
    assert (entry.missing, left_out.open_time_ms, left_out.file) == (1, T0 + 100 * HOUR, "GET /fapi/v1/klines")
    there.odd = set()
    entry = (await fetched(history, tmp_path)).entries[BTC]
    assert (entry.missing, entry.rejected) == (0, ())


async def test_funding_belongs_to_full_hours_and_is_fetched_once(
    history: PublicHistory, there: Exchange, tmp_path: Path
) -> None:
    series = funding_of("BTCUSDT")
    store = await fetched(history, tmp_path, series)
    assert np.array_equal(store.columns(series)["funding_time_ms"], T0 + np.arange(COUNT // 8) * 8 * HOUR)
    late = tmp_path / "late"
    await fetched(history, late, series, start=T0 + 1_000 * HOUR)
    await fetched(history, late, series)
    assert CandleStore(late).entries[series] == store.entries[series]
