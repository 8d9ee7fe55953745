"""From a signal to a planned trade, and every guard that can stand in its way, by name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.types import OrderType
from fsm.core.candle_close import CandleVerdict, decide_candle
from fsm.core.model.decision_context import DecisionContext, Portfolio, loss_per_unit
from fsm.core.model.policy import MarginShort
from fsm.core.model.records import Flag, State, SymbolRecord, Trade, TradeSide
from fsm.core.planning import shrunk_to, sized_targets
from tests.unit.fsm.core.parts import FILTERS, HOUR_MS, SYMBOL, T0, candle, money, prices_at, setting_with

IDLE = SymbolRecord(symbol=SYMBOL)


def read(
    record: SymbolRecord = IDLE,
    *,
    portfolio: Portfolio | None = None,
    context: DecisionContext | None = None,
    **facts: Any,
) -> CandleVerdict:
    return decide_candle(record, candle(**facts), portfolio or money(), context or setting_with())


def planned(**named: Any) -> Trade:
    made = read(**named).decision
    assert made is not None
    assert made.record.trade is not None
    return made.record.trade


class TestThePlan:
    def test_a_long_has_its_stop_below_and_its_targets_above_the_entry(self) -> None:
        trade = planned(rsi=80)
        assert trade.side is TradeSide.LONG
        assert trade.stop_price_initial == Decimal("59400.0")
        assert [target.trigger_price for target in trade.targets] == [Decimal("60600.0"), Decimal("61800.0")]

    def test_a_short_is_its_mirror(self) -> None:
        trade = planned(rsi=20)
        assert trade.side is TradeSide.SHORT
        assert trade.stop_price_initial == Decimal("60600.0")
        assert [target.trigger_price for target in trade.targets] == [Decimal("59400.0"), Decimal("58200.0")]

    @pytest.mark.parametrize(("rsi", "stop", "target"), [(80, "59399.3", "60600.6"), (20, "60600.7", "59399.4")])
    def test_the_stop_is_rounded_away_from_the_entry_and_the_target_towards_it(
        self, rsi: float, stop: str, target: str
    ) -> None:
        trade = planned(rsi=rsi, close=60_000.0, atr=300.333)
        assert trade.stop_price_initial == Decimal(stop)
        assert trade.targets[0].trigger_price == Decimal(target)

    def test_it_remembers_why_and_under_which_rules_it_was_opened(self) -> None:
        """R49: a trade keeps the rules and the regime it was opened under."""
        context = setting_with()
        trade = planned(context=context)
        assert (trade.strategy, trade.regime, trade.rules_hash) == ("swing", "TREND", context.rules_hash)
        assert (trade.signal_candle_ms, trade.opened_ms) == (T0 - HOUR_MS, T0)

    def test_its_number_is_the_next_and_its_client_id_a_function_of_it(self) -> None:
        trade = planned(record=replace(IDLE, trades_opened=41))
        assert (trade.id, trade.number) == ("BTCUSDT-42", 42)
        assert trade.entry.client_id == "f0123abcd-19aa16-42-E0.1"

    def test_a_market_entry_has_no_price_and_no_expiry(self) -> None:
        entry = planned().entry
        assert (entry.type, entry.price, entry.expires_ms) == ("MARKET", None, None)

    @pytest.mark.parametrize(("rsi", "price"), [(80, "59970.0"), (20, "60030.0")])
    def test_a_limit_entry_rests_on_the_better_side_until_it_expires(self, rsi: float, price: str) -> None:
        entry = planned(rsi=rsi, context=setting_with(entry_type=OrderType.LIMIT)).entry
        assert (entry.type, entry.price, entry.expires_ms) == ("LIMIT", Decimal(price), T0 + HOUR_MS)

    def test_the_row_carries_every_guard_that_held(self) -> None:
        made = read().decision
        assert made is not None
        assert [guard.name for guard in made.guards] == [
            "CANDLE_NEW", "ACCOUNT_OPEN", "EQUITY_FRESH", "CANDLE_AGE", "MAX_OPEN_POSITIONS",
            "STOP_SIDE", "STOP_DISTANCE_MIN", "STOP_DISTANCE_MAX",
            "MARGIN", "QUANTITY_MIN", "NOTIONAL_MIN", "MAX_OPEN_RISK", "STOP_BEYOND_LIQ",
            "TARGET_SIDE", "TARGET_LEG_MIN", "SYMBOL_TRADABLE", "ENTRY_FILTERS", "STOP_FILTERS", "TARGET_FILTERS",
        ]  # fmt: skip


CEILING = replace(FILTERS, price_max=Decimal(60_500))
POOR = replace(money(), available=Decimal(100))
BAND = replace(FILTERS, multiplier_down=Decimal("1.01"))
BLOCKED: list[tuple[str, dict[str, Any]]] = [
    ("CANDLE_NEW", {"record": replace(IDLE, signal_candle_ms=T0 - HOUR_MS)}),
    ("EQUITY_FRESH", {"portfolio": money(equity_age_ms=60_001)}),
    ("CANDLE_AGE", {"late_ms": HOUR_MS + 1}),
    ("MAX_OPEN_POSITIONS", {"portfolio": money(open_positions=3)}),
    ("STOP_SIDE", {"last": "59400"}),
    ("STOP_SIDE", {"mark": "59300"}),
    ("STOP_SIDE", {"rsi": 20, "last": "60600.1"}),
    ("STOP_DISTANCE_MIN", {"atr": 50.0}),
    ("STOP_DISTANCE_MAX", {"atr": 3_500.0}),
    ("MARGIN", {"portfolio": POOR, "context": setting_with(margin_short=MarginShort.SKIP)}),
    ("QUANTITY_MIN", {"portfolio": money("30")}),
    ("NOTIONAL_MIN", {"context": setting_with(filters=replace(FILTERS, notional_min=Decimal(4_200)))}),
    ("MAX_OPEN_RISK", {"portfolio": money(open_risk=Decimal(199))}),
    ("STOP_BEYOND_LIQ", {"atr": 1_200.0, "context": setting_with(leverage=20)}),
    ("TARGET_SIDE", {"last": "60600"}),
    ("TARGET_SIDE", {"mark": "60700"}),
    ("TARGET_LEG_MIN", {"portfolio": money("230")}),
    ("SYMBOL_TRADABLE", {"context": setting_with(filters=replace(FILTERS, contract_type="CURRENT_QUARTER"))}),
    ("SYMBOL_TRADABLE", {"context": setting_with(filters=replace(FILTERS, status="SETTLING"))}),
    ("STOP_FILTERS", {"rsi": 20, "context": setting_with(filters=CEILING)}),
    ("TARGET_FILTERS", {"context": setting_with(filters=CEILING)}),
    ("ENTRY_FILTERS", {"context": setting_with(filters=BAND, entry_type=OrderType.LIMIT), "rsi": 20}),
]  # fmt: skip


class TestGuards:
    @pytest.mark.parametrize(("name", "given"), BLOCKED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BLOCKED)])
    def test_what_forbids_a_trade_is_named(self, name: str, given: dict[str, Any]) -> None:
        """R4, R6, R41, R44: every blocked signal has its reason."""
        verdict = read(**given)
        assert (verdict.outcome, verdict.reason, verdict.decision) == ("BLOCKED", name, None)
        assert verdict.guards  # with all numbers, for `why`

    @pytest.mark.parametrize(
        ("reason", "given"),
        [
            ("PAUSED", {"record": replace(IDLE, paused=True)}),
            ("QUARANTINE FOREIGN_ORDER", {"record": replace(IDLE, quarantine=Flag("FOREIGN_ORDER", 1))}),
            ("COOLDOWN", {"record": replace(IDLE, cooldown_until_ms=T0 + 1)}),
            ("LIMIT_DAY", {"portfolio": money(blocked="LIMIT_DAY")}),
        ],
    )
    def test_what_forbids_to_look_for_one_is_named(self, reason: str, given: dict[str, Any]) -> None:
        assert (read(**given).outcome, read(**given).reason) == ("BLOCKED", reason)

    def test_a_cooldown_ends_at_its_very_millisecond(self) -> None:
        assert read(replace(IDLE, cooldown_until_ms=T0)).outcome == "SIGNAL"

    def test_a_halted_symbol_says_why(self) -> None:
        halted = replace(IDLE, state=State.HALT, halt=Flag("LIMIT_WEEK", 1))
        assert (read(halted).outcome, read(halted).reason) == ("HALTED", "LIMIT_WEEK")

    @pytest.mark.parametrize("age_ms", [0, HOUR_MS])
    def test_a_candle_may_be_as_old_as_config_says(self, age_ms: int) -> None:
        assert read(late_ms=age_ms).outcome == "SIGNAL"

    def test_the_first_signal_takes_a_candle_the_second_needs_a_later_one(self) -> None:
        """A candle told twice, or again after a restart, opens no second trade."""
        seen = replace(IDLE, signal_candle_ms=T0 - HOUR_MS)
        assert read(seen).reason == "CANDLE_NEW"
        assert read(seen, at_ms=T0 + HOUR_MS).outcome == "SIGNAL"


class TestReadings:
    def test_without_a_setup_nothing_is_wanted(self) -> None:
        assert (read(rsi=50).outcome, read(rsi=50).reason) == ("NO_SIGNAL", "NO_SETUP")

    def test_an_unknown_value_never_trades(self) -> None:
        assert read(rsi=None).outcome == "NO_SIGNAL"

    def test_a_disabled_strategy_is_no_trade(self) -> None:
        regime = replace(candle().regime, regime="RANGE")
        assert (read(regime=regime).outcome, read(regime=regime).reason) == ("NO_TRADE", "STRATEGY_DISABLED")

    def test_an_uncertain_regime_is_no_trade(self) -> None:
        regime = replace(candle().regime, regime="NO_TRADE")
        assert (read(regime=regime).outcome, read(regime=regime).reason) == ("NO_TRADE", "NO_TRADE_REGIME")


class TestShrinking:
    """Between signal and entry the price moves; risk and notional must not grow with it."""

    def test_at_the_same_price_nothing_changes(self) -> None:
        trade = planned()
        assert shrunk_to(trade, prices_at("60000.0"), setting_with()) == (trade, ())

    def test_away_from_the_stop_the_quantity_shrinks_to_the_planned_risk(self) -> None:
        context, trade = setting_with(), planned()
        smaller, _ = shrunk_to(trade, prices_at("60300"), context)
        assert smaller.quantity == Decimal("0.048")  # 900 instead of 600 to the stop
        per_unit = loss_per_unit(1, Decimal(60_300), trade.stop_price_initial, context.policy)
        assert smaller.quantity * per_unit == smaller.risk_usdt <= trade.risk_usdt
        assert smaller.entry.quantity == smaller.quantity

    def test_towards_the_stop_it_never_grows(self) -> None:
        smaller, _ = shrunk_to(planned(), prices_at("59700"), setting_with())
        assert smaller.quantity == planned().quantity

    def test_a_short_that_became_dearer_keeps_its_notional(self) -> None:
        short = planned(rsi=20)
        smaller, _ = shrunk_to(short, prices_at("60590"), setting_with())
        assert smaller.quantity * Decimal(60_590) <= short.quantity * Decimal(60_000)

    def test_beyond_the_stop_already_is_left_to_the_guard_that_says_so(self) -> None:
        assert shrunk_to(planned(), prices_at("59000"), setting_with())[1] == ()

    def test_a_limit_entry_has_its_price_and_stays(self) -> None:
        trade = planned(context=setting_with(entry_type=OrderType.LIMIT))
        assert shrunk_to(trade, prices_at("60300"), setting_with())[0] is trade


class TestTargets:
    def test_all_but_the_last_take_their_share_and_the_last_what_is_left(self) -> None:
        legs = sized_targets(planned(), Decimal("0.069"), setting_with())
        assert [leg.quantity for leg in legs] == [Decimal("0.034"), None]

    def test_a_share_below_the_smallest_lot_is_left_to_the_last(self) -> None:
        """R41: an order of nothing is never sent."""
        legs = sized_targets(planned(), Decimal("0.001"), setting_with())
        assert [leg.done for leg in legs] == [True, False]
