"""A series holds only candles that can be trusted, and says which bar cannot."""

from __future__ import annotations

import numpy as np
import pytest

from indicators.candle import Candle, Timeframe
from indicators.series import Series, SeriesError

HOUR = Timeframe.H1.ms
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def candles(count: int) -> list[Candle]:
    return [Candle(START + index * HOUR, 10.0, 12.0, 9.0, 11.0, 5.0) for index in range(count)]


def series_with(index: int, **change: float) -> Series:
    changed = candles(5)
    fields = {
        name: getattr(changed[index], name) for name in ("open_time_ms", "open", "high", "low", "close", "volume")
    }
    changed[index] = Candle(**{**fields, **change})
    return Series.from_candles("BTCUSDT", Timeframe.H1, changed)


def test_a_series_gives_back_the_candles_it_was_made_of() -> None:
    series = Series.from_candles("BTCUSDT", Timeframe.H1, candles(5))
    assert series.length == 5
    assert series.candles() == candles(5)
    assert [series.candle(index) for index in range(5)] == candles(5)


def test_a_series_may_be_empty() -> None:
    series = Series.from_candles("BTCUSDT", Timeframe.H1, [])
    assert series.length == 0
    assert series.candles() == []


@pytest.mark.parametrize("index", [-1, 5])
def test_a_candle_outside_the_series_is_refused_and_never_counted_from_the_end(index: int) -> None:
    with pytest.raises(IndexError, match="candles 0 to 4"):
        Series.from_candles("BTCUSDT", Timeframe.H1, candles(5)).candle(index)


def test_until_keeps_the_first_candles() -> None:
    series = Series.from_candles("BTCUSDT", Timeframe.H1, candles(5))
    assert series.until(3).candles() == candles(3)
    assert series.until(0).length == 0
    with pytest.raises(IndexError, match="has 5 candles, not 6"):
        series.until(6)
    with pytest.raises(IndexError):
        series.until(-1)


def test_numbers_that_nobody_can_change_are_shared_and_others_copied() -> None:
    fixed, times = np.full(3, 11.0), np.arange(3) * HOUR
    for array in (fixed, times):
        array.setflags(write=False)
    behind = np.full(3, 11.0)
    window = behind[:]
    window.setflags(write=False)
    columns = {"open": fixed, "high": window, "low": fixed, "close": fixed, "volume": np.full(3, 5.0)}
    series = Series(symbol="BTCUSDT", timeframe=Timeframe.H1, open_time_ms=times, **columns)
    assert series.close is fixed
    assert series.open_time_ms is times
    assert series.until(2).close.base is fixed
    behind[0] = 99.0
    assert series.high.tolist() == [11.0] * 3


def test_a_series_cannot_be_changed_through_its_arrays_or_through_those_it_was_made_of() -> None:
    closes = np.full(3, 11.0)
    series = Series(
        symbol="BTCUSDT",
        timeframe=Timeframe.H1,
        open_time_ms=START + HOUR * np.arange(3),
        open=np.full(3, 10.0),
        high=np.full(3, 12.0),
        low=np.full(3, 9.0),
        close=closes,
        volume=np.zeros(3),
    )
    closes[0] = 99.0
    assert series.close[0] == 11.0
    with pytest.raises(ValueError, match="read-only"):
        series.close[0] = 99.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"low": 10.5}, "low above its open or close"),
        ({"high": 10.5}, "high below its open or close"),
        ({"low": 0.0}, "low that is not above zero"),
        ({"low": -1.0}, "low that is not above zero"),
        ({"volume": -0.001}, "negative volume"),
        ({"volume": float("nan")}, "volume that is no finite number"),
        ({"close": float("nan")}, "close that is no finite number"),
        ({"high": float("inf")}, "high that is no finite number"),
        ({"open_time_ms": START + 2 * HOUR + 1}, "multiple of 1h"),
        ({"open_time_ms": START + HOUR}, "does not open after the bar before it"),
        ({"open_time_ms": START}, "does not open after the bar before it"),
        ({"open_time_ms": START + 3 * HOUR}, "follows a gap"),
        ({"open_time_ms": -HOUR}, "before 1970"),
    ],
)
def test_an_impossible_candle_is_refused_with_its_place_and_its_fault(change: dict[str, float], problem: str) -> None:
    with pytest.raises(SeriesError, match=problem) as refusal:
        series_with(2, **change)
    assert "BTCUSDT 1h: bar 2 (" in str(refusal.value)


def test_the_refusal_says_when_the_bar_was_and_what_stood_in_it() -> None:
    with pytest.raises(SeriesError) as refusal:
        series_with(2, low=10.5)
    assert "2024-01-01T02:00 UTC" in str(refusal.value)
    assert "low 10.5, close 11.0" in str(refusal.value)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(SeriesError, match="volume has the shape"):
        Series(
            symbol="BTCUSDT",
            timeframe=Timeframe.H1,
            open_time_ms=np.array([START]),
            open=np.array([1.0]),
            high=np.array([1.0]),
            low=np.array([1.0]),
            close=np.array([1.0]),
            volume=np.array([1.0, 2.0]),
        )


def test_open_times_that_are_no_whole_milliseconds_are_refused() -> None:
    one = np.array([1.0])
    with pytest.raises(SeriesError, match="whole milliseconds"):
        Series(
            symbol="BTCUSDT",
            timeframe=Timeframe.H1,
            open_time_ms=np.array([START + 0.5]),
            open=one,
            high=one,
            low=one,
            close=one,
            volume=one,
        )
