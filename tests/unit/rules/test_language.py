"""What expressions may say: functions that look back, definitions, the clock; and what is refused, with its place."""

from __future__ import annotations

from collections import Counter

import pytest

from rules.language.scalar import Facts
from rules.load import Ruleset, SourceError, parse_rules
from rules.strategy import Reason
from tests.unit.rules.expressions import compared

TEXT = """\
version: 1
timeframes: {entry: 1h}
thresholds: {days: 20, half: 0.5}
features:
  close_1h: {indicator: close, timeframe: 1h}
  high_1h: {indicator: high, timeframe: 1h}
  low_1h: {indicator: low, timeframe: 1h}
  rsi_1h: {indicator: rsi, timeframe: 1h, period: 14}
  ema_4h: {indicator: ema, timeframe: 4h, period: 20}
  new_4h: {indicator: candle_closed, timeframe: 4h}
sessions: {lunch: {from: "12:00", to: "13:00"}}
define:
  range_1h: high_1h - low_1h
  strong: "close_1h > ema_4h and range_1h > half * close_1h"
strategies:
  try_it:
    long:
      setup: [{id: it, when: "WHEN"}]
      stop: entry - range_1h
"""


def rules_of(when: str) -> Ruleset:
    return parse_rules(TEXT.replace("WHEN", when), "r.yaml")


def told(when: str) -> list[str]:
    """What is wrong with it: the character of the expression, and the words."""
    text = TEXT.replace("WHEN", when)
    start = next(line for line in text.split("\n") if "id: it" in line).index(when) + 1
    with pytest.raises(SourceError) as refused:
        parse_rules(text, "r.yaml")
    return [f"{max(problem.column - start, 0)}: {problem.message}" for problem in refused.value.problems]


def test_a_function_that_looks_back_is_a_value_of_its_own_that_the_journal_keeps() -> None:
    rules = rules_of("close_1h > highest(high_1h, days)[1]").for_symbol("BTCUSDT")
    assert rules.strategies["try_it"].fact_keys == ("close_1h", "high_1h", "highest(high_1h, 20)[1]", "low_1h")
    facts: Facts = {"close_1h": 10.0, "high_1h": 11.0, "low_1h": 9.0, "highest(high_1h, 20)[1]": 9.5}
    assert rules.seek_signal("try_it", facts).reason is Reason.SIGNAL
    assert rules.features["highest(high_1h, 20)"].warmup == 20


def test_a_definition_stands_for_what_it_says_also_some_candles_ago() -> None:
    rules = rules_of("strong and not strong[1]").for_symbol("BTCUSDT")
    [node] = rules.strategies["try_it"].sides[0].setup.nodes
    same = rules_of(
        "(close_1h > ema_4h and high_1h - low_1h > half * close_1h) "
        "and not (close_1h[1] > ema_4h[1] and high_1h[1] - low_1h[1] > half * close_1h[1])"
    ).for_symbol("BTCUSDT")
    assert same.strategies["try_it"].sides[0].setup.nodes == [node]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("highst(high_1h, 3) > 1 * close_1h", "0: no function is called highst; did you mean highest?"),
        ("highest(high_1h) > close_1h", "0: highest is written as highest(expression, candles)"),
        (
            "count(close_1h > ema_4h, 5) >= 2",
            "0: count looks back over candles of one timeframe, and this reads 1h and 4h",
        ),
        (
            "crosses_above(close_1h, ema_4h)",
            "0: crosses_above looks back over candles of one timeframe, and this reads 1h and 4h",
        ),
        ("since(new_4h) > 3", "0: new_4h has no earlier candles, so since cannot use it"),
        (
            "close_1h > highest(high_1h, 501)",
            "28: how many candles is a whole number from 1 to 500, or a threshold that is one",
        ),
        (
            "close_1h > highest(high_1h, half)",
            "28: how many candles is a whole number from 1 to 500, or a threshold that is one",
        ),
        ("close_1h > highest(high_1h, rsi_1h)", "28: a fixed number of candles is needed here"),
        ("count(close_1h, 3) > 1", "6: this is a price and not a condition: compare it with something"),
        ("between(rsi_1h, low_1h, high_1h)", "0: an index (0 to 100) and a price cannot be compared"),
        ("lunsh", "0: no feature, threshold, choice or definition is called lunsh; did you mean lunch?"),
        ("(close_1h - low_1h)[1] > range_1h", "0: only a name or a function can have an offset in brackets"),
        ("entry > close_1h", "0: entry is not known here yet"),
        ("since(risk > range_1h) > 2", "6: risk is not known here yet"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(when: str, said: str) -> None:
    assert told(when) == [said]


@pytest.mark.parametrize(
    "when",
    [
        "__import__('os').system('x')",
        "close_1h.__class__",
        "(lambda: 1)()",
        "[c for c in (1,)] > 1",
        "close_1h if 1 else 2",
        "f(*close_1h)",
        "highest(high_1h, n=3) > close_1h",
        "close_1h == 3",
        "close_1h ** 9 > 1",
        "1 << 99 > close_1h",
        "highest",
        "hour[51] > 3",
        "since(since(since(" + "rsi_1h > 3) > 2) > 1",
        "max(" + "close_1h, " * 60 + "close_1h) > close_1h",
        "not " * 20 + "strong",
    ],
)
def test_hostile_expressions_are_refused_with_a_place(when: str) -> None:
    assert len(told(when)) == 1
    assert int(told(when)[0].partition(":")[0]) >= 0


@pytest.mark.parametrize(
    ("define", "said"),
    [
        (
            "  one: two > 1\n  two: three_ + 1\n  three_: two + 1\n",
            "three_ is defined by itself: three_ → two → three_",
        ),
        ("  self: self + 1\n", "self is defined by itself: self → self"),
        (
            "  d0: close_1h\n" + "".join(f"  d{n + 1}: d{n} + d{n}\n" for n in range(12)),
            "with what it uses written out, this is too long: define less in terms of more",
        ),
        (
            "  e0: close_1h\n" + "".join(f"  e{n + 1}: e{n}[50]\n" for n in range(5)),
            "with what it uses written out, this looks back 250 candles; 200 is the most",
        ),
    ],
)
def test_definitions_end_and_stay_within_bounds(define: str, said: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_rules(TEXT.replace("WHEN", "strong").replace("define:\n", "define:\n" + define), "r.yaml")
    assert said in [problem.message for problem in refused.value.problems]


def test_what_is_proved_of_indicators_is_proved_of_functions() -> None:
    assert told("since(rsi_1h > 50) > 500") == ["0: this can never hold, so nothing will ever come of it"]
    assert told("hour > 23") == ["0: this can never hold, so nothing will ever come of it"]
    assert told("lowest(rsi_1h, 5) > 100") == ["0: this can never hold, so nothing will ever come of it"]


def test_a_random_expression_is_the_same_live_over_columns_and_in_the_words_of_the_language() -> None:
    answers: Counter[object] = Counter()
    for text, row, stream, batch, plainly in compared(50, seed=11, hours=120):
        assert stream == batch == plainly, f"row {row} of {text}"
        answers[plainly] += 1
    assert set(answers) == {True, False, None}
