"""An independent implementation, talipp's own, gives the same numbers as our formulas, but where we say why not.

talipp is asked one candle at a time. Its answer is compared from its first value on where it begins as we do, and from
``start`` on where it does not: its RSI begins one change early, its Klinger and Chaikin oscillators at other candles,
its Hull average some candles late, its SuperTrend with 0. ``apart``: candles at which the two differ on purpose, as
talipp has no answer for a flat one and repeats its last. Its Ichimoku draws span B one candle later than span A; we
draw both alike. Its STC calls 100 what has no width, also at the bottom: ours is compared with lines written for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import talipp.indicators as talipp
from talipp.indicators.SuperTrend import Trend
from talipp.ohlcv import OHLCV

from indicators.catalog import CATALOG, resolve
from indicators.series import FloatArray, Series
from tests.effort import sampled

FADED = 1_500
"""Candles after which no average of ours still shows how it began (the longest has a period of 55)."""


BoolArray = npt.NDArray[np.bool_]


def never(series: Series) -> BoolArray:
    return np.zeros(series.length, dtype=np.bool_)


def flat(series: Series) -> BoolArray:
    return series.high == series.low


@dataclass(frozen=True)
class Peer:
    """``make`` builds talipp's indicator, ``read`` picks from its output, ``start`` counts candles."""

    make: Callable[[], Any]
    read: Callable[[Any], float | None] = float
    candles: bool = False
    start: int = 0
    scale: str = "value"
    params: tuple[tuple[str, float], ...] = ()
    apart: Callable[[Series], BoolArray] = never


def of(attribute: str) -> Callable[[Any], float | None]:
    return lambda output: getattr(output, attribute)


def p(**params: float) -> tuple[tuple[str, float], ...]:
    return tuple(params.items())


T = talipp
HL = True
PEERS: dict[str, Peer] = {
    "wma": Peer(lambda: T.WMA(20)),
    "smma": Peer(lambda: T.SMMA(14)),
    "dema": Peer(lambda: T.DEMA(20)),
    "tema": Peer(lambda: T.TEMA(20)),
    "t3": Peer(lambda: T.T3(5, 0.7)),
    "hma": Peer(lambda: T.HMA(16), start=22),
    "zlema": Peer(lambda: T.ZLEMA(21), params=p(period=21)),
    "kama": Peer(lambda: T.KAMA(10, 2, 30)),
    "alma": Peer(lambda: T.ALMA(9, 0.85, 6)),
    "mcginley": Peer(lambda: T.McGinleyDynamic(14)),
    "vwma": Peer(lambda: T.VWMA(20), candles=HL),
    "macd_line": Peer(lambda: T.MACD(12, 26, 9), of("macd"), scale="close"),
    "macd_signal": Peer(lambda: T.MACD(12, 26, 9), of("signal"), scale="close"),
    "macd_histogram": Peer(lambda: T.MACD(12, 26, 9), of("histogram"), scale="close"),
    "roc": Peer(lambda: T.ROC(10), scale="one"),
    "trix": Peer(lambda: T.TRIX(18), lambda value: value / 100.0, scale="one"),
    "tsi": Peer(lambda: T.TSI(13, 25), scale="one"),
    "ao": Peer(lambda: T.AO(5, 34), candles=HL, scale="close"),
    "kst": Peer(lambda: T.KST(10, 10, 15, 10, 20, 10, 30, 15, 9), of("kst"), start=60, scale="hundred"),
    "kst_signal": Peer(lambda: T.KST(10, 10, 15, 10, 20, 10, 30, 15, 9), of("signal"), start=70, scale="hundred"),
    "coppock": Peer(lambda: T.CoppockCurve(11, 14, 10), scale="hundred"),
    "dpo": Peer(lambda: T.DPO(20), scale="close"),
    "stoch_k": Peer(lambda: T.Stoch(14, 3), of("d"), candles=HL, scale="hundred"),
    "stoch_d": Peer(lambda: T.Stoch(14, 3), of("d"), candles=HL, scale="hundred", params=p(smooth=1)),
    "stoch_rsi_k": Peer(lambda: T.StochRSI(14, 14, 3, 3), of("k"), start=FADED, scale="hundred"),
    "stoch_rsi_d": Peer(lambda: T.StochRSI(14, 14, 3, 3), of("d"), start=FADED, scale="hundred"),
    "williams_r": Peer(lambda: T.Williams(14), candles=HL, scale="hundred"),
    "cci": Peer(lambda: T.CCI(20), candles=HL, scale="hundred"),
    "uo": Peer(lambda: T.UO(7, 14, 28), candles=HL, scale="hundred"),
    "aroon_up": Peer(lambda: T.Aroon(25), of("up"), candles=HL),
    "aroon_down": Peer(lambda: T.Aroon(25), of("down"), candles=HL),
    "chop": Peer(lambda: T.CHOP(14), candles=HL, scale="hundred"),
    "bop": Peer(lambda: T.BOP(), candles=HL, scale="one", apart=flat),
    "supertrend": Peer(lambda: T.SuperTrend(10, 3), of("value"), candles=HL, start=300, scale="close"),
    "supertrend_up": Peer(
        lambda: T.SuperTrend(10, 3), lambda output: float(output.trend is Trend.UP), candles=HL, start=300
    ),
    "ichimoku_conversion": Peer(
        lambda: T.Ichimoku(26, 9, 26, 52, 26), of("conversion_line"), candles=HL, scale="close"
    ),
    "ichimoku_base": Peer(lambda: T.Ichimoku(26, 9, 26, 52, 26), of("base_line"), candles=HL, scale="close"),
    "ichimoku_span_a": Peer(
        lambda: T.Ichimoku(26, 9, 26, 52, 26), of("cloud_leading_fast_line"), candles=HL, scale="close"
    ),
    "ichimoku_span_b": Peer(
        lambda: T.Ichimoku(26, 9, 26, 52, 26),
        of("cloud_leading_slow_line"),
        candles=HL,
        scale="close",
        params=p(displacement=27),
    ),
    "vortex_plus": Peer(lambda: T.VTX(14), of("plus_vtx"), candles=HL),
    "vortex_minus": Peer(lambda: T.VTX(14), of("minus_vtx"), candles=HL),
    "chande_kroll_long": Peer(lambda: T.ChandeKrollStop(10, 1, 9), of("long_stop"), candles=HL),
    "chande_kroll_short": Peer(lambda: T.ChandeKrollStop(10, 1, 9), of("short_stop"), candles=HL),
    "ttm_squeeze": Peer(lambda: T.TTM(20, 2, 1.5), lambda output: float(output.squeeze), candles=HL),
    "ttm_momentum": Peer(lambda: T.TTM(20), of("histogram"), candles=HL, scale="close"),
    "keltner_upper": Peer(lambda: T.KeltnerChannels(20, 10, 2, 2), of("ub"), candles=HL),
    "keltner_middle": Peer(lambda: T.KeltnerChannels(20, 10, 2, 2), of("cb"), candles=HL),
    "keltner_lower": Peer(lambda: T.KeltnerChannels(20, 10, 2, 2), of("lb"), candles=HL),
    "donchian_middle": Peer(lambda: T.DonchianChannels(20), of("cb"), candles=HL),
    "std_dev": Peer(lambda: T.StdDev(20), scale="close"),
    "std_dev_average": Peer(lambda: T.SFX(14, 20, 20), of("ma_std_dev"), candles=HL, scale="close"),
    "mean_deviation": Peer(lambda: T.MeanDev(20), scale="close"),
    "rogers_satchell": Peer(lambda: T.RogersSatchell(14), lambda value: 100.0 * value, candles=HL, scale="one"),
    "mass_index": Peer(lambda: T.MassIndex(9, 9, 25), candles=HL),
    "obv": Peer(lambda: T.OBV(), candles=HL, scale="sum"),
    "obv_average": Peer(lambda: T.SOBV(20), candles=HL, scale="sum"),
    "accumulation_distribution": Peer(lambda: T.AccuDist(), candles=HL, start=10, scale="sum"),
    "chaikin_oscillator": Peer(lambda: T.ChaikinOsc(3, 10), candles=HL, start=FADED, scale="sum"),
    "emv": Peer(lambda: T.EMV(14, 10_000), candles=HL, scale="sum"),
    "force_index": Peer(lambda: T.ForceIndex(13), candles=HL, scale="sum"),
    "kvo": Peer(lambda: T.KVO(34, 55), candles=HL, start=FADED, scale="sum"),
}

