"""An independent library, TA-Lib, computes the same numbers once differences of seed have faded.

Our exponential and simple averages, bands and RSI start as TA-Lib's do, and are compared from their first value on.
Its ATR and directional indices weigh the first candles differently: a seed's share shrinks by (period-1)/period a
candle, so they are compared where less than 1e-12 of it is left.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import talib

from indicators.catalog import resolve
from indicators.series import FloatArray, Series


def faded(period: int) -> int:
    """Candles until a Wilder average of Wilder averages has forgotten its seeds."""
    return math.ceil(1.3 * math.log(1e-12) / math.log((period - 1) / period)) + 2 * period


def assert_equal(ours: FloatArray, theirs: FloatArray, start: int, scale: FloatArray | float = 0.0) -> None:
    """Equal to 1e-9 of the value itself, or of ``scale`` where the value is a small difference of large numbers."""
    assert start < len(ours) - 500
    tolerance = 1e-9 * np.maximum(np.abs(theirs), scale)
    different = ~(np.abs(ours - theirs) <= tolerance)
    different[:start] = False
    assert not different.any(), f"first at {np.argmax(different)}: {ours[different][:3]} {theirs[different][:3]}"


@pytest.mark.parametrize("period", [2, 20, 50, 200])
def test_ema_from_its_first_value(history: Series, period: int) -> None:
    assert_equal(resolve("ema", {"period": period}).batch(history), talib.EMA(history.close, period), period - 1)


@pytest.mark.parametrize("period", [2, 20, 200])
def test_sma_from_its_first_value(history: Series, period: int) -> None:
    assert_equal(resolve("sma", {"period": period}).batch(history), talib.SMA(history.close, period), period - 1)


@pytest.mark.parametrize("period", [2, 14, 50])
def test_rsi_from_its_first_value(history: Series, period: int) -> None:
    ours, theirs = resolve("rsi", {"period": period}).batch(history), talib.RSI(history.close, period)
    # Where nothing has moved yet TA-Lib says 0 and we say 50 (the first hours of a listing).
    still = np.flatnonzero(np.diff(history.close) != 0)[0] + 1
    assert_equal(ours, theirs, max(period, int(still)), scale=1.0)


@pytest.mark.parametrize("period", [2, 14, 50])
def test_atr_and_its_percentage_once_the_seed_has_faded(history: Series, period: int) -> None:
    columns = (history.high, history.low, history.close, period)
    assert_equal(resolve("atr", {"period": period}).batch(history), talib.ATR(*columns), faded(period))
    assert_equal(resolve("atr_pct", {"period": period}).batch(history), talib.NATR(*columns), faded(period))


@pytest.mark.parametrize("period", [2, 14, 50])
@pytest.mark.parametrize(
    ("name", "theirs"), [("adx", talib.ADX), ("plus_di", talib.PLUS_DI), ("minus_di", talib.MINUS_DI)]
)
def test_directional_movement_once_the_seed_has_faded(history: Series, period: int, name: str, theirs: object) -> None:
    assert callable(theirs)
    ours = resolve(name, {"period": period}).batch(history)
    assert_equal(ours, theirs(history.high, history.low, history.close, period), faded(period), scale=1.0)


@pytest.mark.parametrize(("period", "deviations"), [(2, 1.0), (20, 2.0), (35, 2.5)])
def test_bollinger_bands_from_their_first_value(history: Series, period: int, deviations: float) -> None:
    theirs = talib.BBANDS(history.close, period, deviations, deviations)
    for name, band in zip(("bb_upper", "bb_middle", "bb_lower"), theirs, strict=True):
        ours = resolve(name, {"period": period, "deviations": deviations}).batch(history)
        assert_equal(ours, band, period - 1, scale=history.close)


@pytest.mark.parametrize("period", [2, 20, 55])
def test_highest_and_lowest(history: Series, period: int) -> None:
    params = {"period": period}
    highest, lowest = talib.MAX(history.high, period), talib.MIN(history.low, period)
    start = period - 1
    assert (resolve("recent_high", params).batch(history)[start:] == highest[start:]).all()
    assert (resolve("recent_low", params).batch(history)[start:] == lowest[start:]).all()
    assert (resolve("donchian_high", params).batch(history)[period:] == highest[start:-1]).all()
    assert (resolve("donchian_low", params).batch(history)[period:] == lowest[start:-1]).all()


def test_engulfing_except_where_the_candle_before_has_no_body(history: Series) -> None:
    theirs = talib.CDLENGULFING(history.open, history.high, history.low, history.close)
    body_before = np.append(0.0, (history.close - history.open)[:-1])
    # TA-Lib counts a candle without a body as a rising one and needs three candles to start.
    compared = (body_before != 0) & (np.arange(history.length) >= 3)
    for name, sign in (("bullish_engulfing", 1), ("bearish_engulfing", -1)):
        ours = resolve(name).batch(history)
        assert ((ours == 1.0) == (theirs * sign > 0))[compared].all()
        assert (ours == 1.0).sum() > 20
