"""Recorded candles as bars, funding and history."""

from __future__ import annotations

import gzip
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_columns import CandleColumns
from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed, aggregated
from exchange.sim.playback.symbols import shipped_folder
from indicators.candle import Timeframe

D = Decimal
HOUR = 3_600_000
T0 = 1_704_067_200_000  # 2024-01-01 00:00 UTC
CRASH = 1_743_984_000_000  # 2025-04-07 00:00 UTC


@pytest.fixture(scope="module")
def shipped() -> CandleFolders:
    return CandleFolders([shipped_folder()])


@pytest.fixture(scope="module")
def btc(shipped: CandleFolders) -> SymbolFeed:
    return SymbolFeed.read(shipped, "BTCUSDT")


def columns(times: list[int], timeframe: Timeframe = Timeframe.H1) -> CandleColumns:
    count = len(times)
    return CandleColumns(
        symbol="X",
        timeframe=timeframe,
        open_time_ms=np.array(times, dtype=np.int64),
        open=np.arange(count) + 1.0,
        high=np.arange(count) + 3.0,
        low=np.arange(count) + 0.5,
        close=np.arange(count) + 2.0,
        volume=np.full(count, 0.1),
    )


def test_a_bar_has_the_recorded_prices_of_both_kinds(btc: SymbolFeed) -> None:
    found = btc.bar(T0)
    assert found is not None
    (hour,) = found
    assert (hour.open_ms, hour.end_ms) == (T0, T0 + HOUR)
    assert hour.last.open == D("42314")
    assert hour.last.low <= hour.last.close <= hour.last.high
    assert hour.mark != hour.last
    assert btc.has_mark


def test_what_was_not_recorded_has_no_bar(btc: SymbolFeed) -> None:
    assert btc.bar(T0 - HOUR) is None
    assert btc.bar(btc.end_ms) is None
    assert (btc.start_ms, btc.end_ms) == (T0, 1_751_328_000_000)


def test_an_hour_that_is_missing_among_others_has_no_bar() -> None:
    feed = SymbolFeed(candles=columns([T0, T0 + 2 * HOUR]))
    assert [feed.bar(T0 + number * HOUR) is None for number in range(4)] == [False, True, False, True]


def test_without_mark_candles_the_mark_is_smoothed(shipped: CandleFolders) -> None:
    feed = SymbolFeed.read(shipped, "XRPUSDT")
    found = feed.bar(T0)
    assert found is not None
    assert not feed.has_mark
    assert found[0].mark.open == found[0].last.open


def test_finer_candles_are_used_where_they_cover_the_hour(shipped: CandleFolders) -> None:
    """R48: the crash of 2025-04-07 is played in five-minute candles."""
    feed = SymbolFeed.read(shipped, "SOLUSDT")
    fine, hour = feed.bar(CRASH), feed.bar(CRASH - HOUR)
    assert fine is not None
    assert hour is not None
    assert (len(fine), len(hour)) == (12, 1)
    assert fine[0].last.open == D("105.84")


def test_funding_belongs_to_its_full_hour(tmp_path: Path) -> None:
    rows = "open_time_ms,open,high,low,close,volume\n" + f"{T0},1,1,1,1,1\n"
    (tmp_path / "X-1h.csv.gz").write_bytes(gzip.compress(rows.encode()))
    rates = f"funding_time_ms,funding_rate\n{T0 + 7},0.0001\n{T0 + 8 * HOUR},-0.00005\n"
    (tmp_path / "X-funding.csv.gz").write_bytes(gzip.compress(rates.encode()))
    feed = SymbolFeed.read(CandleFolders([tmp_path]), "X")
    assert feed.funding(T0) == D("0.0001")
    assert feed.funding(T0 + 8 * HOUR) == D("-0.00005")
    assert feed.funding(T0 + HOUR) is None
    assert feed.funding_times() == [T0, T0 + 8 * HOUR]


