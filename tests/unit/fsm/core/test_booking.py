"""The books of a trade: what it won, what it paid, why it ended, and what that means for the symbol."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.binance.codec_orders import stated_origin
from exchange.types import AlgoStatus, OrderStatus, Side, SymbolSnapshot
from fsm.core.model.intents import ClosePosition, PlaceStop
from fsm.core.model.records import Flag, State, Trade
from tests.unit.fsm.core.parts import HOUR_MS
from tests.unit.fsm.core.stage import Stage, with_position, without

STOP, FIRST_TARGET, LAST_TARGET = (f"f0123abcd-19aa16-1-{leg}.1" for leg in ("S1", "T0", "T1"))


def held() -> Stage:
    """A protected long of 0.069 at 60,000; stop 59,400, targets 60,600 and 61,800."""
    return Stage().protected().wait(1)


def stopped(stage: Stage | None = None) -> Trade:
    """The trade after its stop was hit at 59,400."""
    stage = stage or held()
    stage.price("59400").exchange.trigger(stage.trade.stop.client_id if stage.trade.stop else "")
    stage.settle()
    return stage.booked[-1]


class TestTheResult:
    def test_is_realised_profit_less_fees_plus_funding(self) -> None:
        """R43: to the last digit."""
        stage = held()
        stage.exchange.pay("FUNDING_FEE", Decimal("-1.25"))
        trade = stopped(stage)
        fees = (Decimal(60_000) + Decimal(59_400)) * Decimal("0.069") * Decimal("0.0005")
        assert trade.realized_pnl == Decimal(-600) * Decimal("0.069")
        assert (trade.fees, trade.funding) == (fees, Decimal("-1.25"))
        assert trade.net_pnl == trade.realized_pnl - fees + Decimal("-1.25")

    def test_in_r_is_the_result_over_the_planned_risk(self) -> None:
        trade = stopped()
        assert trade.net_pnl is not None
        assert trade.r == trade.net_pnl / trade.risk_usdt

    def test_counts_a_partial_target_and_the_rest(self) -> None:
        stage = held()
        stage.price("60600").exchange.trigger(FIRST_TARGET)
        stage.look()
        trade = stopped(stage)
        assert trade.realized_pnl == 600 * Decimal("0.034") - 600 * Decimal("0.035")
        assert trade.exit_price == (Decimal(60_600) * Decimal("0.034") + Decimal(59_400) * Decimal("0.035")) / Decimal(
            "0.069"
        )

    def test_of_a_short_has_its_sign(self) -> None:
        stage = Stage().protected(rsi=20).wait(1)
        stage.price("58200").exchange.trigger(LAST_TARGET)
        stage.settle()
        assert stage.booked[0].realized_pnl == 1_800 * Decimal("0.069")

    def test_leaves_out_funding_from_before_the_trade(self) -> None:
        stage = Stage()
        stage.exchange.pay("FUNDING_FEE", Decimal(-99))
        stage.wait(5)
        stage.protected()
        assert stopped(stage).funding == 0

    def test_takes_no_fill_of_the_time_between_trades(self) -> None:
        """R21: somebody traded by hand since; only the time and the cursor tell those fills from ours."""
        stage = held()
        stopped(stage)
        for side in (Side.BUY, Side.SELL):
            stage.exchange.by_hand(side, "0.5")
        stage.next_hour().wait(HOUR_MS).price("60000")
        stage.protected()
        trade = stopped(stage)
        assert trade.closed_quantity == trade.entry.filled
        assert trade.realized_pnl == -600 * trade.entry.filled

    def test_counts_no_fill_twice_however_often_it_is_shown(self) -> None:
        """R32: a look with all fills ever, again and again, in any order."""
        stage = held()
        stage.view = lambda snapshot: replace(snapshot, fills=tuple(reversed(stage.exchange.fills)))
        trade = stopped(stage)
        assert trade.closed_quantity == trade.entry.filled
        assert trade.fees == sum((fill.commission for fill in stage.exchange.fills), Decimal(0))

    def test_estimates_a_fee_that_was_paid_in_another_coin_and_says_so(self) -> None:
        """§8.1: with BNB burn the commission is not in USDT."""
        stage = held()
        stage.exchange.execute(Side.SELL, Decimal("0.069"), 0, commission_asset="BNB")
        stage.exchange.end_algo(STOP, AlgoStatus.EXPIRED)
        stage.settle()
        trade = stage.booked[0]
        assert trade.flagged == "FEES_ESTIMATED"
        assert trade.fees == Decimal(60_000) * Decimal("0.069") * Decimal("0.0005") * 2


class TestTheReason:
    def test_is_the_stop_or_the_target_that_filled(self) -> None:
        assert stopped().exit_reason == "STOP_HIT"

    @pytest.mark.parametrize("status", [AlgoStatus.TRIGGERED, AlgoStatus.FINISHED])
    def test_is_the_stop_also_while_its_execution_is_not_reported(self, status: AlgoStatus) -> None:
        """§5.4: the fill commonly arrives before FINISHED, and actualQty later still."""
        stage = held()
        stage.price("59400").exchange.trigger(STOP)
        stage.exchange.end_algo(STOP, status, executed_quantity=Decimal(0), actual_order_id=None)
        stage.settle()
        assert stage.booked[0].exit_reason == "STOP_HIT"

    def test_is_a_liquidation_by_the_insurance_fund_s_row_and_halts(self) -> None:
        """R30: the forced order itself is closed and in no list; the ledger tells."""
        stage = held().price("30100")
        stage.exchange.by_hand(Side.SELL, "0.069")
        stage.exchange.pay("INSURANCE_CLEAR", Decimal("-12"))
        stage.settle()
        trade = stage.booked[0]
        assert (trade.exit_reason, trade.funding) == ("LIQUIDATED", Decimal(-12))
        assert (stage.state, stage.record.halt and stage.record.halt.cause) == (State.HALT, "LIQUIDATED")

    @pytest.mark.parametrize(
        ("client_id", "reason"),
        [
            ("autoclose-17", "LIQUIDATED"),
            ("adl_autoclose", "ADL"),
            ("adl_autoclose-4", "ADL"),
            ("settlement_autoclose-17", "SETTLED"),
            ("my_autoclose-17", "EXTERNAL_CLOSE"),
        ],
    )
    def test_is_a_forced_order_where_one_is_shown(self, client_id: str, reason: str) -> None:
        """R68: words are matched whole."""
        stage = held()
        stage.exchange.by_hand(Side.SELL, "0.069")
        entry = next(iter(stage.exchange.orders.values()))
        forced = replace(entry, client_id=client_id, status=OrderStatus.FILLED, side=Side.SELL)
        forced = replace(forced, origin=stated_origin(client_id))

        def with_forced(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            return replace(snapshot, orders=(*snapshot.orders, forced))

        stage.view = with_forced
        stage.settle()
        assert stage.booked[0].exit_reason == reason

    def test_r68_is_the_liquidation_also_where_we_were_closing_already(self) -> None:
        """A liquidation during FLATTEN was booked as STOP_WOULD_TRIGGER."""
        stage = held().price("30100")
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        stage.command("flatten")
        assert stage.state is State.FLATTEN
        stage.exchange.by_hand(Side.SELL, "0.069")
        stage.exchange.pay("INSURANCE_CLEAR", Decimal("-12"))
        stage.settle()
        assert stage.booked[0].exit_reason == "LIQUIDATED"
        assert stage.record.halt is not None

    def test_is_the_rule_s_even_if_the_stop_was_quicker(self) -> None:
        stage = held()
        stage.command("exit", "END_OF_DATA")
        stage.settle()
        assert (stage.booked[0].exit_reason, stage.booked[0].flagged) == ("END_OF_DATA", "END_OF_DATA")


class TestMissingEvidence:
    def test_fills_that_do_not_come_are_waited_for_and_then_flagged(self) -> None:
        """R25: the position is the truth, history only explains it; but nothing is passed over in silence."""
        stage = held()
        stage.price("59400").exchange.trigger(STOP)
        stage.view = lambda snapshot: replace(snapshot, fills=())
        stage.look()
        assert stage.state is State.PROTECTED
        stage.settle()
        trade = stage.booked[0]
        assert (stage.state, trade.flagged) == (State.IDLE, "FILLS_MISSING")
        assert stage.record.quarantine == Flag("FILLS_MISSING", trade.closed_ms or 0)

    def test_what_fills_do_not_show_is_booked_from_the_ledger(self) -> None:
        """R43: found by torture (seeds 31 and 40, 30 days); the loss at the stop was in no trade."""
        stage = held()
        stage.price("59400").exchange.trigger(STOP)
        stage.view = lambda snapshot: replace(snapshot, fills=())
        stage.settle()
        trade, rows = stage.booked[0], stage.exchange.income
        assert trade.flagged == "FILLS_MISSING"
        assert trade.realized_pnl == sum(row.income for row in rows if row.income_type == "REALIZED_PNL") < 0
        assert trade.fees == -sum(row.income for row in rows if row.income_type == "COMMISSION") > 0

    def test_a_commission_in_another_coin_is_not_taken_for_dollars(self) -> None:
        stage = held()
        stage.price("59400").exchange.trigger(STOP)

        def in_bnb(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            rows = (replace(row, asset="BNB") if row.income_type == "COMMISSION" else row for row in snapshot.income)
            return replace(snapshot, fills=(), income=tuple(rows))

        fees = stage.trade.fees
        stage.view = in_bnb
        stage.settle()
        assert stage.booked[0].fees == fees

    def test_a_ledger_that_does_not_answer_is_waited_for_and_then_flagged(self) -> None:
        stage = held()
        stage.price("59400").exchange.trigger(STOP)
        stage.view = lambda snapshot: replace(snapshot, income=())
        stage.look()
        assert (stage.state, stage.booked) == (State.EXITING, [])
        stage.settle()
        assert stage.booked[0].flagged == "LEDGER_MISSING"

    def test_fills_that_made_and_cost_nothing_have_no_rows_to_wait_for(self) -> None:
        """It ended where it began, without a fee: the ledger never has anything of it."""

        def for_nothing(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            fills = (replace(fill, commission=Decimal(0), realized_pnl=Decimal(0)) for fill in snapshot.fills)
            return replace(snapshot, income=(), fills=tuple(fills))

        stage = Stage()
        stage.view = for_nothing
        stage.protected().wait(1).price("59400").exchange.trigger(STOP)
        for _ in range(4):
            stage.look()
        assert stage.state is State.IDLE
        assert stage.booked[0].flagged is None
        assert stage.booked[0].net_pnl == 0

    def test_a_position_that_was_only_unseen_is_taken_back(self) -> None:
        """Booked on the word of looks for half a minute, and there after all: it is ours, and protected again (R28)."""
        stage = held()
        stage.view = lambda snapshot: with_position("0")(without(STOP)(snapshot))
        stage.wait(3_000).look(persisted=True)
        stage.exchange.cancel(STOP)
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"  # or it would be covered again
        for _ in range(14):
            stage.wait(3_000).look(persisted=True)
        stage.fate = lambda intent: "ok"
        assert stage.booked[0].flagged == "FILLS_MISSING"
        stage.view = lambda snapshot: snapshot
        stage.settle()
        assert stage.state is State.PROTECTED
        assert stage.exchange.covered() == stage.exchange.position == Decimal("0.069")
        assert stage.trade.id == "BTCUSDT-1+"
        assert stage.trade.stop is not None
        assert stage.trade.stop.client_id == "f0123abcd-19aa16-1-S2.1"  # no id is used twice


class TestWhatFollows:
    def test_losses_in_a_row_cool_the_symbol_down(self) -> None:
        stage = Stage()
        for _ in range(2):
            stage.next_hour().wait(HOUR_MS).price("60000")
            stage.protected()
            stopped(stage)
        assert stage.record.cooldown_until_ms > stage.now_ms
        assert stage.record.loss_streak == 0
        stage.next_hour().wait(HOUR_MS).price("60000")
        assert stage.signal().reason == "COOLDOWN"

    def test_a_profit_ends_the_streak(self) -> None:
        stage = held()
        stopped(stage)
        assert stage.record.loss_streak == 1
        stage.next_hour().wait(HOUR_MS).price("60000")
        stage.protected()
        stage.price("61800").exchange.trigger("f0123abcd-19aa16-2-T1.1")
        stage.settle()
        assert (stage.record.loss_streak, stage.record.cooldown_until_ms) == (0, 0)

    def test_the_result_counts_in_every_period_under_way(self) -> None:
        """R36: realised losses are remembered beside equity."""
        stage = held()
        trade = stopped(stage)
        account = stage.engine.account
        periods = (account.day, account.week, account.month)
        assert [period.realized_pnl for period in periods if period] == [trade.net_pnl] * 3
        assert stage.ledger.account_rows[-1][0] == ("TRADE_BOOKED",)
