"""Small steps: the first trades after something new are the smallest there are, and the next ones grow."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm.core.model.intents import PlaceEntry, PlaceTarget
from fsm.core.model.records import AccountRecord, SmallSteps
from fsm.core.small_steps import allowed
from tests.unit.fsm.core.parts import HOUR_MS
from tests.unit.fsm.core.stage import Stage

CAUSE = "FIRST_START"
SMALLEST = Decimal("0.002")
"""Of BTC at 60,000 where an order is worth 50 USDT at least, in steps of 0.001, with a little room."""


def stepping(**policy: object) -> Stage:
    stage = Stage(**policy)
    stage.engine.begin_small_steps(stage.now_ms, CAUSE)
    return stage


def trade(stage: Stage) -> PlaceEntry:
    """One whole trade, whose stop ends it in profit or not at all: what it was entered with."""
    before = len(stage.sent)
    stage.wait(6 * HOUR_MS).signal()  # behind any cooldown
    entry = next(intent for intent in stage.sent[before:] if isinstance(intent, PlaceEntry))
    stage.command("flatten")
    stage.settle()
    stage.command("resume")
    return entry


def test_three_of_the_smallest_and_four_that_grow_and_then_the_full_size() -> None:
    full = trade(Stage()).request.quantity
    stage = stepping()
    found = [trade(stage).request.quantity for _ in range(8)]
    assert found[:3] == [SMALLEST] * 3
    assert all(smaller < larger for smaller, larger in pairwise(found[2:]))
    assert found[3:7] == [pytest.approx(full * step / 5, abs=Decimal("0.002")) for step in (1, 2, 3, 4)]
    assert found[7] == pytest.approx(full, abs=Decimal("0.002"))
    assert stage.engine.account.steps is None


def test_they_have_one_target_which_closes_all_of_it() -> None:
    stage = stepping().protected()
    targets = [intent for intent in stage.sent if isinstance(intent, PlaceTarget)]
    assert [target.request.close_position for target in targets] == [True]
    both = [intent for intent in Stage().protected().sent if isinstance(intent, PlaceTarget)]
    assert targets[0].request.trigger_price == both[0].request.trigger_price, "the nearest"


def test_where_sizing_is_below_the_smallest_nothing_is_entered() -> None:
    verdict = stepping(risk_per_trade_pct=Decimal("0.001")).signal()
    assert (verdict.outcome, verdict.reason) == ("BLOCKED", "QUANTITY_MIN")


def test_what_was_opened_before_does_not_count() -> None:
    stage = Stage().protected()
    stage.engine.begin_small_steps(stage.now_ms + 1, CAUSE)
    stage.command("flatten")
    stage.settle()
    assert stage.engine.account.steps is not None
    assert stage.engine.account.steps.done == 0


def test_something_new_begins_them_anew() -> None:
    stage = stepping()
    trade(stage)
    stage.engine.begin_small_steps(stage.now_ms, "UPGRADE")
    assert stage.engine.account.steps == SmallSteps(cause="UPGRADE", since_ms=stage.now_ms, trades=3, ramp_trades=4)


def test_settings_of_no_trades_are_no_steps_and_an_edit_does_not_shorten_those_that_go_on() -> None:
    assert stepping_with(trades=0).engine.account.steps is None
    stage = stepping()
    stage.engine.policy = replace(
        stage.engine.policy, small_steps=replace(stage.engine.policy.small_steps, trades=0, ramp_trades=0)
    )
    assert trade(stage).request.quantity == SMALLEST


def stepping_with(**changed: int) -> Stage:
    stage = Stage()
    policy = stage.engine.policy
    stage.engine.policy = replace(policy, small_steps=replace(policy.small_steps, **changed))
    stage.engine.begin_small_steps(stage.now_ms, CAUSE)
    return stage


def test_without_a_ramp_the_full_size_follows_at_once() -> None:
    stage = stepping_with(trades=1, ramp_trades=0)
    assert trade(stage).request.quantity == SMALLEST
    assert stage.engine.account.steps is None
    assert trade(stage).request.quantity > SMALLEST


@given(
    sized=st.decimals(0, 1000, places=3),
    smallest=st.decimals(0, 10, places=3),
    done=st.integers(0, 12),
    trades=st.integers(1, 6),
    ramp=st.integers(0, 6),
)
def test_never_more_than_sized_and_never_less_than_the_step_before(
    sized: Decimal, smallest: Decimal, done: int, trades: int, ramp: int
) -> None:
    steps = SmallSteps(cause=CAUSE, since_ms=0, trades=trades, ramp_trades=ramp, done=min(done, trades + ramp))
    found = allowed(sized, smallest, max(steps.held_back, Decimal(0)))
    assert found <= sized
    assert found == min(sized, smallest) or not steps.is_smallest
    after = replace(steps, done=steps.done + 1)
    assert after.is_over or allowed(sized, smallest, after.held_back) >= found


def test_an_account_of_before_has_none() -> None:
    assert AccountRecord().steps is None