def test_shipped_funding_falls_on_the_exchange_s_hours(btc: SymbolFeed) -> None:
    assert {at_ms // HOUR % 24 for at_ms in btc.funding_times()} == {0, 8, 16}


def test_history_holds_only_closed_candles(btc: SymbolFeed) -> None:
    found = btc.candles(Timeframe.H1, start_ms=T0, end_ms=T0 + 3 * HOUR)
    assert [candle.open_time_ms for candle in found] == [T0, T0 + HOUR, T0 + 2 * HOUR]
    assert len(btc.candles(Timeframe.H1, start_ms=T0, end_ms=T0 + 3 * HOUR - 1)) == 2
    assert len(btc.candles(Timeframe.H4, start_ms=T0, end_ms=T0 + 12 * HOUR)) == 3
    assert btc.candles(Timeframe.D1, start_ms=T0, end_ms=T0 + 24 * HOUR - 1) == []
    with pytest.raises(ValueError, match="only those made of 1h"):
        btc.candles(Timeframe.M5, start_ms=T0, end_ms=T0 + HOUR)


def test_long_candles_are_made_of_what_there_is_but_whole_at_both_ends() -> None:
    """R66: an exchange makes a long candle of its trades, also where one of its hours was never recorded."""
    first = 2 * HOUR
    times = [T0 + first + n * HOUR for n in range(19) if n != 7]
    found = aggregated(columns(times), Timeframe.H4)
    # 02:00 and 03:00 belong to a candle that began earlier, 20:00 to one that has not ended; 09:00 was not recorded
    assert found.open_time_ms.tolist() == [T0 + 4 * HOUR, T0 + 8 * HOUR, T0 + 12 * HOUR, T0 + 16 * HOUR]
    assert (found.open[0], found.high[0], found.low[0], found.close[0]) == (3.0, 8.0, 2.5, 7.0)
    assert found.volume[0] == 0.1 + 0.1 + 0.1 + 0.1
    assert (found.open[1], found.high[1], found.low[1], found.close[1]) == (7.0, 11.0, 6.5, 10.0)
    assert found.volume[1] == 0.1 + 0.1 + 0.1


def test_aggregated_candles_equal_the_exchange_s_own() -> None:
    shared = Path(__file__).resolve().parents[6] / "shared" / "data" / "klines"
    if not shared.is_dir():
        pytest.skip("the full candle set is not on this machine")
    folders = CandleFolders([shared])
    own = folders.candles("BTCUSDT", Timeframe.H4)
    made = aggregated(folders.candles("BTCUSDT"), Timeframe.H4)
    _, left, right = np.intersect1d(own.open_time_ms, made.open_time_ms, return_indices=True)
    different = np.flatnonzero(own.close[left] != made.close[right])
    assert len(left) == own.length
    assert len(different) <= 1  # 2024-10-28 20:00 is irregular at the exchange itself


def hour_mark(low: float, high: float) -> CandleColumns:
    return CandleColumns(
        symbol="X",
        timeframe=Timeframe.H1,
        open_time_ms=np.array([T0], dtype=np.int64),
        open=np.array([100.0]),
        high=np.array([high]),
        low=np.array([low]),
        close=np.array([101.0]),
        volume=np.array([0.0]),
    )


def test_finer_candles_never_overrule_the_recorded_mark() -> None:
    """The last price had a wick to 80 that the mark never had: with minutes at hand it still has not."""
    hours, minutes = columns([T0]), columns([T0 + n * 60_000 for n in range(60)], Timeframe.M1)
    minutes = replace(minutes, open=np.full(60, 100.0), close=np.full(60, 100.0), high=np.full(60, 101.5))
    minutes = replace(minutes, low=np.where(np.arange(60) == 30, 80.0, 99.5))
    feed = SymbolFeed(candles=hours, mark=hour_mark(97.0, 102.0), intrabar=(minutes,))
    found = feed.bar(T0)
    assert found is not None
    assert len(found) == 59
    marks = [part.mark for part in found]
    assert (min(mark.low for mark in marks), max(mark.high for mark in marks)) == (D("97"), D("102"))
    assert (marks[0].open, marks[-1].close) == (D("100"), D("101"))
    assert [index for index, part in enumerate(found) if part.mark.low == D("97")] == [29]
    assert all(mark.low <= min(mark.open, mark.close) <= max(mark.open, mark.close) <= mark.high for mark in marks)


def test_bars_shorter_than_an_hour_together_have_the_hours_mark() -> None:
    quarters = columns([T0 + n * 900_000 for n in range(4)], Timeframe.M15)
    feed = SymbolFeed(candles=quarters, mark=hour_mark(0.7, 102.0))
    found = [feed.bar(T0 + n * 900_000) for n in range(4)]
    marks = [part.mark for each in found if each is not None for part in each]
    assert (marks[0].open, marks[-1].close) == (D("100"), D("101"))
    assert (min(mark.low for mark in marks), max(mark.high for mark in marks)) == (D("0.7"), D("102"))
