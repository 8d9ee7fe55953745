"""What no other library has in our form, worked out by hand; and what every formula answers where nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import talib

from indicators.candle import Candle, Timeframe
from indicators.catalog import CATALOG, resolve
from indicators.formula import Formula, fields_of, walk
from indicators.operations import CLOSE, HIGH, LOW, atr, average, ema, highest
from indicators.series import FloatArray, Series

MONDAY_MS = 1_704_067_200_000
Values = Callable[..., list[Any]]

FLAT = [(10.0, 10.0, 10.0, 10.0, 0.0)] * 120
STILL = {
    **dict.fromkeys(["stoch_k", "stoch_d", "stoch_rsi_k", "stoch_rsi_d", "mfi", "stc"], 50.0),
    **dict.fromkeys(["aroon_up", "aroon_down", "chop"], 100.0),
    **dict.fromkeys(["vortex_plus", "vortex_minus"], 1.0),
    "uo": 50.0,
    "williams_r": -50.0,
    "bb_position": 0.5,
    "mass_index": 25.0,
}
"""Neither high nor low, neither up nor down. What is missing here is 0, or a price of 10."""


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.formula is not None])
def test_a_market_that_stands_still(name: str, values: Values) -> None:
    entry = CATALOG[name]
    known = [value for value in values(name, FLAT) if value is not None]
    if name.startswith("zigzag"):
        assert known == []
        return
    if name == "psar_up":  # the stop lies on every candle, and turns round at each
        assert set(known) == {0.0, 1.0}
        return
    assert max(known) - min(known) <= 1e-12
    usual = 10.0 if entry.unit.value == "price" and known[0] != 0 else 0.0
    assert known[0] == pytest.approx(STILL.get(name, usual), abs=1e-12)


def test_the_signal_of_the_true_strength_index_is_its_average(walk: Series) -> None:
    line = resolve("tsi").batch(walk)
    signal = talib.EMA(line[37:], 13)
    assert np.allclose(resolve("tsi_signal").batch(walk)[37:], signal, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_the_schaff_cycle_stays_where_it_was_while_its_scale_has_no_width(history: Series) -> None:
    def cycle(values: list[float], period: int, smooth: int) -> list[float]:
        found, now = [], 50.0
        for end in range(period, len(values) + 1):
            window = values[end - period : end]
            if max(window) > min(window):
                now = 100.0 * (window[-1] - min(window)) / (max(window) - min(window))
            found.append(now)
        return [sum(found[end - smooth : end]) / smooth for end in range(smooth, len(found) + 1)]

    line = [value for value in resolve("macd_line", {"fast": 23, "slow": 50}).batch(history).tolist() if value == value]
    theirs = cycle(cycle(line, 10, 3), 10, 3)
    ours = resolve("stc").batch(history)[-len(theirs) :]
    assert np.allclose(ours, theirs, rtol=0, atol=1e-6)


DAY = [
    (10.0, 12.0, 9.0, 12.0, 2.0),  # typical 11
    (12.0, 15.0, 12.0, 12.0, 6.0),  # typical 13
    (12.0, 12.0, 6.0, 6.0, 0.0),  # typical 8
]


def test_the_volume_weighted_average_of_some_candles(values: Values) -> None:
    assert values("vwap", DAY, period=2) == [None, (11 * 2 + 13 * 6) / 8, 13.0]
    silent = [(*row[:4], 0.0) for row in DAY]
    assert values("vwap", silent, period=2) == [None, 12.0, 10.5]
    assert values("vwma", DAY, period=2) == [None, 12.0, 12.0]
    assert values("cmf", DAY, period=2) == [None, (2.0 * 1 + 6.0 * -1) / 8, -1.0]


def test_the_average_of_the_day_begins_anew_at_midnight(values: Values) -> None:
    day = [DAY[0], *[DAY[1]] * 23]
    found = values("vwap_day", [*day, (7.0, 7.0, 7.0, 7.0, 0.0), DAY[1]])
    assert found[0] == 11.0
    assert found[1] == (11 * 2 + 13 * 6) / 8
    assert found[23] == pytest.approx((11 * 2 + 13 * 6 * 23) / (2 + 6 * 23), rel=1e-12)
    assert found[24:] == [7.0, 13.0]


def late(rows: list[tuple[float, ...]], hours: int) -> Series:
    candles = [Candle(MONDAY_MS + (hours + index) * Timeframe.H1.ms, *row) for index, row in enumerate(rows)]
    return Series.from_candles("LATEUSDT", Timeframe.H1, candles)


@pytest.mark.parametrize("name", ["vwap_day", "day_high", "pivot"])
def test_a_day_that_was_not_seen_from_its_beginning_counts_for_nothing(name: str) -> None:
    known = ~np.isnan(resolve(name).batch(late([DAY[0]] * 60, hours=5)))
    assert int(np.argmax(known)) == (19 if name == "vwap_day" else 19 + 24)
    assert known[np.argmax(known) :].all()


def test_the_levels_of_the_day_before(values: Values) -> None:
    rows = [*[(10.0, 11.0, 9.0, 10.0)] * 11, (10.0, 20.0, 8.0, 15.0), *[(10.0, 11.0, 9.0, 11.0)] * 12] * 2
    expected = {"day_high": 20.0, "day_low": 8.0, "day_close": 11.0, "pivot": 13.0}
    expected |= {"pivot_r1": 18.0, "pivot_s1": 6.0, "pivot_r2": 25.0, "pivot_s2": 1.0}
    for name, level in expected.items():
        found = values(name, rows)
        assert found[:24] == [None] * 24, name
        assert found[24:] == [level] * 24, name


def test_levels_within_the_range_of_the_last_candles(values: Values) -> None:
    rows = [(10.0, 20.0, 10.0, 15.0), (15.0, 15.0, 12.0, 12.0), (12.0, 14.0, 12.0, 13.0)]
    assert values("fibonacci", rows, period=2, level=0.5) == [None, 15.0, 13.5]
    assert values("fibonacci", rows, period=3, level=0.0) == [None, None, 10.0]
    assert values("fibonacci", rows, period=3, level=1.5) == [None, None, 25.0]


def test_a_turn_is_known_when_the_price_has_come_back_far_enough(values: Values) -> None:
    closes = [100.0, 111.0, 120.0, 109.0, 108.0, 100.0, 109.0, 111.0, 130.0, 110.0]
    highs, lows = values("zigzag_high", closes, reversal=10.0), values("zigzag_low", closes, reversal=10.0)
    assert highs == [None, None, None, None, 120.0, 120.0, 120.0, 120.0, 120.0, 130.0]
    assert lows == [None, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0]
    assert values("zigzag_low", [100.0, 80.0, 89.0], reversal=10.0) == [None, None, 80.0]


def test_mcginleys_average_never_leaps_over_a_falling_close(values: Values) -> None:
    assert values("mcginley", [100.0, 100.0, 1.0, 1.0], period=2) == [None, 100.0, 1.0, 1.0]


def test_the_super_trend_turns_where_a_close_passes_its_stop(values: Values) -> None:
    rising = [(10.0 + n, 11.0 + n, 9.0 + n, 10.5 + n) for n in range(20)]
    rows = [*rising, (29.0, 29.0, 20.0, 20.0)]
    up, stop = values("supertrend_up", rows, period=3), values("supertrend", rows, period=3)
    assert up[2:] == [1.0] * 18 + [0.0]
    assert all(after > before for before, after in pairwise(stop[2:20]))
    assert stop[19] < 28.0
    assert stop[20] > 29.0


def test_formulas_are_equal_where_they_compute_the_same() -> None:
    assert ema(CLOSE, 20) == ema(CLOSE, 20)
    assert hash(ema(CLOSE, 20)) == hash(ema(CLOSE, 20))
    assert ema(CLOSE, 20) != ema(CLOSE, 21)
    assert ema(CLOSE, 20) != average(CLOSE, 20)
    assert CLOSE - 1.0 != "close - 1"


def test_a_part_that_is_used_twice_is_computed_once_a_candle() -> None:
    line = ema(CLOSE, 5)
    assert len(list(walk(line * line + line))) == 4


def test_a_formula_knows_when_it_begins_and_what_it_reads() -> None:
    formula: Formula = highest(atr(14) + ema(HIGH - LOW, 20), 10)
    assert formula.first == 29
    assert fields_of(formula) == ("high", "low", "close")
    assert resolve("macd_histogram").reads == ("close",)
    assert resolve("body_ratio").reads == ("open", "high", "low", "close")


def batch_of(name: str, series: Series) -> FloatArray:
    return resolve(name).batch(series)


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_what_an_entry_reads_is_what_it_says_that_it_reads(field: str, walk: Series) -> None:
    """A field that is not read can be anything: here it is another one of those that a candle may have."""
    columns = {name: getattr(walk, name) for name in ("open_time_ms", "open", "high", "low", "close", "volume")}
    columns[field] = {
        "open": walk.low + 0.25 * (walk.high - walk.low),
        "high": walk.high + (walk.high - walk.low)[::-1],
        "low": walk.low - 9.0 * (walk.high - walk.low)[::-1],
        "close": walk.low + 0.75 * (walk.high - walk.low),
        "volume": walk.volume[::-1] + 1.0,
    }[field]
    other = Series(symbol="OTHERUSDT", timeframe=walk.timeframe, **columns)
    for name, entry in CATALOG.items():
        params = {each.name: each.default or 5 for each in entry.parameters}
        case = resolve(name, params)
        same = np.array_equal(case.batch(walk), case.batch(other), equal_nan=True)
        assert same == (field not in case.reads), name
