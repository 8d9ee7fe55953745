"""Both forms of every indicator give the same numbers, know nothing of the future, and start when they say."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talipp.indicators.Indicator import Indicator as TalippIndicator

from indicators.candle import Candle, Timeframe
from indicators.catalog import CATALOG, Indicator, IndicatorError, Parameter, ResolvedIndicator, Unit, resolve
from indicators.series import FloatArray, Series
from tests.effort import examples, sampled

PERIODS: list[dict[str, float]] = [{"period": 2}, {"period": 14}, {"period": 50}]
NONE: list[dict[str, float]] = [{}]
BANDS: list[dict[str, float]] = [{}, {"period": 2, "deviations": 0.5}, {"period": 35, "deviations": 2.5}]
SWINGS: list[dict[str, float]] = [{}, {"left": 1, "right": 1}, {"left": 7, "right": 2}]
STRONG: list[dict[str, float]] = [{}, {"location": 0.5, "body": 0.0}, {"location": 1.0, "body": 1.0}]
CHANNELS: list[dict[str, float]] = [{"period": 1}, *PERIODS]

PARAMETERS: dict[str, list[dict[str, float]]] = {
    **dict.fromkeys(["open", "high", "low", "close", "volume", "candle_range", "close_location", "body_ratio"], NONE),
    **dict.fromkeys(["bullish_engulfing", "bearish_engulfing"], NONE),
    **dict.fromkeys(["ema", "sma", "rsi", "atr", "atr_pct", "adx", "plus_di", "minus_di"], PERIODS),
    **dict.fromkeys(["recent_high", "recent_low", "donchian_high", "donchian_low", "volume_ratio"], CHANNELS),
    **dict.fromkeys(["bb_upper", "bb_middle", "bb_lower", "bb_bandwidth"], BANDS),
    **dict.fromkeys(["swing_high", "swing_low"], SWINGS),
    **dict.fromkeys(["strong_close_up", "strong_close_down"], STRONG),
    "ema_slope": [{"period": 2, "lookback": 1}, {"period": 20, "lookback": 5}, {"period": 5, "lookback": 40}],
    "ema_separation": [{}, {"fast": 2, "slow": 3}, {"fast": 9, "slow": 200}],
    "atr_ratio": [{}, {"period": 2, "window": 1}, {"period": 30, "window": 5}],
    "bb_bandwidth_change": [{}, {"period": 2, "lookback": 1}, {"period": 5, "lookback": 60}],
    "bandwidth_rank": [{}, {"period": 2, "window": 2}, {"period": 30, "window": 20}],
    "mean_reversion_score": [{}, {"period": 2, "window": 1}, {"period": 5, "window": 60}],
}


def tried(entry: Indicator) -> list[dict[str, float]]:
    """The defaults, the smallest parameters that go together, and larger ones."""

    def numbers(scale: Callable[[Parameter, int], float]) -> dict[str, float]:
        return {each.name: each.kind(scale(each, place)) for place, each in enumerate(entry.parameters)}

    if not entry.parameters:
        return [{}]
    smallest = numbers(lambda each, place: each.minimum + (place if each.kind is int else 0))
    larger = numbers(lambda each, place: min((each.default or 3) * 2 + place, each.maximum))
    return [{}, smallest, larger]


PARAMETERS |= {name: tried(entry) for name, entry in CATALOG.items() if entry.formula is not None}
every_name = pytest.mark.parametrize("name", CATALOG)
a_third_of_names = pytest.mark.parametrize("name", sampled(CATALOG, often=len(CATALOG) // 3))


def cases(name: str) -> Iterator[ResolvedIndicator]:
    """What is tried of one entry; pytest shows the case in the locals of a failure."""
    for params in PARAMETERS[name]:
        yield resolve(name, params)


def looked_at(case: ResolvedIndicator, history: Series) -> Series:
    """All of it where the two forms were written one by one; where they follow from a formula, a part will do."""
    return history if case.indicator.formula is None else history.until(700)


def streamed(case: ResolvedIndicator, candles: list[Candle]) -> FloatArray:
    stream = case.stream()
    return np.array([np.nan if (value := stream.update(candle)) is None else value for candle in candles])


def within(case: ResolvedIndicator, value: float) -> bool:
    domain = case.domain
    return domain.lower <= value <= domain.upper and not (domain.lower_open and value == domain.lower)


def same(left: FloatArray, right: FloatArray) -> bool:
    """Equal as numbers, NaN where the other has NaN."""
    return bool(np.array_equal(left, right, equal_nan=True))


def test_every_indicator_is_tested_here() -> None:
    assert set(PARAMETERS) == set(CATALOG)


@a_third_of_names
def test_stream_and_batch_agree_bit_for_bit(name: str, history: Series) -> None:
    for case in cases(name):
        stretch = looked_at(case, history)
        assert same(case.batch(stretch), streamed(case, stretch.candles()))


@every_name
def test_the_first_value_comes_with_the_last_candle_of_the_warm_up(name: str, walk: Series) -> None:
    for case in cases(name):
        known = np.flatnonzero(~np.isnan(case.batch(walk)))
        if case.indicator.conditional:
            assert known[0] + 1 >= case.warmup
        else:
            assert known[0] + 1 == case.warmup
        assert (np.diff(known) == 1).all()
        assert known[-1] == walk.length - 1


@every_name
def test_history_shorter_than_the_warm_up_gives_no_value_and_no_error(name: str, walk: Series) -> None:
    for case in cases(name):
        for short in (0, 1, 2, -2, -1):
            count = short if short >= 0 else max(case.warmup + short, 0)
            batch = case.batch(walk.until(count))
            assert len(batch) == count
            assert np.isnan(batch[: case.warmup - 1]).all()


@a_third_of_names
def test_no_value_changes_when_the_future_is_removed_r47(name: str, history: Series) -> None:
    for case in cases(name):
        stretch = looked_at(case, history)
        whole = case.batch(stretch)
        if case.indicator.formula is None:
            counts = [*range(min(case.warmup + 12, 300)), *range(301, stretch.length, 487), stretch.length - 1]
        else:
            counts = [0, 1, 2, 25, *range(max(case.warmup - 2, 0), case.warmup + 3), 333, stretch.length - 1]
        for count in counts:
            assert same(case.batch(stretch.until(count)), whole[:count]), f"with {count} candles"


@every_name
def test_values_stay_within_their_domain(name: str, history: Series) -> None:
    for case in cases(name):
        values = case.batch(history)
        known = values[~np.isnan(values)]
        assert np.isfinite(known).all()
        assert all(within(case, value) for value in (known.min(), known.max()))
        if case.unit in (Unit.COUNT, Unit.FLAG):
            assert (known == np.floor(known)).all()


def held(thing: Any) -> int:
    """How many values there are in the lists of an indicator and of all its parts, and in what its steps remember."""
    if isinstance(thing, (list, tuple, deque)):
        return len(thing) + sum(held(part) for part in thing)
    if isinstance(thing, TalippIndicator):
        return sum(held(part) for part in vars(thing).values())
    if isinstance(thing, FunctionType):
        return sum(held(cell.cell_contents) for cell in thing.__closure__ or ())
    return 0


@a_third_of_names
def test_a_stream_never_holds_more_than_a_few_warm_ups(name: str, walk: Series) -> None:
    candles = walk.candles()
    for case in cases(name):
        stream, middle = case.stream(), 2_000 if case.indicator.formula is None else 5 * case.warmup + 300
        peaks = []
        for part in (candles[:middle], candles[middle : 2 * middle]):
            peak = 0
            for index, candle in enumerate(part):
                stream.update(candle)
                if index % 13 == 0:
                    peak = max(peak, sum(held(part) for part in vars(stream).values()))
            peaks.append(peak)
        assert peaks[1] <= peaks[0] <= 100 * (case.warmup + 1)


@every_name
def test_a_stream_refuses_a_number_that_is_not_finite_and_goes_on_unharmed(name: str, walk: Series) -> None:
    for case in cases(name):
        stream, candles = case.stream(), walk.candles()[: case.warmup + 20]
        poisons = [(field, bad) for field in range(5) for bad in (float("nan"), float("inf"), float("-inf"))]
        values = []
        for index, candle in enumerate(candles):
            numbers = [1.0] * 5
            field, numbers[field] = poisons[index % len(poisons)]
            with pytest.raises(IndicatorError, match="not finite"):
                stream.update(Candle(candle.open_time_ms, *numbers))
            values.append(stream.update(candle))
        assert same(
            np.array([np.nan if value is None else value for value in values]), case.batch(walk)[: len(candles)]
        )


@st.composite
def candle_lists(draw: st.DrawFn) -> list[Candle]:
    """Possible candles in ticks of 1, 0.01 or 0.00001, with many flat, equal, silent and jumping ones."""
    tick = draw(st.sampled_from([1.0, 0.01, 0.00001]))
    step = st.one_of(st.just(0), st.integers(-3, 3), st.integers(-400, 400))
    wick = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 500))
    volume = st.one_of(st.just(0.0), st.floats(0.001, 1e7))
    candles, price = [], 1_000
    for index, (jump, body, up, down, traded) in enumerate(
        draw(st.lists(st.tuples(step, step, wick, wick, volume), max_size=60))
    ):
        opened = max(price + jump, 1_000)
        price = max(opened + body, 1_000)
        high, low = max(opened, price) + up, min(opened, price) - down
        ticks = (opened * tick, high * tick, low * tick, price * tick)
        candles.append(Candle(index * Timeframe.H1.ms, *ticks, traded))
    return candles


def _rising(names: list[str], params: dict[str, float]) -> list[float]:
    return sorted(params[name] for name in names)


def draw_case(data: st.DataObject, name: str) -> ResolvedIndicator:
    """An entry with parameters small enough for its values to appear within some dozen candles."""
    params: dict[str, float] = {}
    for parameter in CATALOG[name].parameters:
        if parameter.kind is int:
            params[parameter.name] = data.draw(st.integers(int(parameter.minimum), 8), label=parameter.name)
        else:
            params[parameter.name] = data.draw(st.floats(parameter.minimum, parameter.maximum), label=parameter.name)
    if CATALOG[name].constraint(**params) is not None:
        whole = {each.name: int(each.minimum) for each in CATALOG[name].parameters if each.kind is int}
        least = max(whole.values())
        rising = zip(whole, _rising(list(whole), params), strict=True)
        params |= {each: max(value, least) + place for place, (each, value) in enumerate(rising)}
    return resolve(name, params)


@a_third_of_names
@given(data=st.data(), candles=candle_lists())
@settings(max_examples=examples(25), deadline=None)
def test_stream_batch_and_truncated_batch_agree_on_any_candles(
    name: str, data: st.DataObject, candles: list[Candle]
) -> None:
    case = draw_case(data, name)
    series = Series.from_candles("ANYUSDT", Timeframe.H1, candles)
    batch = case.batch(series)
    assert same(batch, streamed(case, candles))
    known = np.flatnonzero(~np.isnan(batch))
    assert known.size == 0 or known[0] + 1 >= case.warmup
    assert case.indicator.conditional or known.size == max(len(candles) - case.warmup + 1, 0)
    count = data.draw(st.integers(0, len(candles)), label="known candles")
    assert same(case.batch(series.until(count)), batch[:count])
    assert all(within(case, value) for value in batch[known])


DIGESTS = {
    "open": "218848e252be9a2e",
    "high": "8d9b3fb47c447090",
    "low": "da41fd59daf39ff2",
    "close": "bf88097a193b6e75",
    "volume": "33236a0534bbaf39",
    "volume_ratio": "74bbcfecd8d6e4aa",
    "ema": "fd402111c48092e0",
    "sma": "10cbd79789fcbfa8",
    "ema_slope": "fd5f924f91530528",
    "ema_separation": "55ff5dcb061a28c1",
    "rsi": "b638b3a7299e29ff",
    "atr": "fc7df4ef6d6abee3",
    "atr_pct": "6870eb8c6d9ff1cd",
    "atr_ratio": "6104d6340d8dc4e9",
    "candle_range": "f78a06984ee958f8",
    "bb_upper": "e9d3f460aa1a1cbc",
    "bb_middle": "b4b3db1313ee4991",
    "bb_lower": "d5c6c1311ae30db8",
    "bb_bandwidth": "628fa531996cf29d",
    "bb_bandwidth_change": "bd5f86b480fa0253",
    "bandwidth_rank": "e61591e59235cfd0",
    "mean_reversion_score": "9f3f6be3097b783a",
    "adx": "e05eb5809019e4b4",
    "plus_di": "a49985ad49c869dc",
    "minus_di": "1d6afdff0ffc2129",
    "swing_high": "b1b33e2012c12f84",
    "swing_low": "c16097e8153de676",
    "recent_high": "39b2f1d8d4b69b9e",
    "recent_low": "a57bf047562576a1",
    "donchian_high": "50c0d7940a814f30",
    "donchian_low": "308a4ae540b72f1e",
    "bullish_engulfing": "bb94271627028a2c",
    "bearish_engulfing": "5675bfecde2dfa46",
    "close_location": "5740ab6086292d46",
    "body_ratio": "9e0f3e316ed9dbf6",
    "strong_close_up": "b3836e732348bfac",
    "strong_close_down": "2235e93652e78572",
    "wma": "9c05dc093a5c3458",
    "smma": "9cc466143e413cf5",
    "dema": "6c97a1187e8fe8b6",
    "tema": "3f6e7fe3bd1908b6",
    "t3": "a543f067cfefe0a8",
    "hma": "4bd1d7a10b9af7ee",
    "zlema": "b65fbd64b2509ea3",
    "kama": "d4b0b6a8789eca6f",
    "alma": "ecc71722f9d3ee00",
    "mcginley": "31a8f8eef736d71a",
    "linear_regression": "e86ad0171f11f02c",
    "vwma": "50e4644bfec2bfc1",
    "vwap": "7ea06d59d9578699",
    "vwap_day": "45e4176b37f224b0",
    "macd_line": "5b32f0cd4bcc5119",
    "macd_signal": "4fe4ae22cf6eb09d",
    "macd_histogram": "fa19afbf476c4e0b",
    "ppo_line": "77c0fa1ba4623ed8",
    "ppo_signal": "0403311f10a84a09",
    "ppo_histogram": "88f2d7ace9775e4f",
    "roc": "b03b4fd9a08be534",
    "momentum": "4c0117cbf988006d",
    "trix": "267777725066e54c",
    "tsi": "2336fbcb2d8691cb",
    "tsi_signal": "0a0b672356523f3c",
    "ao": "8cdecf8aca55e272",
    "kst": "b40c3f0f7a192b39",
    "kst_signal": "ccdfc92e12ffa666",
    "coppock": "66010a74154a5e54",
    "dpo": "66c2bd3aaeef685f",
    "stoch_k": "6506c56a16a963c2",
    "stoch_d": "62ff2638991a288a",
    "stoch_rsi_k": "c7bf98e99f236072",
    "stoch_rsi_d": "03cd8bde6c1d0eeb",
    "williams_r": "fccfb5944254c5a5",
    "cci": "cf733bf329aec633",
    "cmo": "4962b8b3134100fd",
    "mfi": "d499ab8237906a77",
    "uo": "2a5af0101d159305",
    "stc": "30ada83b4e2f6ec4",
    "aroon_up": "b2270a7691aa9fbc",
    "aroon_down": "6c5c8d584bdb0409",
    "aroon_oscillator": "b89cf69957b54b88",
    "chop": "3fc2a65a29f80329",
    "bop": "4d379921758b8eb6",
    "supertrend": "308425599774dabc",
    "supertrend_up": "d2dac9376e61bb48",
    "psar": "5e6e5d6b1ea0bde6",
    "psar_up": "0e98140f1e1e8353",
    "ichimoku_conversion": "cd4b10f63aca6f39",
    "ichimoku_base": "a259b08ec5036737",
    "ichimoku_span_a": "f1cf089bd9617e4d",
    "ichimoku_span_b": "58fb8d30f23a930b",
    "vortex_plus": "e2320ddb3e63c176",
    "vortex_minus": "604bea0bff36a25b",
    "chande_kroll_long": "52e4307af006d862",
    "chande_kroll_short": "aa89211a5c1c7406",
    "ttm_squeeze": "0ab455a5cb3014e3",
    "ttm_momentum": "3b47d9573a205d12",
    "keltner_upper": "be4a207badd75d1e",
    "keltner_middle": "df62564c1fa758a0",
    "keltner_lower": "2e7586c653baab7a",
    "donchian_middle": "052116846b9f70bf",
    "bb_position": "9bad366dd9674c3d",
    "std_dev": "f358be15d488e24d",
    "std_dev_average": "c1f20e49e16f8d28",
    "mean_deviation": "fa021cbee6d73619",
    "rogers_satchell": "127a8f3019dc6dac",
    "mass_index": "d34495c05c6b8ff0",
    "obv": "32534989f29b6020",
    "obv_average": "6f83438b5dee5a3f",
    "accumulation_distribution": "bc7546936500683e",
    "chaikin_oscillator": "29c159637d56dcd1",
    "cmf": "294e829a506dc003",
    "emv": "73c9d7e4f1ba4bad",
    "force_index": "48986e5d5636cc6a",
    "kvo": "0bd7df5f68d68503",
    "day_high": "bce3668dcdc5802f",
    "day_low": "33502c0c92d0c0fb",
    "day_close": "2d3b4ce0304de0bc",
    "pivot": "1e98288a87656fcd",
    "pivot_r1": "2c05baf4b1dae266",
    "pivot_s1": "123e86828de18a66",
    "pivot_r2": "ef6e3e7a3f75a2fd",
    "pivot_s2": "664b8f886ab14c2f",
    "fibonacci": "826561e5ea18c516",
    "zigzag_high": "1db99513bbb612fb",
    "zigzag_low": "17c15b3a9cc0b157",
}


@every_name
def test_the_numbers_are_the_same_on_every_python_and_machine(name: str, walk: Series) -> None:
    """A changed digest means that old journals no longer replay: change one only with a word in the changelog."""
    digest = hashlib.sha256()
    for params in PARAMETERS[name]:
        digest.update(resolve(name, params).batch(walk).astype("<f8").tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[name]
