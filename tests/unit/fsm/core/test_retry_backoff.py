"""Retries: the first at once, the next ones ever later, and any progress begins anew."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.types import AlgoStatus
from fsm.core.model.decision import Decision, decision
from fsm.core.model.intents import Look, PlaceStop
from fsm.core.model.records import State, SymbolRecord, Tried
from fsm.core.model.transition_table import Trigger
from fsm.core.retry_backoff import (
    FORGET_MS,
    PAUSE_FIRST_MS,
    PAUSE_FLAT_MS_MAX,
    PAUSE_NAKED_MS,
    PAUSE_OPEN_MS_MAX,
    backed_off,
)
from tests.unit.fsm.core.parts import SYMBOL, setting_with
from tests.unit.fsm.core.stage import Stage

HELD = Stage().protected().record
FLAT = SymbolRecord(symbol=SYMBOL)
SETTING = setting_with()
LOOK = (Look(symbol=SYMBOL),)


def retried_at(record: SymbolRecord, *times_ms: int) -> list[int]:
    """Of these instants, those at which a retry gets through."""
    found = []
    for real_ms in times_ms:
        trigger = Trigger.REPROTECT if record.trade else Trigger.SWEEP
        made = backed_off(record, decision(trigger, "x", record, intents=LOOK), real_ms, SETTING)
        if made is not None:
            found.append(real_ms)
            record = made.record
    return found


def test_without_progress_each_pause_is_twice_the_one_before() -> None:
    assert retried_at(HELD, *range(0, 8_000, 100)) == [0, 500, 1_500, 3_500, 7_500]


def test_a_pause_has_a_longest_length_while_a_position_is_open() -> None:
    times = retried_at(HELD, *range(0, 60_000, 100))
    assert times[-1] - times[-2] == PAUSE_OPEN_MS_MAX


def test_a_pause_may_be_longer_while_nothing_is_open() -> None:
    times = retried_at(FLAT, *range(0, 600_000, 500))
    assert times[-1] - times[-2] == PAUSE_FLAT_MS_MAX


def test_another_state_or_another_open_quantity_is_progress() -> None:
    tried = replace(HELD, tried=Tried("PROTECTED 0.069", 0, 9))
    assert retried_at(tried, 1) == []
    assert HELD.trade is not None
    smaller = replace(tried, trade=replace(HELD.trade, open_quantity=Decimal("0.030")))
    assert retried_at(smaller, 1) == [1]
    assert retried_at(replace(tried, state=State.FLATTEN), 1) == [1]


def test_the_same_quantity_written_otherwise_is_no_progress() -> None:
    assert HELD.trade is not None
    tried = replace(HELD, tried=Tried("PROTECTED 0.069", 0, 9))
    same = replace(tried, trade=replace(HELD.trade, open_quantity=Decimal("0.06900")))
    assert retried_at(same, 1) == []


def test_after_a_long_peace_a_retry_is_a_first_one_again() -> None:
    tried = replace(HELD, tried=Tried("PROTECTED 0.069", 0, 9))
    assert retried_at(tried, FORGET_MS, FORGET_MS + PAUSE_FIRST_MS) == [FORGET_MS, FORGET_MS + PAUSE_FIRST_MS]


def test_a_clock_that_goes_back_does_not_hold_protection_up() -> None:
    tried = replace(HELD, tried=Tried("PROTECTED 0.069", 1_000_000, 9))
    assert retried_at(tried, 5) == [5]


def test_what_asks_nothing_of_the_exchange_or_is_no_retry_is_never_held_up() -> None:
    tried = replace(HELD, tried=Tried("PROTECTED 0.069", 0, 9))
    noted = decision(Trigger.REPROTECT, "STOP_UNSEEN", tried)
    exit_: Decision = decision(Trigger.EXIT, "STOP_HIT", tried, intents=LOOK)
    assert backed_off(tried, noted, 1, SETTING) is noted
    assert backed_off(tried, exit_, 1, SETTING) is exit_
    assert backed_off(tried, None, 1, SETTING) is None


def vanished(stage: Stage, leg: Leg) -> Stage:
    """The venue cancels the newest resting order of this leg, and a look shows it."""
    stage.exchange.end_algo(stage.exchange.resting(leg)[-1].client_id, AlgoStatus.CANCELED)
    stage.look()
    return stage


def test_a_stop_does_not_wait_behind_the_retries_of_targets() -> None:
    """R12: found by the state machine; the stop waited up to four seconds because a target had been placed again."""
    stage = Stage().protected()
    vanished(vanished(stage, Leg.TARGET), Leg.STOP)
    assert stage.reasons[-2:] == ["reprotect VENUE_CANCELLED", "reprotect STOP_CONFIRMED"]


def test_a_stop_that_must_wait_is_noted_as_missing_at_once() -> None:
    """R5: found by the state machine; the deadline did not run while the next attempt was held up."""
    stage = Stage().protected()
    vanished(vanished(stage, Leg.STOP), Leg.STOP)
    assert stage.reasons[-1] == "reprotect STOP_UNSEEN"
    assert stage.trade.uncovered_ms == stage.now_ms
    stage.deadline()
    assert stage.state is not State.PROTECTED


def attempts(stage: Stage, real_ms: int) -> int:
    """How often a stop is sent at this moment of our own clock, when a look shows none and every request is lost."""
    stage.real_ms, before = real_ms, len(stage.sent)
    stage.look(persisted=True)
    return len([intent for intent in stage.sent[before:] if isinstance(intent, PlaceStop)])


def without_stop() -> Stage:
    stage = Stage().protected()
    stage.exchange.algos.clear()
    stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
    return stage


def test_while_the_clock_of_the_exchange_stands_still_a_stop_is_sent_again_by_our_own() -> None:
    """R5: found by the crash sweep; the next attempt was owed half a second later, which never came."""
    stage = without_stop()
    assert attempts(stage, 10_000) == 1
    assert attempts(stage, 10_000 + PAUSE_NAKED_MS - 1) == 0
    assert attempts(stage, 10_000 + PAUSE_NAKED_MS) == 1


def test_while_it_runs_a_thousand_times_as_fast_an_attempt_still_waits() -> None:
    stage = without_stop()
    assert attempts(stage, 10_000) == 1
    stage.wait(60_000)
    assert attempts(stage, 10_060) == 0
