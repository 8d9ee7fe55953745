"""Ticks that candles show: never coarser than any of their prices, and coarser than today's only where that is sure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_columns import CandleColumns
from exchange.candle_files import CandleFolders
from exchange.filters import decimal_of
from exchange.sim.playback.past_ticks import ShownDecimals, TickKnown, of_its_time, shown_by
from exchange.sim.playback.symbols import shipped_filters, shipped_folder
from indicators.candle import Timeframe

HOUR_MS, DAY_HOURS = 3_600_000, 24
SHARED = Path(__file__).parents[6] / "shared" / "data" / "klines"
T0 = 1_704_067_200_000


def candles(*stretches: tuple[int, float], symbol: str = "SOLUSDT") -> CandleColumns:
    """Hours of prices that move by this step, one stretch after the other."""
    closes = np.concatenate(
        [np.round((1_001 + 2 * (np.arange(hours) % 97)) * step, 6) + 0.0 for hours, step in stretches]
    )
    times = T0 + np.arange(len(closes), dtype=np.int64) * HOUR_MS
    prices = dict.fromkeys(("open", "high", "low", "close"), closes)
    return CandleColumns(
        symbol=symbol, timeframe=Timeframe.H1, open_time_ms=times, volume=np.ones(len(closes)), **prices
    )


def hours(found: Sequence[ShownDecimals]) -> list[tuple[int, int]]:
    return [((each.since_ms - T0) // HOUR_MS, each.decimals) for each in found]


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        (((2_000, 0.001), (2_000, 0.01)), [(0, 3), (2_000, 2)]),
        (((2_000, 0.01), (2_000, 0.001)), [(0, 2), (2_000, 3)]),
        (((2_000, 0.01), (3_000, 0.001), (2_000, 0.1)), [(0, 2), (2_000, 3), (5_000, 1)]),
        (((2_000, 0.001), (600, 0.01)), [(0, 3)]),  # 25 days are no proof
        (((2_000, 0.001), (2_000, 0.01), (1, 0.001), (2_000, 0.01)), [(0, 3), (4_001, 2)]),
        (((2_000, 0.001), (2_400, 0.01), (1, 0.001), (2_000, 0.01)), [(0, 3), (2_000, 2), (4_400, 3), (4_401, 2)]),
    ],
    ids=["coarser", "finer", "both", "too short", "an old order fills", "an old order fills after months"],
)
def test_where_the_finest_decimal_changes(
    stretches: tuple[tuple[int, float], ...], expected: list[tuple[int, int]]
) -> None:
    assert hours(shown_by(candles(*stretches))) == expected


def test_finer_candles_inside_of_an_hour_are_heard() -> None:
    rough = candles((3_000, 0.01))
    minutes = CandleColumns(
        symbol="SOLUSDT",
        timeframe=Timeframe.M30,
        open_time_ms=np.array([T0 + 2_999 * HOUR_MS + 1_800_000]),
        volume=np.ones(1),
        **{name: np.array([10.123]) for name in ("open", "high", "low", "close")},
    )
    assert hours(shown_by(rough, [minutes])) == [(0, 2), (2_999, 3)]


def test_nothing_is_told_by_nothing_and_by_what_was_never_a_price() -> None:
    odd = np.random.default_rng(1).uniform(100, 200, 1_000)
    prices = dict.fromkeys(("open", "high", "low", "close"), odd)
    times = T0 + np.arange(1_000, dtype=np.int64) * HOUR_MS
    made = CandleColumns(symbol="SOLUSDT", timeframe=Timeframe.H1, open_time_ms=times, volume=np.ones(1_000), **prices)
    (found,) = shown_by(made)
    assert found.decimals == -1
    filters = shipped_filters()["SOLUSDT"]
    assert of_its_time(filters, (found,), T0) == (filters, TickKnown.LATER_RULES)
    assert shown_by(CandleColumns.none("SOLUSDT", Timeframe.H1)) == ()
    assert of_its_time(filters, (), T0) == (filters, TickKnown.LATER_RULES)


def test_a_coarser_tick_needs_many_prices_and_a_finer_one_a_single_candle() -> None:
    filters = shipped_filters()["SOLUSDT"]
    coarse, short = shown_by(candles((2_000, 0.1))), shown_by(candles((500, 0.1)))
    found, known = of_its_time(filters, coarse, T0)
    assert (found.tick_size, found.price_min, known) == (Decimal("0.1"), Decimal("0.5"), TickKnown.CANDLES)
    assert of_its_time(filters, short, T0) == (filters, TickKnown.LATER_RULES)
    found, known = of_its_time(filters, shown_by(candles((1, 0.0001))), T0)
    assert (found.tick_size, found.price_min, known) == (Decimal("0.0001"), filters.price_min, TickKnown.CANDLES)


def test_rules_that_the_candles_fit_stay_as_they_are_written() -> None:
    filters = shipped_filters()["SOLUSDT"]
    assert str(filters.tick_size) == "0.0100"
    assert of_its_time(filters, shown_by(candles((2_000, 0.01))), T0) == (filters, TickKnown.BOTH)


def test_no_tick_is_coarser_than_any_recorded_price() -> None:
    folder = SHARED if SHARED.is_dir() else shipped_folder()
    folders, rules = CandleFolders([folder]), shipped_filters()
    for symbol in folders.symbols():
        found = folders.candles(symbol)
        shown = shown_by(found)
        for index in range(0, found.length, 7):
            filters, _ = of_its_time(rules[symbol], shown, int(found.open_time_ms[index]))
            for price in (found.open, found.high, found.low, found.close):
                assert decimal_of(float(price[index])) % filters.tick_size == 0, (symbol, index)
