"""Why it did, or did not, trade (R55): one sentence, and each condition with its numbers and its distance."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from rules.compiled_rules import CompiledRules, Route
from rules.explain import Row, Why, hysteresis, number, render, rows, summary, why
from rules.load import Ruleset, parse_rules
from rules.regime import RegimeState

TREND = RegimeState(regime="TREND", confidence=0.5, candles_in_regime=7)
FACTS = {
    "adx_4h": 27.25, "rsi_4h": 50.0, "width_4h": 4.0, "close_1h": 100.0, "close_1h[1]": 100.3,
    "low_1h": 99.0, "high_1h": 101.0, "atr_1h": 1.0, "up_1h": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def rules(small: Ruleset) -> CompiledRules:
    return small.for_symbol("ETHUSDT")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "no setup; LONG lacks rising (by 0.3); SHORT lacks sinking"),
        ({"up_1h": None}, "something that is needed is unknown (warming up, or missing); "
         "LONG lacks rising (by 0.3), strong_candle; SHORT lacks sinking"),
        ({"close_1h[1]": 99.0}, "LONG signal: entry 100, stop 98.5, targets 103 (50%), 106 (50%), 3.00 R"),
        ({"close_1h[1]": 99.0, "low_1h": 100.5}, "LONG setup, but the stop is not on the losing side of the entry"),
        ({"up_1h": 0.0, "high_1h": 149.8}, "SHORT setup, but a target is not on the winning side of the entry"),
        ({"close_1h[1]": 99.0, "low_1h": 100.2, "atr_1h": 1.0}, "LONG setup, but the plan is not accepted"),
    ],
)  # fmt: skip
def test_one_sentence_says_why_r55(rules: CompiledRules, facts: dict[str, float | None], sentence: str) -> None:
    assert why(rules, FACTS | facts, TREND).summary == f"TREND (confidence 0.50), follow: {sentence}"


def test_too_little_reward_is_told_with_its_size(changed: Callable[[str, str], str]) -> None:
    rules = parse_rules(changed("price: entry - 2 * risk", "price: low_1h"), "f").for_symbol("ETHUSDT")
    found = why(rules, FACTS | {"up_1h": 0.0}, TREND).summary
    assert found.endswith("SHORT setup, but the reward is too small for the risk (0.67 R)")


def test_without_a_strategy_the_sentence_says_so(rules: CompiledRules) -> None:
    nothing = Route((), "NO_TRADE_REGIME")
    assert summary(RegimeState(), nothing, None) == "NO_TRADE: nothing is traded; no regime can be told"
    pending = RegimeState(pending="RANGE", pending_count=1)
    assert summary(pending, nothing, None) == "NO_TRADE: nothing is traded; RANGE asks to follow"
    breakout = why(rules, FACTS, RegimeState(regime="BREAKOUT"))
    assert breakout.summary == "BREAKOUT: the strategy of this regime is switched off"
    assert breakout.signal is None


def test_of_alternatives_that_all_fail_the_first_is_named(changed: Callable[[str, str], str]) -> None:
    text = changed(
        "        - {id: strong_candle, when: up_1h}",
        "        - any:\n            - {id: hot, when: rsi_4h > 90}\n            - {id: strong_candle, when: up_1h}",
    )
    rules = parse_rules(text, "f").for_symbol("ETHUSDT")
    none_held = FACTS | {"up_1h": 0.0, "close_1h[1]": 100.0}
    assert "LONG lacks rising (by 0), hot (by 40); SHORT" in why(rules, none_held, TREND).summary
    assert "LONG lacks rising (by 0); SHORT" in why(rules, none_held | {"up_1h": 1.0}, TREND).summary


def test_hysteresis_is_told_with_what_is_still_needed(rules: CompiledRules) -> None:
    assert hysteresis(rules, TREND) == "TREND for 7 candles of 4h, and nothing else asks to follow"
    asked = RegimeState(
        regime="TREND", candles_in_regime=1, pending="RANGE", pending_count=1, candidate_confidence=0.42
    )
    assert hysteresis(rules, asked) == (
        "TREND for 1 candle of 4h; RANGE asks to follow: seen 1 of 2 times, confidence 0.42 of 0.90, "
        "and not before 2 candles have passed"
    )


def test_a_table_has_each_condition_with_numbers_and_distance(rules: CompiledRules) -> None:
    traces = why(rules, FACTS | {"rsi_4h": None}, TREND)
    assert rows(traces.regimes[0].enter_conditions) == [
        Row("strong", "adx_4h >= strong", "yes", "27.25 against 25", "+2.25")
    ]
    breakout = next(one for one in traces.regimes if one.regime == "BREAKOUT")
    assert rows(breakout.stay_conditions) == [
        Row("wide", "width_4h >= 5 or rsi_4h >= 95", "unknown", "", ""),
        Row("", "width_4h >= 5", "no", "4 against 5", "-1"),
        Row("", "rsi_4h >= 95", "unknown", "? against 95", ""),
    ]
    assert traces.signal is not None
    assert rows(traces.signal.traces[0].setup)[1] == Row("strong_candle", "up_1h", "yes", "1", "")


def test_the_text_shows_everything(rules: CompiledRules) -> None:
    text = render(why(rules, FACTS | {"close_1h[1]": 99.0}, TREND))
    lines = text.splitlines()
    assert lines[0].startswith("TREND (confidence 0.50), follow: LONG signal")
    assert lines[2] == "TREND for 7 candles of 4h, and nothing else asks to follow"
    assert "    strong  yes  adx_4h >= strong  27.25 against 25  +2.25" in lines
    assert "  score 0.18: adx_4h is 27.25 (0 at 20, 1 at 60)" in lines
    assert "LONG  setup: yes" in lines
    assert "    not_tight  yes  risk >= 0.5 * atr_1h  1.5 against 0.5  +1" in lines
    assert "SHORT  setup: no" in lines


def test_the_text_of_a_regime_without_a_strategy_ends_with_the_regimes(rules: CompiledRules) -> None:
    assert "setup" not in render(why(rules, {}, RegimeState()))


def test_numbers_are_shown_with_ten_digits_and_unknown_as_a_question_mark() -> None:
    shown = {0.1 + 0.2: "0.3", 104_233.123456789: "104233.1235", 1e-9: "1e-09", None: "?"}
    assert {value: number(value) for value in shown} == shown


def test_an_explanation_travels_as_json_without_loss(rules: CompiledRules) -> None:
    reasons = why(rules, FACTS, TREND)
    assert msgspec.json.decode(msgspec.json.encode(reasons), type=Why) == reasons
