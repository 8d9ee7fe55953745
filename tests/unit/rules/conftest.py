"""Rules and candles for the tests of the rules: a small rules file, the shipped one, and markets made by hand."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from indicators.candle import Candle, Timeframe
from indicators.series import Series, aggregate
from rules.compiled_rules import CompiledRules
from rules.facts import FactTable
from rules.load import Ruleset, load_rules, parse_rules

ROOT = Path(__file__).parents[3]
DATA = (ROOT / "exchange" / "sim" / "data", ROOT.parent / "shared" / "data" / "klines" / "sample")
MONDAY_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC

SMALL = """\
version: 1
timeframes: {entry: 1h, slow: 4h}
thresholds:
  strong: 25
  strong_stay: 20
  weak: 15
features:
  close_1h: {indicator: close, timeframe: 1h}
  low_1h: {indicator: low, timeframe: 1h}
  high_1h: {indicator: high, timeframe: 1h}
  atr_1h: {indicator: atr, timeframe: entry, period: 3}
  up_1h: {indicator: strong_close_up, timeframe: 1h}
  adx_4h: {indicator: adx, timeframe: slow, period: 3}
  rsi_4h: {indicator: rsi, timeframe: 4h, period: 3}
  width_4h: {indicator: bb_bandwidth, timeframe: 4h, period: 4, deviations: 2}
choices:
  aim: {use: two, options: {two: close_1h + 2 * atr_1h, three: close_1h + 3 * atr_1h}}
regimes:
  timeframe: 4h
  confirmations: 2
  override_confidence: 0.9
  dwell_candles: 2
  exclusive: [TREND, RANGE]
  TREND:
    enter:
      - {id: strong, when: adx_4h >= strong}
    stay:
      - {id: strong, when: adx_4h >= strong_stay}
    confidence:
      - {value: adx_4h, zero_at: strong_stay, full_at: 60}
  RANGE:
    enter:
      - {id: weak, when: adx_4h < weak}
    stay:
      - {id: weak, when: adx_4h < strong_stay}
    confidence:
      - {value: adx_4h, zero_at: strong_stay, full_at: 0}
  BREAKOUT:
    enter:
      - any:
          - {id: wide, when: width_4h >= 10}
          - {id: hot, when: rsi_4h >= 95}
    stay:
      - {id: wide, when: width_4h >= 5 or rsi_4h >= 95}
    confidence:
      - {value: width_4h, zero_at: 5, full_at: 20}
strategies:
  follow:
    reward_risk_min: 1.5
    long:
      setup:
        - {id: rising, when: "close_1h > close_1h[1]"}
        - {id: strong_candle, when: up_1h}
      stop: low_1h - 0.5 * atr_1h
      accept:
        - {id: not_tight, when: risk >= 0.5 * atr_1h}
      targets:
        - {price: entry + 2 * risk, portion: 0.5}
        - {price: entry + 4 * risk, portion: 0.5}
      trail: high_1h - 3 * atr_1h
      exit_when:
        - {id: falling, when: close_1h < stop and candles_held >= 2}
    short:
      setup:
        - {id: sinking, when: "close_1h < close_1h[1] and not up_1h"}
      stop: high_1h + 0.5 * atr_1h
      targets:
        - {price: entry - 2 * risk, portion: 1.0}
    manage: {break_even_at_r: 1, break_even_lock_r: 0.1, exit_after_candles: 10}
  revert:
    reward_risk_min: 1.2
    long:
      setup:
        - {id: low, when: rsi_4h <= 30}
      stop: close_1h - atr_1h
      targets:
        - {price: aim, portion: 1.0}
router:
  TREND: {strategy: follow, enabled: true}
  RANGE: {strategy: revert, enabled: true}
  BREAKOUT: {strategy: follow, enabled: false}
  cooldown: {losses: 3, candles: 24}
symbols:
  BTCUSDT:
    thresholds: {strong: 30}
    choices: {aim: three}
    router: {BREAKOUT: {enabled: true}}
    strategies: {follow: {reward_risk_min: 2, manage: {exit_after_candles: null, break_even_at_r: 2}}}
"""

Changed = Callable[..., str]


@pytest.fixture(scope="session")
def small_text() -> str:
    return SMALL


@pytest.fixture(scope="session")
def small() -> Ruleset:
    return parse_rules(SMALL, "small.yaml")


@pytest.fixture(scope="session")
def changed() -> Changed:
    """The small file with one text in it replaced by another."""

    def change(old: str, new: str) -> str:
        assert SMALL.count(old) == 1, f"{old!r} is in the file {SMALL.count(old)} times"
        return SMALL.replace(old, new)

    return change


@pytest.fixture(scope="session")
def shipped() -> Ruleset:
    return load_rules(ROOT / "rules.yaml")


@pytest.fixture(scope="session")
def market() -> Callable[[str], Series]:
    """Real candles of 1h, as shipped with the simulator."""

    def load(symbol: str) -> Series:
        for folder in DATA:
            path = folder / f"{symbol}-1h.csv.gz"
            if path.exists():
                with gzip.open(path) as file:
                    table = np.loadtxt(file, delimiter=",", skiprows=1)
                return _series(symbol, table[:, 0].astype(np.int64), table[:, 1:])
        pytest.skip(f"no candles of {symbol} at hand")

    return load


def _series(symbol: str, times: np.ndarray, rows: np.ndarray) -> Series:
    opened, high, low, close, volume = rows.T
    return Series(
        symbol=symbol,
        timeframe=Timeframe.H1,
        open_time_ms=times,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


@pytest.fixture(scope="session")
def hours() -> Callable[[Sequence[Sequence[float]]], Series]:
    """A series of 1h from rows of (open, high, low, close)."""

    def build(rows: Sequence[Sequence[float]]) -> Series:
        times = MONDAY_MS + np.arange(len(rows)) * Timeframe.H1.ms
        return _series("TESTUSDT", times, np.array([(*row, 1000.0) for row in rows]))

    return build


@pytest.fixture(scope="session")
def table_of() -> Callable[..., FactTable]:
    """The facts of rules over candles of 1h."""

    def build(rules: CompiledRules, series: Series, candles_min: int = 1) -> FactTable:
        return FactTable(
            rules, {timeframe: aggregate(series, timeframe) for timeframe in rules.timeframes}, candles_min
        )

    return build


@pytest.fixture(scope="session")
def feed_of() -> Callable[[Series, frozenset[Timeframe]], list[list[tuple[Timeframe, Candle]]]]:
    """What a stream is fed at each close of 1h: the candles of every timeframe that end there, the shortest first."""

    def build(series: Series, timeframes: frozenset[Timeframe]) -> list[list[tuple[Timeframe, Candle]]]:
        closing: dict[int, list[tuple[Timeframe, Candle]]] = {}
        for timeframe in sorted(timeframes, key=lambda one: one.ms):
            for candle in aggregate(series, timeframe).candles():
                closing.setdefault(candle.open_time_ms + timeframe.ms, []).append((timeframe, candle))
        return [closing[int(time) + Timeframe.H1.ms] for time in series.open_time_ms]

    return build
