"""The tests beside the shipped rules: they hold, and whoever edits the rules hears of it from one of them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.rule_moments import RuleMoments
from fsm.backtest.rule_tests import outcomes
from rules.load import load_rules, parse_rules
from rules.source.yaml_source import read_source
from rules.testing.file import TestFile, path_of_tests, read_tests
from rules.testing.run import failures
from tests.effort import sampled

ROOT = Path(__file__).parents[4]
RULES = ROOT / "rules.yaml"

EDITS = (
    ("adx_trend: 25 ", "adx_trend: 25.2 "),
    ("adx_trend_stay: 20 ", "adx_trend_stay: 19.8 "),
    ("separation_trend: 1.0 ", "separation_trend: 1.01 "),
    ("separation_trend_stay: 0.5 ", "separation_trend_stay: 0.49 "),
    ("adx_range: 22 ", "adx_range: 22.2 "),
    ("adx_range_stay: 27 ", "adx_range_stay: 26.8 "),
    ("bandwidth_range: 8 ", "bandwidth_range: 8.1 "),
    ("bandwidth_range_stay: 10 ", "bandwidth_range_stay: 9.9 "),
    ("crossings_range: 3 ", "crossings_range: 4 "),
    ("crossings_range_stay: 2 ", "crossings_range_stay: 1 "),
    ("expansion: 50 ", "expansion: 50.5 "),
    ("expansion_stay: 20 ", "expansion_stay: 19.8 "),
    ("spike: 1.4 ", "spike: 1.39 "),
    ("spike_stay: 1.2 ", "spike_stay: 1.21 "),
    ("pullback_rsi_low: 40 ", "pullback_rsi_low: 40.2 "),
    ("pullback_rsi_high: 60 ", "pullback_rsi_high: 59.8 "),
    ("stop_atr_min: 2.0 ", "stop_atr_min: 2.01 "),
    ("reach_days: 2.0 ", "reach_days: 1.99 "),
    ("rsi_oversold: 32 ", "rsi_oversold: 32.2 "),
    ("rsi_overbought: 68 ", "rsi_overbought: 67.8 "),
    ("squeeze_rank: 0.25 ", "squeeze_rank: 0.24 "),
    ("squeeze_expansion: 15 ", "squeeze_expansion: 15.2 "),
    ("chase_atr: 1.5 ", "chase_atr: 1.52 "),
    ("bandwidth_range: 6,", "bandwidth_range: 6.1,"),
    ("bandwidth_range_stay: 12}", "bandwidth_range_stay: 12.1}"),
    ("bandwidth_range: 11,", "bandwidth_range: 10.9,"),
    ("confirmations: 3 ", "confirmations: 2 "),
    ("override_confidence: 0.8 ", "override_confidence: 0.79 "),
    ("dwell_candles: 3 ", "dwell_candles: 2 "),
    ("full_at: 40}", "full_at: 41}"),
    ("zero_at: 0.9,", "zero_at: 0.91,"),
    ("full_at: 6}", "full_at: 7}"),
    ('"adx_4h >= adx_trend"', '"adx_4h > adx_trend"'),
    ('"adx_4h <= adx_range"', '"adx_4h < adx_range"'),
    ("reward_risk_min: 1.2", "reward_risk_min: 1.22"),
    ("- 1.5 * atr_1h", "- 1.49 * atr_1h"),
    ("+ 1.5 * atr_1h", "+ 1.51 * atr_1h"),
    ("- 1.0 * mr_atr", "- 1.01 * mr_atr"),
    ("max(mr_recent_high, mr_upper) + 1.0 * mr_atr", "max(mr_recent_high, mr_upper) + 1.01 * mr_atr"),
    ('- 0.75 * atr_4h"', '- 0.76 * atr_4h"'),
    ("max(high_1h, range_low_4h)", "max(high_1h, close_1h)"),
    ('"entry + 3 * risk", portion: 0.5', '"entry + 3.1 * risk", portion: 0.5'),
    ('"entry - 2 * risk", portion: 1.0', '"entry - 1.9 * risk", portion: 1.0'),
    ("close_1d < ema50_1d}".replace("}", '"}'), 'close_1d < ema20_1d"}'),
    ('"close_1d > ema50_1d"', '"close_1d >= ema20_1d"'),
    ("break_even_at_r: 1.5 ", "break_even_at_r: 1.49 "),
    ("break_even_at_r: 1.0", "break_even_at_r: 1.01"),
    ("break_even_lock_r: 0.1 ", "break_even_lock_r: 0.11 "),
    ("exit_after_candles: 120", "exit_after_candles: 121"),
    ("exit_after_candles: 48", "exit_after_candles: 47"),
    ("exit_after_candles: 72", "exit_after_candles: 71"),
    ("day_high_1h - 2.5 * atr_4h", "day_high_1h - 2.49 * atr_4h"),
    ("day_low_1h + 2.5 * atr_4h", "day_low_1h + 2.51 * atr_4h"),
    ("use: mid_band", "use: ema20"),
    ("losses: 3,", "losses: 4,"),
    ("TREND: {strategy: trend_pullback, enabled: true}", "TREND: {strategy: trend_pullback, enabled: false}"),
    ("strategy: squeeze_breakout, enabled: true}", "strategy: squeeze_breakout, enabled: false}"),
    ("indicator: adx, timeframe: 4h, period: 14", "indicator: adx, timeframe: 4h, period: 15"),
    ("period: 20, lookback: 5", "period: 20, lookback: 4"),
    ("window: 120", "window: 119"),
    ("reversion: 4h ", "reversion: 1h "),
    ("left: 3, right: 3} # known", "left: 2, right: 3} # known"),
    ("close_1d > ema20_1d > ema50_1d", "close_1d > ema50_1d and ema20_1d > ema50_1d"),
    ("min(mr_rsi, mr_rsi[1])", "min(mr_rsi, mr_rsi)"),
    ("bandwidth_rank_4h[8], bandwidth_rank_4h[12]", "bandwidth_rank_4h[8], bandwidth_rank_4h[16]"),
    ('"mr_middle < mr_close <= mr_upper"', '"mr_middle < mr_close < mr_upper * 1.01"'),
)  # fmt: skip
"""As somebody might make them, each at its first place in the file; most move a number by no more than one in fifty."""


@cache
def shipped() -> TestFile:
    return read_tests(path_of_tests(RULES))


def test_the_shipped_rules_do_what_their_tests_expect() -> None:
    rules = load_rules(RULES)
    found = outcomes(shipped(), rules, RuleMoments(CandleFolders((shipped_folder(),)), rules, 200))
    assert [str(failure) for outcome in found for failure in outcome.failures] == []


@pytest.mark.parametrize(("before", "after"), sampled(EDITS, often=16))
def test_an_edit_of_the_shipped_rules_makes_a_test_fail(before, after) -> None:
    text = RULES.read_text("utf-8")
    assert before in text
    rules = parse_rules(text.replace(before, after, 1), "edited.yaml")
    if any(failures(test, shipped(), rules) for test in shipped().tests if test.at_ms is None):
        return
    moments = RuleMoments(CandleFolders((shipped_folder(),)), rules, 200)
    assert any(outcome.failures for outcome in outcomes(shipped(), rules, moments))


def test_each_strategy_and_side_has_signals_and_silences_and_each_regime_begins_and_does_not() -> None:
    definition = read_source(RULES).data
    signals: Counter[tuple[str, str]] = Counter()
    silent: Counter[tuple[str, str]] = Counter()
    regimes: Counter[str] = Counter()
    for test in shipped().tests:
        expect = test.written.expect
        if expect.signal is not None:
            signals[expect.signal.strategy, expect.signal.side] += 1
        if expect.silence is not None and test.written.like is not None:
            strategy, _, rest = test.written.like.rpartition("_")[0].rpartition("_")
            silent[strategy, rest] += 1
        if expect.regime is not None:
            regimes[expect.regime] += 1
    sides = {
        (name, side) for name, each in definition["strategies"].items() for side in ("long", "short") if side in each
    }
    assert sides <= set(signals)
    assert sides <= set(silent)
    assert {"TREND", "RANGE", "BREAKOUT", "NO_TRADE"} <= set(regimes)
