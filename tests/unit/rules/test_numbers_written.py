"""Numbers may be expressions of thresholds, thresholds may have ranges, and a strategy only tightens the account's."""

from __future__ import annotations

import pytest

from rules.load import SourceError, parse_rules
from rules.looseness import loosenings
from rules.strategy import Cooldown, Limits

TEXT = """\
version: 1
timeframes: {entry: 1h}
thresholds:
  days: 2
  length: {value: 14, range: [5, 30], step: 1}
  part: 0.5
features:
  close_1h: {indicator: close, timeframe: 1h}
  atr_1h: {indicator: atr, timeframe: 1h, period: length}
strategies:
  follow:
    risk: part
    limits: {max_open_positions: 1 + days, max_open_risk_pct: 1.5}
    cooldown: {losses: days, candles: 24 * days}
    reward_risk_min: part * 2
    long:
      setup: [{id: rises, when: "close_1h > close_1h[1]"}]
      stop: entry - 2 * atr_1h
      targets: [{price: entry + 3 * risk, portion: part}, {price: entry + 4 * risk, portion: 1 - part}]
    manage: {exit_after_candles: 24 * days, exit_on_opposite: true}
symbols:
  ETHUSDT: {thresholds: {days: 4, length: 20}}
"""
PLAIN = (
    TEXT.replace("1 + days", "3")
    .replace("{losses: days, candles: 24 * days}", "{losses: 2, candles: 48}")
    .replace("part * 2", "1.0")
    .replace("exit_after_candles: 24 * days", "exit_after_candles: 48")
)


def problems(text: str) -> list[str]:
    with pytest.raises(SourceError) as refused:
        parse_rules(text, "r.yaml")
    return [str(problem) for problem in refused.value.problems]


def test_a_number_may_be_an_expression_of_thresholds_for_each_symbol() -> None:
    ruleset = parse_rules(TEXT, "r.yaml")
    general, own = (ruleset.for_symbol(symbol).strategies["follow"] for symbol in ("BTCUSDT", "ETHUSDT"))
    assert (general.risk, general.reward_risk_min) == (0.5, 1.0)
    assert (general.upkeep.exit_after_candles, own.upkeep.exit_after_candles) == (48, 96)
    assert (general.cooldown, own.cooldown) == (Cooldown(2, 48), Cooldown(4, 96))
    assert (general.limits, own.limits) == (Limits(3, 1.5), Limits(5, 1.5))
    assert [portion for _, portion in general.sides[0].targets] == [0.5, 0.5]
    assert ruleset.for_symbol("ETHUSDT").features["atr_1h"].what == "atr(period=20) on 1h"
    assert ruleset.definition.ranges["length"].range == (5, 30)


def test_a_number_means_the_same_however_it_is_written_and_a_range_changes_no_decision() -> None:
    ruleset = parse_rules(TEXT.replace("symbols:\n  ETHUSDT: {thresholds: {days: 4, length: 20}}\n", ""), "r.yaml")
    plain = PLAIN.replace("symbols:\n  ETHUSDT: {thresholds: {days: 4, length: 20}}\n", "")
    assert parse_rules(plain, "r.yaml").hash == ruleset.hash
    assert parse_rules(plain.replace("{value: 14, range: [5, 30], step: 1}", "14"), "r.yaml").hash == ruleset.hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("risk: part", "risk: parts", "12:11: no threshold is called parts; did you mean part?"),
        ("risk: part", "risk: part * 3", "strategies.follow.risk: must be at most 1, found 1.5"),
        ("risk: part", "risk: 1 / 0", "this comes to no number"),
        ("risk: part", "risk: part > 0", "a number is needed here: only + - * /, min, max and abs"),
        ("risk: part", "risk: 1.2", "strategies.follow.risk: must be at most 1, found 1.2"),
        ("24 * days, exit", "days / 4, exit", "exit_after_candles"),
        ("period: length", "period: 15 * days", "with the thresholds of"),
        ("days: 4, length", "days: 0.3, length", "with the thresholds of ETHUSDT"),
        ("range: [5, 30]", "range: [30, 5]", "a range goes from a number to a larger one"),
        ("range: [5, 30]", "range: [15, 30]", "the value is not within its range, 15 to 30"),
        ("range: [5, 30], ", "", "key range is missing"),
    ],
)
def test_a_number_that_cannot_stand_there_is_told(old: str, new: str, said: str) -> None:
    text = TEXT.replace(old, new)
    if new == "period: 15 * days":
        assert parse_rules(text, "r.yaml").for_symbol("ETHUSDT").features["atr_1h"].warmup > 0
        return
    assert any(said in problem for problem in problems(text)), problems(text)


def test_an_edit_that_risks_more_or_rests_less_is_looser() -> None:
    old = parse_rules(TEXT, "r.yaml").definition
    for was, becomes, path in (
        ("risk: part", "risk: 1", "strategies.follow.risk"),
        ("max_open_positions: 1 + days", "max_open_positions: 9", "strategies.follow.limits.max_open_positions"),
        ("candles: 24 * days}\n    rew", "candles: 3}\n    rew", "strategies.follow.cooldown.candles"),
        (", exit_on_opposite: true", "", "strategies.follow.manage.exit_on_opposite"),
    ):
        assert was in TEXT
        new = parse_rules(TEXT.replace(was, becomes), "r.yaml").definition
        assert [each.path for each in loosenings(old, new)] == [path]
