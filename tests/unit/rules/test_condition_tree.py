"""Conditions as a tree, and how near each is in percent, ATR or points, worked out by hand."""

from __future__ import annotations

import pytest

from rules.compiled_rules import CompiledRules
from rules.condition_tree import ANY_OF, ConditionTree, candidates, flattened, scopes, tree
from rules.explain import why
from rules.language.truth import Truth
from rules.load import parse_rules
from rules.nearness import nearness_of
from rules.regime import RegimeState

TEXT = """
version: 1
timeframes: {entry: 1h}
thresholds: {limit: 25}
features:
  close_1h: {indicator: close, timeframe: 1h}
  mean_1h: {indicator: sma, timeframe: 1h, period: 20}
  atr_1h: {indicator: atr, timeframe: 1h, period: 14}
  mean_4h: {indicator: sma, timeframe: 4h, period: 20}
  atr_4h: {indicator: atr, timeframe: 4h, period: 14}
  adx_1h: {indicator: adx, timeframe: 1h, period: 14}
  width_1h: {indicator: bb_bandwidth, timeframe: 1h, period: 20}
strategies:
  one:
    long:
      setup:
        - {id: above, when: close_1h > mean_1h * 1.01}
        - any:
            - {id: strong, when: adx_1h >= limit}
            - {id: wide, when: width_1h > 4}
            - {id: both, when: adx_1h > 10 and adx_1h > 40}
      stop: entry - atr_1h
    short:
      setup: [{id: below, when: mean_4h > close_1h}]
      stop: entry + atr_1h
"""
FACTS = {
    "close_1h": 100.0, "mean_1h": 101.0, "atr_1h": 2.0, "mean_4h": 99.0, "atr_4h": 4.0, "adx_1h": 20.0,
    "width_1h": 3.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> CompiledRules:
    return parse_rules(TEXT, "f").for_symbol("BTCUSDT")


def nodes(rules: CompiledRules, scope: str, facts: dict[str, float | None] | None = None) -> tuple[ConditionTree, ...]:
    given = facts or dict(FACTS)
    found = why(rules, given, RegimeState(regime="ALWAYS"))
    return next(each.nodes for each in scopes(found, nearness_of(rules, given)) if each.scope == scope)


def test_alternatives_are_children_of_one_node_and_hold_where_one_does(rules: CompiledRules) -> None:
    above, group = nodes(rules, "LONG setup")
    assert (above.id, above.children) == ("above", ())
    assert (group.id, group.result) == (ANY_OF, Truth.FALSE)
    assert [child.id for child in group.children] == ["strong", "wide", "both"]
    assert [child.result for child in group.children[2].children] == [Truth.TRUE, Truth.FALSE]
    assert [depth for depth, _ in flattened((above, group))] == [0, 0, 1, 1, 1, 2, 2]
    held = nodes(rules, "LONG setup", {**FACTS, "width_1h": 5.0})[1]
    assert held.result is Truth.TRUE
    unknown = nodes(rules, "LONG setup", {**FACTS, "width_1h": None})[1]
    assert unknown.result is Truth.UNKNOWN


def test_a_price_is_measured_in_percent_and_in_the_atr_of_its_timeframe(rules: CompiledRules) -> None:
    """100 against 102.01: 2.01 below, 1.9704 % of it and 1.005 ATR of the hour; 1 below 99 is a quarter of 4h's."""
    above = nodes(rules, "LONG setup")[0].distance
    assert above is not None
    assert above.unit == "price"
    assert above.value == pytest.approx(-2.01)
    assert above.percent == pytest.approx(-100 * 2.01 / 102.01)
    assert above.atr == pytest.approx(-1.005)
    assert above.words == "-1.97 % (-1.01 ATR)"
    below = nodes(rules, "SHORT setup")[0].distance
    assert below is not None
    assert below.atr == pytest.approx(-0.25)


def test_an_index_is_measured_in_points_and_a_percentage_in_percentage_points(rules: CompiledRules) -> None:
    strong, wide, _ = nodes(rules, "LONG setup")[1].children
    assert strong.distance is not None
    assert wide.distance is not None
    assert (strong.distance.points, strong.distance.words) == (-5.0, "-5 points")
    assert (wide.distance.points, wide.distance.words) == (-1.0, "-1 percentage points")


def test_without_an_atr_a_price_is_measured_in_percent_alone(rules: CompiledRules) -> None:
    above = nodes(rules, "LONG setup", {**FACTS, "atr_1h": None, "atr_4h": None})[0].distance
    assert above is not None
    assert (above.atr, above.words) == (None, "-1.97 %")


def test_the_side_that_lacks_the_least_comes_first_and_says_what(rules: CompiledRules) -> None:
    found = why(rules, FACTS, RegimeState(regime="ALWAYS"))
    short, long = candidates(found, nearness_of(rules, FACTS))
    assert (short.side, short.lacking, short.groups) == ("SHORT", 1, 1)
    assert short.first == "below (-1.00 % (-0.25 ATR))"
    assert (long.side, long.lacking, long.groups) == ("LONG", 2, 2)
    assert long.first == "any of strong, wide, both: wide (-1 percentage points)"
    near = {**FACTS, "close_1h": 102.0, "adx_1h": 26.0}
    first = candidates(why(rules, near, RegimeState(regime="ALWAYS")), nearness_of(rules, near))[0]
    assert (first.side, first.lacking, first.first) == ("LONG", 1, "above (-0.01 % (-0.01 ATR))")


def test_an_empty_list_is_an_empty_tree(rules: CompiledRules) -> None:
    assert tree((), nearness_of(rules, FACTS)) == ()
