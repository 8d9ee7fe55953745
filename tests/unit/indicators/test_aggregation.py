"""Long candles are made of whole sets of short ones, alike from an array and from a stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.candle import Candle, Timeframe
from indicators.series import Aggregator, Series, SeriesError, aggregate

HOUR = Timeframe.H1.ms
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def hours(count: int, start_ms: int = START) -> list[Candle]:
    return [
        Candle(start_ms + index * HOUR, 10.0 + index, 12.0 + index, 9.0 - index / 10, 11.0 + index, 0.1 * (index + 1))
        for index in range(count)
    ]


def streamed(candles: list[Candle], timeframe: Timeframe) -> list[Candle]:
    aggregator = Aggregator(timeframe)
    return [whole for candle in candles if (whole := aggregator.update(candle)) is not None]


def test_four_hours_make_one_candle() -> None:
    whole = aggregate(Series.from_candles("BTCUSDT", Timeframe.H1, hours(4)), Timeframe.H4)
    assert whole.timeframe is Timeframe.H4
    assert whole.candles() == [Candle(START, 10.0, 15.0, 8.7, 14.0, 0.1 + 0.2 + 0.1 * 3 + 0.4)]


def test_the_long_candle_appears_when_its_last_part_closes() -> None:
    aggregator = Aggregator(Timeframe.H4)
    assert [aggregator.update(candle) is not None for candle in hours(8)] == [False, False, False, True] * 2


def test_only_candles_of_which_every_part_is_there_are_made() -> None:
    candles = hours(50, START + 5 * HOUR)
    whole = aggregate(Series.from_candles("BTCUSDT", Timeframe.H1, candles), Timeframe.D1)
    assert whole.open_time_ms.tolist() == [START + 24 * HOUR]
    assert whole.candles() == streamed(candles, Timeframe.D1)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_candles_make_none(count: int) -> None:
    assert aggregate(Series.from_candles("BTCUSDT", Timeframe.H1, hours(count)), Timeframe.H4).length == 0
    assert aggregate(Series.from_candles("BTCUSDT", Timeframe.H1, hours(count, START + HOUR)), Timeframe.H4).length == 0


def test_the_same_timeframe_needs_no_aggregation() -> None:
    series = Series.from_candles("BTCUSDT", Timeframe.H1, hours(3))
    assert aggregate(series, Timeframe.H1) is series
    assert streamed(hours(3), Timeframe.H1) == hours(3)


def test_candles_cannot_be_made_shorter() -> None:
    series = aggregate(Series.from_candles("BTCUSDT", Timeframe.H1, hours(8)), Timeframe.H4)
    with pytest.raises(SeriesError, match="4h candles cannot be joined to 1h candles"):
        aggregate(series, Timeframe.H1)
    with pytest.raises(SeriesError, match="1d candles cannot be joined to 4h candles"):
        Aggregator(Timeframe.H4, source=Timeframe.D1)


def test_a_gap_drops_the_candle_it_falls_in_and_no_other() -> None:
    candles = hours(16)
    missing = [candle for index, candle in enumerate(candles) if index != 6]
    assert [whole.open_time_ms for whole in streamed(missing, Timeframe.H4)] == [
        START,
        START + 8 * HOUR,
        START + 12 * HOUR,
    ]


def test_a_gap_at_the_start_of_a_candle_drops_it_too() -> None:
    missing = [candle for index, candle in enumerate(hours(12)) if index != 4]
    assert [whole.open_time_ms for whole in streamed(missing, Timeframe.H4)] == [START, START + 8 * HOUR]


def test_a_gap_from_the_middle_of_one_candle_to_that_of_another_drops_both() -> None:
    missing = [candle for index, candle in enumerate(hours(12)) if index not in (2, 3, 4, 5)]
    assert [whole.open_time_ms for whole in streamed(missing, Timeframe.H4)] == [START + 8 * HOUR]


@pytest.mark.parametrize("again", [START, START + HOUR])
def test_a_candle_that_comes_again_or_late_is_refused_and_changes_nothing(again: int) -> None:
    aggregator, candles = Aggregator(Timeframe.H4), hours(4)
    aggregator.update(candles[0])
    aggregator.update(candles[1])
    with pytest.raises(SeriesError, match="in order"):
        aggregator.update(candles[(again - START) // HOUR])
    aggregator.update(candles[2])
    assert aggregator.update(candles[3]) == aggregate(
        Series.from_candles("BTCUSDT", Timeframe.H1, candles), Timeframe.H4
    ).candle(0)


def test_a_candle_off_its_grid_is_refused() -> None:
    with pytest.raises(SeriesError, match="multiple of 1h"):
        Aggregator(Timeframe.H4).update(Candle(START + 60_000, 1.0, 1.0, 1.0, 1.0, 1.0))


@pytest.mark.parametrize("timeframe", [Timeframe.H4, Timeframe.D1])
def test_stream_and_array_agree_bit_for_bit_on_history(history: Series, timeframe: Timeframe) -> None:
    assert aggregate(history, timeframe).candles() == streamed(history.candles(), timeframe)


@given(
    first=st.integers(0, 30),
    volumes=st.lists(st.floats(0, 1e9), max_size=60),
    timeframe=st.sampled_from([Timeframe.H4, Timeframe.D1]),
)
def test_stream_and_array_agree_wherever_history_starts(first: int, volumes: list[float], timeframe: Timeframe) -> None:
    candles = [
        Candle(START + (first + index) * HOUR, 2.0, 3.0, 1.0, 2.0, volume) for index, volume in enumerate(volumes)
    ]
    series = Series.from_candles("BTCUSDT", Timeframe.H1, candles)
    assert aggregate(series, timeframe).candles() == streamed(candles, timeframe)


@pytest.mark.parametrize("interval", ["4h", "1d"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_aggregated_hours_are_what_the_exchange_itself_says(
    symbol: str, interval: str, klines: Callable[..., Series]
) -> None:
    native = klines(symbol, interval, "native")
    ours = aggregate(klines(symbol), Timeframe(interval))
    offset = int(np.searchsorted(ours.open_time_ms, native.open_time_ms[0]))
    same = slice(offset, offset + native.length)
    assert (ours.open_time_ms[same] == native.open_time_ms).all()
    # The exchange's own candles around 2024-10-28 20:00 do not fit together (data/klines/README.md).
    odd_ms = 1_730_073_600_000
    sound = (native.open_time_ms < odd_ms) | (native.open_time_ms >= odd_ms + Timeframe.D1.ms)
    for name in ("open", "high", "low", "close"):
        assert (getattr(ours, name)[same][sound] == getattr(native, name)[sound]).all()
    np.testing.assert_allclose(ours.volume[same][sound], native.volume[sound], rtol=1e-12)
