"""Trades without targets, and what a strategy tightens: the stop rests alone, the rules end the trade."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal

import pytest

from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.intents import PlaceTarget
from fsm.core.model.records import State
from rules.load import parse_rules
from rules.regime import RegimeState
from tests.unit.fsm.core.parts import RULES, SYMBOL, T0, candle, setting_with
from tests.unit.fsm.core.stage import Stage

BARE = re.sub(r"      targets: \[.*\]\n", "", RULES).replace("    reward_risk_min: 1.0\n", "")
MANAGED = BARE.replace(
    "exit_after_candles: 50}", "exit_after_candles: 50, exit_on_opposite: true, exit_on_regime_end: true}"
)
RANGE = RegimeState(regime="RANGE", confidence=0.9, candle_ms=T0)


def context_of(text: str) -> DecisionContext:
    return dataclasses.replace(setting_with(), rules=parse_rules(text, "rules").for_symbol(SYMBOL))


def stage_of(text: str) -> Stage:
    return Stage(context=context_of(text))


def test_a_trade_without_targets_is_protected_by_its_stop_alone_and_ended_by_its_rules() -> None:
    stage = stage_of(BARE).protected()
    assert stage.trade.targets == ()
    assert not any(isinstance(intent, PlaceTarget) for intent in stage.sent)
    assert stage.trade.stop is not None
    assert stage.exchange.open_ids() == {stage.trade.stop.client_id}
    stage.next_hour()
    stage.close(candle(at_ms=stage.now_ms, rsi=5.0))
    assert stage.state is State.IDLE, stage.reasons
    assert stage.exchange.position == 0


def test_a_process_that_dies_with_such_a_trade_goes_on_with_it() -> None:
    stage = stage_of(BARE).protected()
    stage.restart()
    stage.look()
    assert stage.state is State.PROTECTED, stage.reasons
    assert not any(isinstance(intent, PlaceTarget) for intent in stage.sent)


@pytest.mark.parametrize(
    ("rsi", "regime", "reason"),
    [(50.0, RANGE, "REGIME_ENDED"), (25.0, None, "OPPOSITE_SIGNAL"), (50.0, None, "")],
)
def test_the_end_of_the_regime_and_the_opposite_signal_end_a_trade(
    rsi: float, regime: RegimeState | None, reason: str
) -> None:
    for text in (MANAGED, BARE):
        stage = stage_of(text).protected()
        stage.next_hour()
        more = {} if regime is None else {"regime": regime}
        verdict = stage.close(candle(at_ms=stage.now_ms, rsi=rsi, **more))
        assert (verdict.reason if verdict.decision else "") == (reason if text is MANAGED else "")


def test_a_strategy_risks_a_part_of_what_the_account_does_and_never_more() -> None:
    whole = stage_of(BARE).protected().trade
    half = stage_of(BARE.replace("  swing:\n", "  swing:\n    risk: 0.5\n")).protected().trade
    assert abs(half.risk_usdt * 2 - whole.risk_usdt) <= whole.risk_usdt / 50
    assert half.quantity < whole.quantity


@pytest.mark.parametrize(
    ("limits", "guard"),
    [("{max_open_risk_pct: 0.1}", "MAX_OPEN_RISK"), ("{max_open_positions: 1}", ""), ("{max_open_risk_pct: 90}", "")],
)
def test_a_strategys_own_limits_count_where_they_are_stricter(limits: str, guard: str) -> None:
    stage = stage_of(BARE.replace("  swing:\n", f"  swing:\n    limits: {limits}\n"))
    verdict = stage.signal()
    assert verdict.reason == guard if guard else verdict.outcome == "SIGNAL"


def test_a_strategy_rests_after_its_own_losses_too() -> None:
    text = BARE.replace("  cooldown: {losses: 2, candles: 5}\n", "").replace(
        "  swing:\n", "  swing:\n    cooldown: {losses: 1, candles: 7}\n"
    )
    stage = stage_of(text).protected()
    stage.next_hour().price("59500")
    stage.close(candle(at_ms=stage.now_ms, rsi=5.0, close=59_500.0))
    assert stage.state is State.IDLE, stage.reasons
    assert stage.record.cooldown_until_ms > stage.now_ms + 6 * 3_600_000
    assert stage.record.loss_streak == 1
    assert stage.context.policy.risk.risk_per_trade_pct == Decimal("0.5")
