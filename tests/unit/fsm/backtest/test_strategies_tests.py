"""The tests beside the strategies of docs/strategies: they hold, and an edit of any of them makes one fail."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.rule_moments import RuleMoments
from fsm.backtest.rule_tests import outcomes
from rules.load import Ruleset, load_rules, parse_rules
from rules.testing.file import TestFile, path_of_tests, read_tests
from rules.testing.run import failures
from tests.effort import sampled

FOLDER = Path(__file__).parents[4] / "docs" / "strategies"
NAMES = ("donchian", "macd", "opening_range", "rsi2", "supertrend")

EDITS = {
    "donchian": (
        ("donchian_high, timeframe: 1d, period: 55", "donchian_high, timeframe: 1d, period: 54"),
        ("donchian_low, timeframe: 1d, period: 55", "donchian_low, timeframe: 1d, period: 56"),
        ("donchian_high, timeframe: 1d, period: 20", "donchian_high, timeframe: 1d, period: 21"),
        ("donchian_low, timeframe: 1d, period: 20", "donchian_low, timeframe: 1d, period: 19"),
        ("atr, timeframe: 1d, period: 20", "atr, timeframe: 1d, period: 21"),
        ("close_1d > high_55_1d", "close_1d >= high_55_1d * 1.001"),
        ("close_1d < low_55_1d", "close_1d < low_20_1d"),
        ("entry - 2 * atr_1d", "entry - 2.02 * atr_1d"),
        ("entry + 2 * atr_1d", "entry + 1.98 * atr_1d"),
        ("close_1d < low_20_1d}", "close_1d <= low_20_1d * 1.001}"),
        ("close_1d > high_20_1d}", "close_1d > high_55_1d}"),
    ),
    "macd": (
        ("macd_line, timeframe: 4h, fast: 12", "macd_line, timeframe: 4h, fast: 13"),
        ("slow: 26, signal: 9", "slow: 26, signal: 10"),
        ("atr, timeframe: 4h, period: 14", "atr, timeframe: 4h, period: 15"),
        ("ema, timeframe: 1d, period: 50", "ema, timeframe: 1d, period: 51"),
        ("BTCUSDT.mean_1d > BTCUSDT.mean_1d[1]", "BTCUSDT.mean_1d >= BTCUSDT.mean_1d[1] * 0.99"),
        ("BTCUSDT.mean_1d < BTCUSDT.mean_1d[1]", "mean_1d < mean_1d[1]"),
        ('"crosses_above(macd_4h, signal_4h)"}\n        - {id: trend', '"macd_4h > signal_4h"}\n        - {id: trend'),
        ('"crosses_below(macd_4h, signal_4h)"}\n        - {id: trend', '"macd_4h < signal_4h"}\n        - {id: trend'),
        ("entry - 3 * atr_4h", "entry - 3.03 * atr_4h"),
        ("entry + 3 * atr_4h", "entry + 2.97 * atr_4h"),
        ("when: btc_rises}", "when: btc_falls}"),
        ('crosses_back, when: "crosses_below(', 'crosses_back, when: "crosses_above('),
    ),
    "opening_range": (
        ('opening: {from: "13:00", to: "15:00"', 'opening: {from: "13:00", to: "16:00"'),
        ('new_york: {from: "13:00", to: "21:00"', 'new_york: {from: "13:00", to: "20:00"'),
        ("days: [1, 2, 3, 4, 5]}\n\nfeatures", "days: [1, 2, 3, 4]}\n\nfeatures"),
        ("ema, timeframe: 4h, period: 50", "ema, timeframe: 4h, period: 51"),
        ("highest(high_1h, 2)", "highest(high_1h, 3)"),
        ("lowest(low_1h, 2)", "lowest(low_1h, 1)"),
        ('"crosses_above(close_1h, range_high)"', '"close_1h > range_high"'),
        ('"count(close_1h > range_high, 6) <= 1"', '"count(close_1h > range_high, 6) <= 2"'),
        ('"count(close_1h < range_low, 6) <= 1"', '"count(close_1h < range_low, 5) <= 1"'),
        ("close_1h > mean_4h", "close_1h > mean_4h * 1.001"),
        ("close_1h < mean_4h", "close_1h > mean_4h"),
        ("stop: range_low", "stop: range_low * 0.999"),
        ("stop: range_high", "stop: high_1h"),
        ("session_over, when: not new_york", "session_over, when: not opening"),
    ),
    "rsi2": (
        ("oversold: {value: 10", "oversold: {value: 10.2"),
        ("overbought: {value: 90", "overbought: {value: 89.8"),
        ("days_max: {value: 5", "days_max: {value: 6"),
        ("sma, timeframe: 1d, period: 100", "sma, timeframe: 1d, period: 101"),
        ("sma, timeframe: 1d, period: 5", "sma, timeframe: 1d, period: 6"),
        ("rsi, timeframe: 1d, period: 2", "rsi, timeframe: 1d, period: 3"),
        ("atr, timeframe: 1d, period: 14", "atr, timeframe: 1d, period: 15"),
        ("entry - 2.5 * atr_1d", "entry - 2.52 * atr_1d"),
        ("entry + 2.5 * atr_1d", "entry + 2.48 * atr_1d"),
        ("close_1d > mean_1d", "close_1d > mean_1d * 1.001"),
        ("close_1d < mean_1d", "close_1d < fast_1d"),
        ("close_1d > fast_1d}", "close_1d > mean_1d}"),
        ("rsi_1d < oversold", "rsi_1d <= oversold * 1.01"),
    ),
    "supertrend": (
        ("supertrend, timeframe: 4h, period: 10", "supertrend, timeframe: 4h, period: 11"),
        ("period: 10, multiple: 3}\n  up_4h", "period: 10, multiple: 3.1}\n  up_4h"),
        ("_up, timeframe: 4h, period: 10, multiple: 3", "_up, timeframe: 4h, period: 10, multiple: 2"),
        ("up_4h and not up_4h[1]", "up_4h and not up_4h[2]"),
        ("not up_4h and up_4h[1]", "not up_4h"),
        ("stop: line_4h", "stop: line_4h * 0.999"),
        ("trail: line_4h", "trail: line_4h * 0.999"),
        ("turns_down, when: not up_4h}", "turns_down, when: up_4h}"),
    ),
}  # fmt: skip
"""Each at its first place in the file; a number moves by no more than one in fifty, a period by one."""


@cache
def written_for(name: str) -> TestFile:
    return read_tests(path_of_tests(FOLDER / f"{name}.yaml"))


def moments(rules: Ruleset) -> RuleMoments:
    return RuleMoments(CandleFolders((shipped_folder(),)), rules, 200)


@pytest.mark.parametrize("name", NAMES)
def test_each_does_what_its_tests_expect(name: str) -> None:
    rules = load_rules(FOLDER / f"{name}.yaml")
    found = outcomes(written_for(name), rules, moments(rules))
    assert [str(failure) for outcome in found for failure in outcome.failures] == []
    assert len(found) > 30


@pytest.mark.parametrize(
    ("name", "before", "after"),
    sampled([(name, before, after) for name, edits in EDITS.items() for before, after in edits], often=20),
)
def test_an_edit_makes_a_test_fail(name: str, before: str, after: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text("utf-8")
    assert before in text
    rules = parse_rules(text.replace(before, after, 1), "edited.yaml")
    tests = written_for(name)
    if any(failures(test, tests, rules) for test in tests.tests if test.at_ms is None):
        return
    assert any(outcome.failures for outcome in outcomes(tests, rules, moments(rules)))


@pytest.mark.parametrize("name", NAMES)
def test_each_side_has_signals_with_their_stop_silences_and_ends_of_trades(name: str) -> None:
    signals: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for test in written_for(name).tests:
        expect, like = test.written.expect, test.written.like or ""
        if expect.signal is not None and expect.signal.stop is not None:
            signals[expect.signal.side] += 1
        if expect.silence is not None:
            silent["long" if "_long" in like else "short"] += 1
        if test.written.trade is not None and expect.exit is not None:
            ended[test.written.trade.side] += 1
        if test.written.trade is not None and expect.exit is None:
            held[test.written.trade.side] += 1
    for counted in (signals, silent, ended, held):
        assert counted["long"] > 0
        assert counted["short"] > 0


def test_every_strategy_of_the_docs_has_its_tests() -> None:
    files = {file.name for file in FOLDER.glob("*.yaml")}
    assert files == {f"{name}{end}" for name in NAMES for end in (".yaml", ".tests.yaml")}
