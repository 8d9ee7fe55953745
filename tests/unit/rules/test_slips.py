"""Slips of the hand in rules.yaml: each is named in its place, with what is meant; none is a fault of the program."""

from __future__ import annotations

import pytest

from rules.load import parse_rules
from rules.source.yaml_source import SourceError

RULES = """\
version: 1
timeframes: {entry: 1h, slow: 4h}
thresholds:
  length: {value: 20, range: [10, 60], step: 5}
features:
  close_1h: {indicator: close, timeframe: 1h}
  high_1h: {indicator: high, timeframe: 1h}
  rsi_1h: {indicator: rsi, timeframe: 1h, period: 14}
  atr_1h: {indicator: atr, timeframe: 1h, period: 14}
  mean_1h: {indicator: ema, timeframe: 1h, period: length}
  adx_4h: {indicator: adx, timeframe: slow, period: 14}
define:
  top: highest(high_1h, length)[1]
regimes:
  timeframe: slow
  TRENDING: {enter: [{id: strong, when: adx_4h >= 25}]}
  QUIET: {enter: [{id: weak, when: adx_4h < 20}]}
strategies:
  ride:
    long:
      setup: [{id: rises, when: "crosses_above(close_1h, mean_1h) and close_1h > top and rsi_1h > 40"}]
      stop: entry - 2 * atr_1h
      exit_when: [{id: falls, when: "close_1h < mean_1h"}]
router: {TRENDING: ride, QUIET: ride}
"""


def told(old: str, new: str) -> str:
    """What is said of the rules with one place written otherwise."""
    assert RULES.count(old) == 1, old
    with pytest.raises(SourceError) as refused:
        parse_rules(RULES.replace(old, new), "rules.yaml")
    return str(refused.value)


def test_without_a_slip_there_is_nothing_to_say() -> None:
    assert parse_rules(RULES, "rules.yaml").warnings == ()


@pytest.mark.parametrize("wrong", ['"20"', "{value: 20}", "[20]", "null", "2 * 10", "true"])
def test_a_length_that_is_no_number_is_a_problem_of_the_threshold(wrong: str) -> None:
    """It is looked at wherever a function looks back by it, and had ended in a fault of the program."""
    assert "rules.yaml:4:19: thresholds.length.value: expected a number, found" in told("value: 20", f"value: {wrong}")


@pytest.mark.parametrize("wrong", ['"20"', "{value: 20}", "[20]", "null"])
def test_a_symbols_own_length_that_is_no_number_is_a_problem_of_the_symbol(wrong: str) -> None:
    own = f"symbols:\n  BTCUSDT: {{thresholds: {{length: {wrong}}}}}\nrouter:"
    assert "symbols.BTCUSDT.thresholds.length: expected a number, found" in told("router:", own)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("close_1h = mean_1h", "23:47: one = compares nothing: write < <= > or >="),
        ("close_1h < mean_1h AND rsi_1h > 50", "write and in small letters"),
        ("Not close_1h > mean_1h", "write not in small letters"),
        ("close_1h < mean_1h && rsi_1h > 50", "'&' has no meaning in an expression; write and"),
        ("close_1h < mean_1h | rsi_1h > 50", "'|' has no meaning in an expression; write or"),
        ("!(close_1h > mean_1h)", "'!' has no meaning in an expression; write not"),
        ("close_1h < mean_1h − atr_1h", "'−' has no meaning in an expression; write -"),
        ("close_1h < 2 × mean_1h", "'×' has no meaning in an expression; write *"),
        ("close_1h ≤ mean_1h", "'≤' has no meaning in an expression; write <="),
        ("rsi_1h < 30 %", "'%' has no meaning in an expression; write the number alone"),
    ],
)
def test_an_expression_that_others_would_write_so_says_how_it_is_written_here(written: str, said: str) -> None:
    assert said in told('"close_1h < mean_1h"', f'"{written}"')


@pytest.mark.parametrize(
    "written", ["crosses_above(close_1h, mean_1h)", "“crosses_above(close_1h, mean_1h)”", "highest(high_1h, 5) > top"]
)
def test_an_expression_with_a_comma_that_has_no_quotes_is_told_to_need_them(written: str) -> None:
    said = told('"crosses_above(close_1h, mean_1h) and close_1h > top and rsi_1h > 40"', written)
    assert 'an expression with a comma stands between quotes, as in "crosses_above(close_1h, mean_1h)"' in said


def test_a_regime_in_small_letters_is_told_to_want_capitals() -> None:
    assert "unknown key quiet in regimes; names of one's own stand in capitals here: QUIET" in told(
        "  QUIET:", "  quiet:"
    )
    assert "router; names of one's own stand in capitals here: TRENDING" in told("{TRENDING:", "{trending:")
