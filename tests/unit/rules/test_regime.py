"""The regime: readings, candidate, and the hysteresis that keeps it from flip-flopping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.candle import Timeframe
from rules.definition import RAREST_FIRST
from rules.language.truth import Truth
from rules.load import Ruleset, parse_rules
from rules.regime import Classifier, RegimeReading, RegimeState

TREND, RANGE, BREAKOUT, NO_TRADE = "TREND", "RANGE", "BREAKOUT", "NO_TRADE"
H1, H4 = Timeframe.H1.ms, Timeframe.H4.ms
TRENDING = {"adx_4h": 30.0, "rsi_4h": 50.0, "width_4h": 4.0}
RANGING = {"adx_4h": 12.0, "rsi_4h": 50.0, "width_4h": 4.0}
MESSY = {"adx_4h": 22.0, "rsi_4h": 50.0, "width_4h": 4.0}
STILL_RANGING = {"adx_4h": 18.0, "rsi_4h": 50.0, "width_4h": 4.0}
STRONG_TREND = {"adx_4h": 58.0, "rsi_4h": 50.0, "width_4h": 4.0}
UNKNOWN = {"adx_4h": 58.0, "rsi_4h": None, "width_4h": 4.0}

Facts = dict[str, float | None]
Run = Callable[..., list[RegimeState]]


@pytest.fixture(scope="module")
def classifier(small: Ruleset) -> Classifier:
    return small.for_symbol("ETHUSDT").classifier


@pytest.fixture(scope="module")
def run(classifier: Classifier) -> Run:
    """The states after each of the given facts, one candle of 4h after the other."""

    def states(facts: Sequence[Facts], start: RegimeState | None = None) -> list[RegimeState]:
        state = start or RegimeState()
        seen = []
        first = (state.candle_ms + H1) // H4
        for index, one in enumerate(facts, start=first):
            state = classifier.classify(one, state, (index + 1) * H4 - H1)
            seen.append(state)
        return seen

    return states


def test_the_start_is_no_trade() -> None:
    assert RegimeState().regime == NO_TRADE


def test_a_new_regime_needs_its_confirmations_in_a_row(run: Run) -> None:
    states = run([MESSY, MESSY, TRENDING, TRENDING, TRENDING])
    assert [state.regime for state in states] == [NO_TRADE, NO_TRADE, NO_TRADE, TREND, TREND]
    assert [(state.pending, state.pending_count) for state in states] == [
        (None, 0),
        (None, 0),
        (TREND, 1),
        (None, 0),
        (None, 0),
    ]


def test_another_candidate_in_between_starts_the_count_again(run: Run) -> None:
    states = run([MESSY, MESSY, TRENDING, RANGING, TRENDING, MESSY, TRENDING, TRENDING])
    assert [state.regime for state in states] == [NO_TRADE] * 7 + [TREND]


def test_one_candle_of_something_else_does_not_end_a_regime(run: Run) -> None:
    states = run([MESSY, MESSY, TRENDING, TRENDING, TRENDING, RANGING, TRENDING, MESSY, TRENDING])
    assert [state.regime for state in states[3:]] == [TREND] * 6


def test_enough_confidence_needs_no_confirmations(run: Run) -> None:
    states = run([MESSY, MESSY, STRONG_TREND])
    assert states[-1].regime == TREND
    assert states[-1].confidence == (58.0 - 20.0) / (60.0 - 20.0)


def test_the_confidence_that_suffices_is_the_override_itself(classifier: Classifier) -> None:
    present = RegimeState(candles_in_regime=9, candle_ms=H4)
    for confidence, regime in ((0.9, TREND), (0.899, NO_TRADE)):
        readings = {one: RegimeReading(Truth.of(one == TREND), Truth.FALSE, confidence) for one in RAREST_FIRST}
        assert classifier.advance(present, readings, 2 * H4).regime == regime


def test_what_is_unknown_neither_begins_nor_keeps_a_regime(classifier: Classifier) -> None:
    unknown = {one: RegimeReading(Truth.UNKNOWN, Truth.UNKNOWN, 1.0) for one in RAREST_FIRST}
    present = RegimeState(regime=TREND, candles_in_regime=9, candle_ms=H4)
    assert classifier.advance(present, unknown, 2 * H4).candidate == NO_TRADE


def test_no_regime_ends_before_it_has_lasted_long_enough(run: Run) -> None:
    first_two = run([STRONG_TREND, STRONG_TREND])
    assert [state.regime for state in first_two] == [NO_TRADE, NO_TRADE], "dwell_candles holds for NO_TRADE, too"
    states = run([STRONG_TREND, STRONG_TREND, STRONG_TREND, RANGING, RANGING, RANGING])
    assert [state.regime for state in states[2:]] == [TREND, TREND, RANGE, RANGE]
    assert states[3].pending_count == 1, "confirmations are counted while the regime dwells"


def test_a_regime_stays_while_its_looser_conditions_hold(run: Run) -> None:
    states = run([MESSY, MESSY, RANGING, RANGING, STILL_RANGING, STILL_RANGING, STILL_RANGING])
    assert [state.regime for state in states[3:]] == [RANGE] * 4
    assert states[-1].candidate == RANGE
    assert run([MESSY, MESSY, STILL_RANGING, STILL_RANGING, STILL_RANGING])[-1].regime == NO_TRADE


def test_a_regime_whose_conditions_are_gone_ends_in_no_trade(run: Run) -> None:
    states = run([MESSY, MESSY, RANGING, RANGING, MESSY, MESSY])
    assert [state.regime for state in states[3:]] == [RANGE, RANGE, NO_TRADE]
    assert states[-1].confidence == 0.0


def test_with_anything_unknown_the_candidate_is_no_trade(run: Run) -> None:
    states = run([MESSY, MESSY, TRENDING, TRENDING, UNKNOWN, UNKNOWN])
    assert [state.candidate for state in states[4:]] == [NO_TRADE, NO_TRADE]
    assert [state.regime for state in states[4:]] == [TREND, NO_TRADE]
    assert states[4].confidence == 0.0
    assert run([{}, {}, {}])[-1].regime == NO_TRADE


def test_of_several_regimes_the_most_confident_is_the_candidate(run: Run) -> None:
    both = {"adx_4h": 30.0, "rsi_4h": 50.0, "width_4h": 12.0}  # TREND 0.25, BREAKOUT 0.47
    assert run([both])[0].candidate == BREAKOUT
    assert run([both | {"adx_4h": 50.0}])[0].candidate == TREND


def test_equals_go_to_the_present_regime_and_then_to_the_rarest(classifier: Classifier) -> None:
    alike = {regime: RegimeReading(Truth.TRUE, Truth.TRUE, 0.5) for regime in RAREST_FIRST}
    for present in RAREST_FIRST:
        state = RegimeState(regime=present, candles_in_regime=9)
        assert classifier.advance(state, alike, H4).candidate == present
    assert classifier.advance(RegimeState(), alike, H4).candidate == BREAKOUT


def test_it_runs_once_for_each_candle_of_the_regime_timeframe(classifier: Classifier) -> None:
    state, runs = RegimeState(), []
    for hour in range(24):
        after = classifier.classify(TRENDING, state, hour * H1)
        if after is not state:
            runs.append(hour)
        assert classifier.classify(TRENDING, after, hour * H1) is after, "a candle that was seen changes nothing"
        state = after
    assert runs == [3, 7, 11, 15, 19, 23]
    assert state.candle_ms == 23 * H1


def test_a_run_that_was_missed_is_made_up_for(classifier: Classifier) -> None:
    state = classifier.classify(TRENDING, RegimeState(), 3 * H1)
    late = classifier.classify(TRENDING, state, 9 * H1)
    assert (late.candles_in_regime, late.candle_ms) == (2, 9 * H1)
    assert classifier.classify(TRENDING, late, 10 * H1) is late
    assert classifier.classify(TRENDING, late, 11 * H1) is not late


def test_the_state_knows_since_when_and_for_how_long(run: Run) -> None:
    states = run([MESSY, MESSY, TRENDING, TRENDING, TRENDING])
    assert states[-1].since_ms == 4 * H4
    assert [state.candles_in_regime for state in states] == [1, 2, 3, 1, 2]


def test_new_rules_keep_the_regime_and_restart_its_counters(run: Run) -> None:
    state = run([MESSY, MESSY, TRENDING, TRENDING, RANGING])[-1]
    assert state.restarted() == RegimeState(
        regime=TREND, confidence=state.confidence, since_ms=state.since_ms, candle_ms=state.candle_ms
    )


def test_a_state_travels_as_json_without_loss(run: Run) -> None:
    state = run([MESSY, MESSY, TRENDING])[-1]
    assert msgspec.json.decode(msgspec.json.encode(state), type=RegimeState) == state


def test_the_confidence_is_the_mean_of_clamped_ramps(changed: Callable[[str, str], str]) -> None:
    text = changed(
        "- {value: adx_4h, zero_at: strong_stay, full_at: 60}",
        "- {value: adx_4h, zero_at: strong_stay, full_at: 60}\n"
        "      - {value: width_4h, zero_at: 10, full_at: 2}\n"
        "      - {value: rsi_4h / (adx_4h - 40), zero_at: 0, full_at: 1}",
    )
    rule = next(rule for rule in parse_rules(text, "f").for_symbol("X").classifier.rules if rule.regime == TREND)
    assert rule.confidence({"adx_4h": 40.0, "width_4h": 4.0, "rsi_4h": 50.0}) == (0.5 + 0.75 + 0.0) / 3
    assert rule.confidence({"adx_4h": 99.0, "width_4h": 1.0, "rsi_4h": 0.0}) == (1.0 + 1.0 + 0.0) / 3
    assert rule.confidence({"adx_4h": 41.0, "width_4h": 99.0, "rsi_4h": 99.0}) == (0.525 + 0.0 + 1.0) / 3


values = st.one_of(st.none(), st.floats(0, 100))
facts_lists = st.lists(
    st.fixed_dictionaries({"adx_4h": values, "rsi_4h": values, "width_4h": st.one_of(st.none(), st.floats(0, 30))}),
    max_size=60,
)


@given(facts_lists)
def test_whatever_comes_a_change_was_confirmed_or_sure_and_the_regime_before_had_dwelt(
    classifier: Classifier, facts: list[Facts]
) -> None:
    state = RegimeState()
    candidates: list[str] = []
    for index, one in enumerate(facts):
        after = classifier.classify(one, state, (index + 1) * H4 - H1)
        candidates.append(after.candidate)
        if after.regime != state.regime:
            confirmed = len(candidates) >= 2 and candidates[-2] == after.candidate
            assert classifier.override_confidence is not None
            sure = after.candidate_confidence >= classifier.override_confidence
            assert after.regime == after.candidate
            assert confirmed or sure
            assert state.candles_in_regime >= classifier.dwell_candles
            assert after.candles_in_regime == 1
        if any(value is None for value in one.values()):
            assert after.candidate == NO_TRADE
        assert 0.0 <= after.confidence <= 1.0
        state = after
