"""Warm-up: which candles are short, and that a stream and a table say the same of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from indicators.candle import Candle, Timeframe
from indicators.series import Series
from rules.compiled_rules import CompiledRules
from rules.facts import FactStream, FactTable
from rules.load import Ruleset, parse_rules
from rules.warmup import CLASSIFIER, Warmup, in_words, warming_up

H1, H4, D1 = Timeframe.H1, Timeframe.H4, Timeframe.D1
HOUR_MS = 3_600_000

Hours = Callable[[Sequence[Sequence[float]]], Series]
Feed = Callable[[Series, frozenset[Timeframe]], list[list[tuple[Timeframe, Candle]]]]
TableOf = Callable[..., FactTable]


@pytest.fixture(scope="module")
def rules(small: Ruleset) -> CompiledRules:
    return small.for_symbol("ETHUSDT")


@pytest.fixture(scope="module")
def wave(hours: Hours) -> Series:
    return hours([(100 + i, 100 + i + 2, 100 + i - 2, 100 + i + 1) for i in (n % 7 for n in range(60))])


def test_the_timeframe_that_takes_longest_is_told(rules: CompiledRules) -> None:
    warmup = Warmup(rules, 10)
    assert warmup.short({}) == {CLASSIFIER: "4h: 0 of 10", "follow": "1h: 0 of 11", "revert": "4h: 0 of 10"}
    assert warmup.short({H1: 11, H4: 3})[CLASSIFIER] == "4h: 3 of 10"
    assert warmup.short({H1: 11, H4: 10}) == {}


def test_a_strategy_that_no_regime_calls_for_is_waited_for_by_nobody(changed: Callable[[str, str], str]) -> None:
    text = changed("TREND: {strategy: follow, enabled: true}", "TREND: {strategy: follow, enabled: false}")
    assert "follow" not in Warmup(parse_rules(text, "f").for_symbol("ETHUSDT"), 10).needed


@pytest.mark.parametrize("candles_min", [1, 7, 12])
def test_the_stream_says_what_the_table_says(
    rules: CompiledRules, wave: Series, table_of: TableOf, feed_of: Feed, candles_min: int
) -> None:
    table, stream = table_of(rules, wave, candles_min), FactStream(rules, candles_min)
    said = []
    for index, candles in enumerate(feed_of(wave, rules.timeframes)):
        for timeframe, candle in candles:
            stream.update(timeframe, candle)
        assert stream.warming() == table.warming_at(index)
        said.append(stream.warming())
    assert said[0], "nothing was short at the first candle: the comparison would prove little"
    assert said[-1] == {}


def test_nothing_is_short_exactly_from_the_candle_on_that_makes_every_fact_known(
    rules: CompiledRules, wave: Series, table_of: TableOf
) -> None:
    table = table_of(rules, wave, 10)
    keys = {CLASSIFIER: rules.regime_fact_keys, "revert": rules.strategy_fact_keys("revert")}
    for who, read in keys.items():
        known = [all(table.facts_at(index)[key] is not None for key in read) for index in range(table.length)]
        short = [who in table.warming_at(index) for index in range(table.length)]
        assert known == [not one for one in short]
        assert True in known
        assert False in known


def test_a_symbol_is_ready_once_its_classifier_and_one_strategy_are(
    rules: CompiledRules, wave: Series, table_of: TableOf
) -> None:
    table = table_of(rules, wave, 10)
    assert table.ready_from == 39
    assert table_of(rules, wave, 100).ready_from is None


def test_the_reason_is_told_with_the_first_close_that_may_end_it() -> None:
    closed_ms = 1_704_067_200_000 + 147 * 24 * HOUR_MS + 5 * HOUR_MS
    assert in_words(warming_up("1d: 147 of 200"), closed_ms) == (
        "warming up: 147 of 200 candles of 1d have closed; nothing is entered before 2024-07-19 00:00 UTC"
    )
    assert in_words("NO_SETUP", closed_ms) is None
    assert in_words("WARMING_UP", closed_ms) is None