ELSEWHERE = {
    **dict.fromkeys(["ppo_line", "ppo_signal", "ppo_histogram", "momentum", "cmo", "mfi"], "TA-Lib"),
    **dict.fromkeys(["aroon_oscillator", "psar", "psar_up", "linear_regression", "bb_position"], "TA-Lib"),
    **dict.fromkeys(["tsi_signal", "stc", "vwap", "vwap_day", "cmf", "fibonacci"], "by hand"),
    **dict.fromkeys(["day_high", "day_low", "day_close", "zigzag_high", "zigzag_low"], "by hand"),
    **dict.fromkeys(["pivot", "pivot_r1", "pivot_r2", "pivot_s1", "pivot_s2"], "by hand"),
}
"""What talipp does not have, or has in a form that knows the future or changes its mind."""


def test_every_formula_is_compared_with_somebody() -> None:
    assert set(PEERS) | set(ELSEWHERE) == {name for name, entry in CATALOG.items() if entry.formula is not None}


@pytest.fixture(scope="module")
def traded(history: Series) -> Series:
    """talipp divides by the volume of a candle without any."""
    columns = {name: getattr(history, name) for name in ("open_time_ms", "open", "high", "low", "close")}
    volume = np.maximum(history.volume, 0.001)
    return Series(symbol=history.symbol, timeframe=history.timeframe, volume=volume, **columns)


def theirs(peer: Peer, series: Series) -> FloatArray:
    indicator = peer.make()
    values = []
    for candle in series.candles():
        ohlcv = OHLCV(candle.open, candle.high, candle.low, candle.close, candle.volume)
        indicator.add(ohlcv if peer.candles else candle.close)
        output = indicator[-1]
        value = None if output is None else peer.read(output)
        values.append(np.nan if value is None else value)
    return np.array(values)


def scales(peer: Peer, series: Series, values: FloatArray) -> FloatArray:
    """What a difference is measured by: the value, or what it is a small difference of."""
    of_all = np.ones(series.length)
    return {
        "value": np.abs(values),
        "close": series.close,
        "one": of_all,
        "hundred": 100.0 * of_all,
        "sum": np.nanmax(np.abs(values)) * of_all,
    }[peer.scale]


@pytest.mark.parametrize("name", sampled(PEERS, often=30))
def test_talipp_says_the_same(name: str, traded: Series) -> None:
    peer = PEERS[name]
    case = resolve(name, dict(peer.params))
    ours, other = case.batch(traded), theirs(peer, traded)
    compared = np.arange(traded.length) >= max(peer.start, case.warmup - 1)
    compared &= ~peer.apart(traded)
    assert compared.sum() > 1_000
    with np.errstate(invalid="ignore"):
        different = compared & ~(np.abs(ours - other) <= 1e-9 * np.maximum(scales(peer, traded, other), 1e-12))
    first = int(np.argmax(different))
    assert not different.any(), f"{different.sum()}, first at {first}: {ours[first]!r} here, {other[first]!r} there"
