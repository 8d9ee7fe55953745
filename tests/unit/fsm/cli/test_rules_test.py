"""`rules test` asks the rules what tests in YAML expect of them, and says where they do otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

TREND_UP = "{adx_4h: 30, separation_1d: 3, slope_1d: 2, bandwidth_4h: 20, crossings_4h: 1, bandwidth_change_4h: 0, \
atr_ratio_4h: 1}"
FILE = f"""\
version: 1
facts:
  up: {TREND_UP}
tests:
  - name: a trend that lasts is told
    like: up
    expect: {{regime: TREND, confidence: 0.5333333333}}
  - name: two candles are not enough
    like: up
    candles: 2
    expect: {{regime: NO_TRADE}}
  - name: what cannot be told is no trend
    like: up
    facts: {{adx_4h: null}}
    expect: {{regime: NO_TRADE}}
  - name: no facts, no signal
    like: up
    regime: TREND
    expect: {{silence: UNKNOWN_FACTS}}
  - name: five days are the end of it
    facts: {{close_1h: 101, close_1d: 101, ema50_1d: 90}}
    trade: {{strategy: trend_pullback, side: long, entry: 100, stop: 96, candles_held: 120}}
    expect: {{exit: EXIT_AFTER_CANDLES}}
  - name: break even
    facts: {{close_1h: 106, close_1d: 101, ema50_1d: 90}}
    trade: {{strategy: trend_pullback, side: long, entry: 100, stop: 96, candles_held: 3}}
    expect: {{moves_stop: {{to: 100.4, by: BREAK_EVEN}}}}
  - name: nearly
    facts: {{close_1h: 105.99, close_1d: 101, ema50_1d: 90}}
    trade: {{strategy: trend_pullback, side: long, entry: 100, stop: 96, candles_held: 3}}
    expect: {{holds: true}}
  - name: three losses, a day of rest
    expect: {{cooldown: {{losses: 3, candles: 24}}}}
"""


@pytest.fixture
def tests_file(project: Path) -> Path:
    path = project / "rules.tests.yaml"
    path.write_text(FILE, "utf-8")
    return path


def test_path_of_tests_the_rules_are_run(fsm, tests_file) -> None:
    ended = fsm("rules", "test")
    assert ended.code == 0, ended.stdout
    assert "8 tests, 8 passed, 0 failed" in ended.stdout


def test_an_edit_that_a_test_speaks_of_fails_with_the_place_and_both_answers(fsm, project, tests_file) -> None:
    text = (project / "rules.yaml").read_text("utf-8")
    (project / "rules.yaml").write_text(text.replace("break_even_at_r: 1.5 ", "break_even_at_r: 1.6 "), "utf-8")
    ended = fsm("rules", "test")
    assert ended.code == 4
    line = 1 + FILE.split("\n").index(next(line for line in FILE.split("\n") if "moves_stop" in line))
    assert f"rules.tests.yaml:{line}:14: " in ended.stdout
    assert "expected the stop moves to 100.4 by BREAK_EVEN, got it holds" in ended.stdout
    document = fsm("rules", "test", "--json")
    assert document.code == 4
    assert (document.document["passed"], document.document["failed"]) == (7, 1)
    assert document.document["failures"][0]["line"] == line


def test_a_name_that_the_rules_lost_fails_the_test_and_not_the_file(fsm, project, tests_file) -> None:
    tests_file.write_text(FILE.replace("{adx_4h: null}", "{adx_5h: null}"), "utf-8")
    ended = fsm("rules", "test")
    assert ended.code == 4
    assert "adx_5h, got the rules have none of this name" in ended.stdout


def test_a_moment_of_recorded_history_is_read_from_the_candles(fsm, project, tests_file) -> None:
    moment = "- {name: then, symbol: BTCUSDT, at: '2024-10-15T08:00', expect: {facts: {mr_closed: 1}, regime: RANGE}}"
    tests_file.write_text(f"version: 1\ntests:\n  {moment}\n", "utf-8")
    told = fsm("rules", "test", "--json").document
    expected = [failure["what"] for failure in told["failures"]]
    assert expected in ([], ["the regime"])
    tests_file.write_text(tests_file.read_text("utf-8").replace("T08:00", "T09:00"), "utf-8")
    assert "mr_closed" in [each["what"] for each in fsm("rules", "test", "--json").document["failures"]]
    tests_file.write_text(tests_file.read_text("utf-8").replace("T09:00", "T09:30"), "utf-8")
    assert "no 1h candle of BTCUSDT closed then" in fsm("rules", "test").stdout


@pytest.mark.parametrize(
    ("written", "place", "told"),
    [
        ("- {name: a, like: up, expect: {regime: TREND}}", "3:21", "no set of facts is called up"),
        ("- {name: a, facts: {adx_4h: 1}, expect: {}}", "3:43", "at least 1"),
        ("- {name: a, facts: {adx_4h: 1}, expect: {exit: EXIT_WHEN}}", "3:44", "needs `trade:`"),
        ("- {name: a, symbol: X, at: noon, expect: {regime: TREND}}", "3:30", "is no time"),
        ("- {name: a, expect: {regime: TREND}}", "3:5", "it gives nothing"),
        ("- {name: a, facts: {adx_4h: 1}, expect: {silence: NO_STUP}}", "3:53", "NO_SETUP"),
        ("- {name: a, facts: {adx_4h: 1}, expect: {silence: NO_SETUP}}", "3:43", "of which `strategy:`"),
    ],
)
def test_problems_of_the_file_come_with_their_places(fsm, project, written, place, told) -> None:
    (project / "rules.tests.yaml").write_text(f"version: 1\ntests:\n  {written}\n", "utf-8")
    ended = fsm("rules", "test")
    assert ended.code == 2
    assert f"rules.tests.yaml:{place}: " in ended.stderr, ended.stderr
    assert told in ended.stderr


def test_rules_without_tests_are_told_so(fsm, project) -> None:
    ended = fsm("rules", "test")
    assert ended.code == 2
    assert "has no tests" in ended.stderr
