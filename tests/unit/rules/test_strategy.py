"""Strategies: a signal with its plan, every reason for none, and what is done while a trade is open."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from rules.language.truth import Truth
from rules.load import Ruleset, parse_rules
from rules.strategy import Management, Reason, SignalReading, Strategy

Facts = dict[str, float | None]

RISING: Facts = {
    "close_1h": 100.0, "close_1h[1]": 99.0, "low_1h": 98.5, "high_1h": 100.5, "atr_1h": 1.0, "up_1h": 1.0
}  # fmt: skip
SINKING: Facts = RISING | {"close_1h[1]": 101.0, "up_1h": 0.0}


@pytest.fixture(scope="module")
def follow(small: Ruleset) -> Strategy:
    return small.for_symbol("ETHUSDT").strategies["follow"]


def changed_follow(changed: Callable[[str, str], str], old: str, new: str) -> Strategy:
    return parse_rules(changed(old, new), "f").for_symbol("ETHUSDT").strategies["follow"]


# --- signals ----------------------------------------------------------------------------------------


def test_a_long_signal_has_entry_stop_targets_and_reward(follow: Strategy) -> None:
    reading = follow.seek_signal(RISING)
    assert (reading.strategy, reading.reason, reading.side) == ("follow", Reason.SIGNAL, "LONG")
    assert (reading.entry, reading.stop, reading.risk) == (100.0, 98.0, 2.0)
    assert reading.targets == ((104.0, 0.5), (108.0, 0.5))
    assert reading.reward_risk == 3.0


def test_a_short_signal_mirrors_it(follow: Strategy) -> None:
    reading = follow.seek_signal(SINKING)
    assert (reading.reason, reading.side, reading.wanted) == (Reason.SIGNAL, "SHORT", "SHORT")
    assert (reading.entry, reading.stop, reading.risk) == (100.0, 101.0, 1.0)
    assert reading.targets == ((98.0, 1.0),)
    assert reading.reward_risk == 2.0


def test_without_a_setup_there_is_no_signal(follow: Strategy) -> None:
    reading = follow.seek_signal(RISING | {"up_1h": 0.0})
    assert (reading.reason, reading.side, reading.wanted, reading.stop) == (Reason.NO_SETUP, None, None, None)
    assert [(trace.side, trace.result) for trace in reading.traces] == [("LONG", Truth.FALSE), ("SHORT", Truth.FALSE)]


@pytest.mark.parametrize("key", ["close_1h[1]", "up_1h", "low_1h", "atr_1h", "close_1h"])
def test_unknown_never_fires(follow: Strategy, key: str) -> None:
    reading = follow.seek_signal(RISING | {key: None})
    assert (reading.reason, reading.side) == (Reason.UNKNOWN_FACTS, None)


def test_facts_that_are_missing_are_unknown(follow: Strategy) -> None:
    assert follow.seek_signal({}).reason is Reason.UNKNOWN_FACTS


def test_a_setup_of_both_sides_is_no_signal(changed: Callable[[str, str], str]) -> None:
    both = changed_follow(changed, '"close_1h < close_1h[1] and not up_1h"', '"close_1h > 0.5 * close_1h[1]"')
    reading = both.seek_signal(RISING)
    assert (reading.reason, reading.side, reading.wanted) == (Reason.BOTH_SIDES, None, None)


def test_a_stop_on_the_wrong_side_of_the_entry_is_refused(follow: Strategy) -> None:
    reading = follow.seek_signal(RISING | {"low_1h": 100.5})
    assert (reading.reason, reading.side, reading.wanted) == (Reason.STOP_WRONG_SIDE, None, "LONG")
    assert follow.seek_signal(SINKING | {"high_1h": 99.5}).reason is Reason.STOP_WRONG_SIDE


def test_a_stop_below_zero_is_refused(follow: Strategy) -> None:
    assert follow.seek_signal(RISING | {"atr_1h": 197.0}).reason is Reason.STOP_WRONG_SIDE


def test_a_target_below_zero_is_refused(follow: Strategy) -> None:
    assert follow.seek_signal(SINKING | {"high_1h": 149.9}).reason is Reason.TARGET_WRONG_SIDE


def test_a_target_behind_the_entry_is_refused(changed: Callable[[str, str], str]) -> None:
    strategy = changed_follow(changed, "price: entry + 2 * risk", "price: high_1h")
    assert strategy.seek_signal(RISING).reason is Reason.SIGNAL
    assert strategy.seek_signal(RISING | {"high_1h": 100.0}).reason is Reason.TARGET_WRONG_SIDE


def test_targets_must_lie_one_behind_the_other(changed: Callable[[str, str], str]) -> None:
    strategy = changed_follow(changed, "price: entry + 2 * risk", "price: high_1h")
    assert strategy.seek_signal(RISING | {"high_1h": 108.0}).reason is Reason.TARGETS_OUT_OF_ORDER


def test_too_little_reward_for_the_risk_is_refused(changed: Callable[[str, str], str]) -> None:
    strategy = changed_follow(changed, "price: entry - 2 * risk", "price: low_1h")
    assert strategy.seek_signal(SINKING | {"low_1h": 98.5}).reason is Reason.SIGNAL
    low = strategy.seek_signal(SINKING | {"low_1h": 98.6})
    assert (low.reason, low.side, low.wanted) == (Reason.REWARD_RISK_LOW, None, "SHORT")
    assert low.reward_risk == pytest.approx(1.4)


def test_the_plan_must_be_accepted(follow: Strategy) -> None:
    reading = follow.seek_signal(RISING | {"low_1h": 98.5, "atr_1h": 3.0})
    assert reading.reason is Reason.SIGNAL
    near = follow.seek_signal(RISING | {"low_1h": 99.9999, "atr_1h": 1.0})
    assert near.reason is Reason.SIGNAL
    tight = follow.seek_signal(RISING | {"low_1h": 100.2, "atr_1h": 1.0})
    assert (tight.reason, tight.wanted) == (Reason.NOT_ACCEPTED, "LONG")
    assert [(trace.id, trace.result) for trace in tight.traces[0].accept] == [("not_tight", Truth.FALSE)]
    assert tight.traces[1].accept == ()


def test_a_plan_with_an_unknown_target_is_unknown(changed: Callable[[str, str], str]) -> None:
    by_zero = 'price: "entry + risk * (close_1h[1] / (close_1h[1] - low_1h))"'
    strategy = changed_follow(changed, "price: entry + 4 * risk", by_zero)
    assert strategy.seek_signal(RISING | {"low_1h": 99.0}).reason is Reason.UNKNOWN_FACTS


def test_a_reading_travels_as_json_without_loss(follow: Strategy) -> None:
    reading = follow.seek_signal(RISING)
    assert msgspec.json.decode(msgspec.json.encode(reading), type=SignalReading) == reading


# --- open trades ------------------------------------------------------------------------------------


def managed(strategy: Strategy, facts: Facts, *, stop: float = 98.0, held: int = 1, side: str = "LONG") -> Management:
    risk = 2.0
    return strategy.manage(side, facts, entry=100.0, stop=stop, risk=risk, candles_held=held)  # type: ignore[arg-type]


def test_nothing_is_done_where_nothing_is_due(follow: Strategy) -> None:
    quiet = managed(follow, RISING)
    assert (quiet.stop, quiet.stop_reason, quiet.exit_reason) == (None, None, None)
    assert [trace.id for trace in quiet.traces] == ["falling"]


def test_the_stop_moves_to_break_even_with_something_for_the_fees(follow: Strategy) -> None:
    due = managed(follow, RISING | {"close_1h": 102.0, "high_1h": 102.0, "atr_1h": 3.0})
    assert (due.stop, due.stop_reason) == (100.2, "BREAK_EVEN")
    assert managed(follow, RISING | {"close_1h": 101.9, "high_1h": 102.0, "atr_1h": 3.0}).stop is None
    short = managed(follow, {"close_1h": 98.0}, stop=102.0, side="SHORT")
    assert (short.stop, short.stop_reason) == (99.8, "BREAK_EVEN")


def test_the_stop_trails_and_the_better_of_two_moves_counts(follow: Strategy) -> None:
    moved = managed(follow, RISING | {"close_1h": 104.0, "high_1h": 105.0})
    assert (moved.stop, moved.stop_reason) == (102.0, "TRAIL")


def test_the_stop_never_goes_back(follow: Strategy) -> None:
    facts = RISING | {"close_1h": 104.0, "high_1h": 105.0}
    assert managed(follow, facts, stop=102.0).stop is None
    assert managed(follow, facts, stop=103.0).stop is None
    assert managed(follow, facts, stop=101.9).stop == 102.0


def test_a_price_beyond_the_trail_ends_the_trade(follow: Strategy) -> None:
    assert managed(follow, RISING | {"close_1h": 101.0, "high_1h": 104.0}).exit_reason == "TRAIL_CROSSED"
    assert managed(follow, RISING | {"close_1h": 101.1, "high_1h": 104.0}).stop == 101.0


def test_its_exit_conditions_end_the_trade(follow: Strategy) -> None:
    facts = RISING | {"close_1h": 97.0, "high_1h": 99.0}
    assert managed(follow, facts, held=2).exit_reason == "EXIT_WHEN"
    assert managed(follow, facts, held=1).exit_reason is None
    assert managed(follow, facts | {"close_1h": None}, held=2).exit_reason is None


def test_the_trade_ends_after_its_candles(follow: Strategy) -> None:
    assert managed(follow, RISING, held=9).exit_reason is None
    assert managed(follow, RISING, held=10).exit_reason == "EXIT_AFTER_CANDLES"
    assert managed(follow, {}, held=10).exit_reason == "EXIT_AFTER_CANDLES", "also while everything is unknown"


def test_with_unknown_facts_the_stop_stays_where_it_is(follow: Strategy) -> None:
    assert managed(follow, {}).stop is None
    assert managed(follow, RISING | {"close_1h": None, "high_1h": 120.0}).stop is None
    assert managed(follow, RISING | {"close_1h": 104.0, "high_1h": None, "low_1h": 1.0}).stop == 100.2


def test_a_side_that_is_not_traded_cannot_be_managed(small: Ruleset) -> None:
    revert = small.for_symbol("ETHUSDT").strategies["revert"]
    with pytest.raises(LookupError, match="revert has no SHORT side"):
        managed(revert, RISING, side="SHORT")
