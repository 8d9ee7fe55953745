"""An independent library, TA-Lib, computes the same numbers once differences of seed have faded.

Our exponential and simple averages, bands and RSI start as TA-Lib's do, and are compared from their first value on.
Its ATR and directional indices weigh the first candles differently: a seed's share shrinks by (period-1)/period a
candle, so they are compared where less than 1e-12 of it is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable

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


def column(name: str, history: Series, **params: float) -> FloatArray:
    return resolve(name, params).batch(history)


CLOSES = [
    ("wma", talib.WMA, {"period": 20}, 1.0),
    ("dema", talib.DEMA, {"period": 20}, 1.0),
    ("tema", talib.TEMA, {"period": 20}, 1.0),
    ("kama", talib.KAMA, {"period": 10}, 1.0),
    ("linear_regression", talib.LINEARREG, {"period": 14}, 1.0),
    ("roc", talib.ROC, {"period": 10}, 0.0),
    ("momentum", talib.MOM, {"period": 10}, 1.0),
    ("trix", talib.TRIX, {"period": 18}, 0.0),
]


@pytest.mark.parametrize(("name", "theirs", "params", "of_close"), CLOSES, ids=[row[0] for row in CLOSES])
def test_what_reads_one_close_after_the_other(
    history: Series, name: str, theirs: Callable[..., FloatArray], params: dict[str, float], of_close: float
) -> None:
    # TA-Lib takes a market that has not moved yet for one that goes straight: its KAMA is compared once that faded.
    start = resolve(name, params).warmup - 1 if name != "kama" else 1_500
    scale = of_close * history.close if of_close else 1.0
    assert_equal(column(name, history, **params), theirs(history.close, *params.values()), start, scale=scale)


def test_t3_once_its_seeds_have_faded(history: Series) -> None:
    assert_equal(column("t3", history, period=5), talib.T3(history.close, 5, 0.7), 300)


def test_macd_once_its_seeds_have_faded(history: Series) -> None:
    # TA-Lib begins its fast average together with the slow one, ours begins as soon as it can.
    names = ("macd_line", "macd_signal", "macd_histogram")
    for name, theirs in zip(names, talib.MACD(history.close, 12, 26, 9), strict=True):
        assert_equal(column(name, history), theirs, 500, scale=history.close)


def test_the_percentage_price_oscillator_as_an_exponential_one(history: Series) -> None:
    line = talib.PPO(history.close, 12, 26, talib.MA_Type.EMA)
    assert_equal(column("ppo_line", history), line, 500, scale=1.0)
    signal = np.concatenate([np.full(25, np.nan), talib.EMA(column("ppo_line", history)[25:], 9)])
    assert_equal(column("ppo_signal", history), signal, 33, scale=1.0)
    assert_equal(column("ppo_histogram", history), line - signal, 500, scale=1.0)


@pytest.mark.parametrize(("period", "smooth", "signal"), [(14, 3, 3), (5, 1, 3), (50, 10, 4)])
def test_stochastic_where_there_is_a_range(history: Series, period: int, smooth: int, signal: int) -> None:
    # Where there is none TA-Lib says 0 and we say 50.
    still = np.flatnonzero(talib.MAX(history.high, period) == talib.MIN(history.low, period))
    theirs = talib.STOCH(history.high, history.low, history.close, period, smooth, 0, signal, 0)
    start = max(int(still.max(initial=0)) + smooth + signal, period + smooth + signal)
    params = {"period": period, "smooth": smooth}
    assert_equal(column("stoch_k", history, **params), theirs[0], start, scale=100.0)
    assert_equal(column("stoch_d", history, **params, signal=signal), theirs[1], start, scale=100.0)


def test_the_stochastic_of_the_rsi(history: Series) -> None:
    # TA-Lib gives the plain stochastic and its mean: our %K with a mean of 1, and with one of 3.
    plain, mean = talib.STOCHRSI(history.close, 14, 14, 3, 0)
    assert_equal(column("stoch_rsi_k", history, smooth=1), plain, 100, scale=100.0)
    assert_equal(column("stoch_rsi_k", history, smooth=3), mean, 100, scale=100.0)
    assert_equal(column("stoch_rsi_d", history), talib.SMA(np.nan_to_num(mean), 3), 100, scale=100.0)


@pytest.mark.parametrize("period", [7, 14, 40])
def test_oscillators_of_candles(history: Series, period: int) -> None:
    columns = (history.high, history.low, history.close)
    assert_equal(column("williams_r", history, period=period), talib.WILLR(*columns, period), period, scale=100.0)
    assert_equal(column("cci", history, period=period), talib.CCI(*columns, period), period, scale=100.0)
    # TA-Lib's CMO is of Wilder's averages, which begin as the sums that ours is of: compared at its first value
    first = talib.CMO(history.close[: period + 1], period)[period]
    assert math.isclose(column("cmo", history, period=period)[period], first, rel_tol=1e-9, abs_tol=1e-9)
    down, up = talib.AROON(history.high, history.low, period)
    assert_equal(column("aroon_down", history, period=period), down, period, scale=100.0)
    assert_equal(column("aroon_up", history, period=period), up, period, scale=100.0)
    both = talib.AROONOSC(history.high, history.low, period)
    assert_equal(column("aroon_oscillator", history, period=period), both, period, scale=100.0)


def test_the_ultimate_oscillator_and_the_balance_of_power(history: Series) -> None:
    theirs = talib.ULTOSC(history.high, history.low, history.close, 7, 14, 28)
    assert_equal(column("uo", history), theirs, 28, scale=100.0)
    theirs = talib.BOP(history.open, history.high, history.low, history.close)
    assert_equal(column("bop", history), theirs, 0, scale=1.0)


@pytest.mark.parametrize(("step", "maximum"), [(0.02, 0.2), (0.01, 0.1), (0.3, 0.2)])
def test_the_parabolic_stop_from_its_first_value(history: Series, step: float, maximum: float) -> None:
    theirs = talib.SAR(history.high, history.low, step, maximum)
    ours = column("psar", history, step=step, maximum=maximum)
    assert_equal(ours, theirs, 1)
    rising = column("psar_up", history, step=step, maximum=maximum) == 1.0
    apart = (history.high > history.low) & (np.arange(history.length) > 0)
    assert (ours <= history.low)[apart & rising].all()
    assert (ours >= history.high)[apart & ~rising].all()


def test_volume(history: Series) -> None:
    price = (history.high, history.low, history.close)
    largest = float(np.abs(column("obv", history)).max())
    assert_equal(column("obv", history), talib.OBV(history.close, history.volume), 0, scale=largest)
    line = talib.AD(*price, history.volume)
    assert_equal(column("accumulation_distribution", history), line, 0, scale=float(np.abs(line).max()))
    oscillator = talib.ADOSC(*price, history.volume, 3, 10)
    assert_equal(column("chaikin_oscillator", history), oscillator, 300, scale=float(np.abs(line).max()))


@pytest.mark.parametrize("period", [2, 14])
def test_the_money_flow_where_money_flowed(history: Series, period: int) -> None:
    theirs = talib.MFI(history.high, history.low, history.close, history.volume, period)
    ours = column("mfi", history, period=period)
    typical = (history.high + history.low + history.close) / 3
    flowed = np.append(0.0, np.where(np.diff(typical) != 0, (typical * history.volume)[1:], 0.0))
    known = talib.SUM(flowed, period) > 1.0  # where nothing flowed it says 0, and we say 50
    # equal prices can have typical prices that differ by a rounding error, and it rounds otherwise
    rounding = np.append(0.0, np.abs(np.diff(typical)) < 1e-9 * typical[1:])
    known &= talib.MAX(rounding, period) == 0
    known[:period] = False
    assert known.sum() > 3_000
    # its sums slide, so that it keeps rounding errors of larger flows
    assert np.abs(ours - theirs)[known].max() < 1e-4


def test_where_the_close_stands_between_the_bands(history: Series) -> None:
    upper, _, lower = talib.BBANDS(history.close, 20, 2.0, 2.0)
    wide = upper - lower > 1e-4 * history.close
    ours = column("bb_position", history)
    theirs = np.where(wide, (history.close - lower) / np.where(wide, upper - lower, 1.0), ours)
    assert wide.sum() > 3_000
    assert np.abs(ours - theirs)[19:].max() < 1e-6


def test_engulfing_except_where_the_candle_before_has_no_body(history: Series) -> None:
    theirs = talib.CDLENGULFING(history.open, history.high, history.low, history.close)
    body_before = np.append(0.0, (history.close - history.open)[:-1])
    # TA-Lib counts a candle without a body as a rising one and needs three candles to start.
    compared = (body_before != 0) & (np.arange(history.length) >= 3)
    for name, sign in (("bullish_engulfing", 1), ("bearish_engulfing", -1)):
        ours = resolve(name).batch(history)
        assert ((ours == 1.0) == (theirs * sign > 0))[compared].all()
        assert (ours == 1.0).sum() > 20
