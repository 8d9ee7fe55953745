"""The rules of one symbol: its own values, its routes, and what it needs to know."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from indicators.candle import Timeframe
from rules.compiled_rules import Cooldown, Route, feature_name, feature_offset
from rules.load import Ruleset, parse_rules
from rules.regime import RegimeState
from rules.strategy import Reason

H1, H4 = Timeframe.H1, Timeframe.H4
ADX_27 = {"adx_4h": 27.0, "rsi_4h": 20.0, "width_4h": 4.0, "close_1h": 100.0, "atr_1h": 1.0}


def regime_after(ruleset: Ruleset, symbol: str) -> str:
    rules = ruleset.for_symbol(symbol)
    state = RegimeState()
    for index in range(6):
        state = rules.classify(ADX_27, state, (index + 1) * H4.ms - H1.ms)
    return state.regime


def test_a_symbol_has_its_own_thresholds(small: Ruleset) -> None:
    assert regime_after(small, "ETHUSDT") == "TREND"
    assert regime_after(small, "BTCUSDT") == "NO_TRADE"


def test_a_symbol_has_its_own_choices(small: Ruleset) -> None:
    targets = {
        symbol: small.for_symbol(symbol).seek_signal("revert", ADX_27).targets for symbol in ("ETHUSDT", "BTCUSDT")
    }
    assert targets == {"ETHUSDT": ((102.0, 1.0),), "BTCUSDT": ((103.0, 1.0),)}


def test_a_symbol_has_its_own_routes(small: Ruleset) -> None:
    assert small.for_symbol("ETHUSDT").route("BREAKOUT") == Route((), "STRATEGY_DISABLED")
    assert small.for_symbol("BTCUSDT").route("BREAKOUT") == Route(("follow",), "ROUTED")


def test_a_symbol_has_its_own_strategy_values(small: Ruleset) -> None:
    facts = {"close_1h": 102.5, "high_1h": 102.5, "atr_1h": 3.0}

    def exit_reason(symbol: str, held: int) -> str | None:
        rules = small.for_symbol(symbol)
        return rules.manage("follow", "LONG", facts, entry=100.0, stop=98.0, risk=2.0, candles_held=held).exit_reason

    assert exit_reason("ETHUSDT", 10) == "EXIT_AFTER_CANDLES"
    assert exit_reason("BTCUSDT", 10_000) is None, "null switches it off"
    assert small.for_symbol("BTCUSDT").strategies["follow"].upkeep.break_even_at_r == 2.0
    assert small.for_symbol("BTCUSDT").strategies["follow"].upkeep.break_even_lock_r == 0.1
    assert small.for_symbol("BTCUSDT").strategies["follow"].reward_risk_min == 2.0
    assert small.for_symbol("BTCUSDT").strategies["revert"].reward_risk_min == 1.2


def test_the_rules_of_a_symbol_are_compiled_once(small: Ruleset) -> None:
    assert small.for_symbol("BTCUSDT") is small.for_symbol("BTCUSDT")
    assert small.for_symbol("ETHUSDT") is small.for_symbol("SOLUSDT")
    assert small.for_symbol("ETHUSDT") is not small.for_symbol("BTCUSDT")


def test_every_regime_leads_to_its_strategy_and_no_trade_to_none(small: Ruleset) -> None:
    rules = small.for_symbol("ETHUSDT")
    assert rules.route("TREND") == Route(("follow",), "ROUTED")
    assert rules.route("RANGE") == Route(("revert",), "ROUTED")
    assert rules.route("NO_TRADE") == Route((), "NO_TRADE_REGIME")


def test_cooldown_is_optional(small: Ruleset, changed: Callable[[str, str], str]) -> None:
    assert small.for_symbol("ETHUSDT").cooldown == Cooldown(losses=3, candles=24)
    without = parse_rules(changed("  cooldown: {losses: 3, candles: 24}\n", ""), "f")
    assert without.for_symbol("ETHUSDT").cooldown is None


def test_it_knows_which_facts_it_reads(small: Ruleset) -> None:
    rules = small.for_symbol("ETHUSDT")
    assert rules.regime_fact_keys == ("adx_4h", "rsi_4h", "width_4h")
    assert rules.strategy_fact_keys("revert") == ("atr_1h", "close_1h", "rsi_4h")
    assert rules.strategy_fact_keys("follow") == ("atr_1h", "close_1h", "close_1h[1]", "high_1h", "low_1h", "up_1h")
    assert rules.fact_keys == (
        "adx_4h", "atr_1h", "close_1h", "close_1h[1]", "high_1h", "low_1h", "rsi_4h", "up_1h", "width_4h"
    )  # fmt: skip


def test_it_knows_its_timeframes(small: Ruleset) -> None:
    rules = small.for_symbol("ETHUSDT")
    assert (rules.entry_timeframe, rules.regime_timeframe) == (H1, H4)
    assert rules.timeframes == small.timeframes == {H1, H4}


def test_explaining_puts_the_regime_in_force_first(small: Ruleset) -> None:
    rules = small.for_symbol("ETHUSDT")
    traces = rules.explain_regime(ADX_27, RegimeState(regime="RANGE"))
    assert [trace.regime for trace in traces] == ["RANGE", "BREAKOUT", "TREND"]


def test_looking_for_a_signal_and_managing_go_to_the_strategy(small: Ruleset) -> None:
    rules = small.for_symbol("ETHUSDT")
    assert rules.seek_signal("revert", ADX_27).reason is Reason.SIGNAL
    with pytest.raises(KeyError):
        rules.seek_signal("unheard_of", ADX_27)


@pytest.mark.parametrize(("key", "name", "offset"), [("close_1h", "close_1h", 0), ("close_1h[12]", "close_1h", 12)])
def test_a_key_is_a_feature_and_an_offset(key: str, name: str, offset: int) -> None:
    assert (feature_name(key), feature_offset(key)) == (name, offset)
