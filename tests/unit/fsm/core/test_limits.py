"""The loss limits: periods in UTC, realised and equity, transfers, the high-water mark, and how each ends."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.types import Account
from fsm.core.commands import Rejected
from fsm.core.limits import AccountStep, budgets, is_over, period_keys, read_equity, resumed, trade_booked
from fsm.core.model.events import EquityRead
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import AccountRecord, Flag, HaltCause, Period, State, Trade
from tests.unit.fsm.core.parts import HOUR_MS, T0, policy_with
from tests.unit.fsm.core.stage import Stage

DAY_MS = 86_400_000
DAY_PCT = Decimal(2)
POLICY = policy_with(daily_loss_pct=DAY_PCT)  # 5 % a week, 10 % a month and a drawdown are shipped


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def told(equity: str, *, at_ms: int = T0, transfers: str = "0") -> EquityRead:
    amount = Decimal(equity)
    account = Account(
        wallet_balance=amount, unrealized_pnl=Decimal(0), equity=amount, available_balance=amount, update_time_ms=at_ms
    )
    return EquityRead(at_ms=at_ms, account=account, transfers=Decimal(transfers))


def after(*events: EquityRead, record: AccountRecord | None = None, **policy: Any) -> AccountStep:
    """The step that the last of these readings led to."""
    now, step = record or AccountRecord(), AccountStep(record=record or AccountRecord())
    for event in events:
        step = read_equity(now, event, policy_with(**{"daily_loss_pct": DAY_PCT} | policy))
        now = step.record
    return step


class TestPeriods:
    @pytest.mark.parametrize(
        ("text", "day", "week", "month"),
        [
            ("2026-01-01T00:00:00", "2026-01-01", "2026-W01", "2026-01"),
            ("2026-01-04T23:59:59.999", "2026-01-04", "2026-W01", "2026-01"),
            ("2026-01-05T00:00:00", "2026-01-05", "2026-W02", "2026-01"),
            ("2027-01-01T00:00:00", "2027-01-01", "2026-W53", "2027-01"),
            ("2024-12-30T12:00:00", "2024-12-30", "2025-W01", "2024-12"),
            ("2024-02-29T12:00:00", "2024-02-29", "2024-W09", "2024-02"),
        ],
    )
    def test_are_utc_days_iso_weeks_and_months(self, text: str, day: str, week: str, month: str) -> None:
        """R35."""
        assert period_keys(ms(text)) == {"day": day, "week": week, "month": month}

    @given(st.integers(0, 4 * 10**12), st.integers(0, 10**11))
    def test_are_named_so_that_later_ones_sort_later(self, at_ms: int, later_ms: int) -> None:
        first, second = period_keys(at_ms), period_keys(at_ms + later_ms)
        assert all(first[name] <= second[name] for name in first)

    def test_begin_with_the_equity_of_the_moment(self) -> None:
        step = after(told("10000"))
        assert step.record.day == Period(key="2026-01-01", start_equity=Decimal(10_000))
        assert step.changes == ("PERIOD_DAY", "PERIOD_WEEK", "PERIOD_MONTH", "EQUITY_HIGH")

    def test_roll_one_by_one(self) -> None:
        """1 January 2026 is a Thursday: the day rolls, week and month go on."""
        step = after(told("10000"), told("9900", at_ms=T0 + DAY_MS))
        assert step.record.day == Period(key="2026-01-02", start_equity=Decimal(9_900))
        assert step.record.week is not None
        assert step.record.week.start_equity == 10_000
        assert step.changes == ("PERIOD_DAY",)

    def test_do_not_roll_back_with_a_clock_that_does(self) -> None:
        step = after(told("10000"), told("9900", at_ms=T0 - DAY_MS))
        assert step.record.day == Period(key="2026-01-01", start_equity=Decimal(10_000))
        assert step.changes == ()


class TestTheBudgets:
    @pytest.mark.parametrize(
        ("equity", "breached"),
        [("9800.01", None), ("9800", "LIMIT_DAY"), ("9400", "LIMIT_DAY"), ("12000", None)],
    )
    def test_of_a_day_is_used_up_by_the_fall_of_equity_open_positions_included(
        self, equity: str, breached: str | None
    ) -> None:
        """R35: equity, not only what is realised."""
        assert after(told("10000"), told(equity, at_ms=T0 + 1)).breached == breached

    def test_of_a_day_is_used_up_by_realised_losses_too(self) -> None:
        """A winner that is still open does not give the lost money back to the day."""
        first = after(told("10000")).record
        assert first.day is not None
        lost = replace(first, day=replace(first.day, realized_pnl=Decimal(-200)))
        assert after(told("10100", at_ms=T0 + 1), record=lost).breached == "LIMIT_DAY"

    def test_of_week_and_month_see_what_days_add_up_to(self) -> None:
        step = after(*(told(str(10_000 - 110 * day), at_ms=T0 + day * DAY_MS) for day in range(4)))
        assert step.breached is None
        month = after(
            *(told(str(10_000 - 150 * n), at_ms=ms("2026-03-02") + n * 3 * DAY_MS) for n in range(8)),
            drawdown_pct=Decimal(50),
        )
        assert month.breached == "LIMIT_MONTH"

    def test_name_the_first_limit_that_is_exceeded_day_first(self) -> None:
        step = after(told("10000"), told("7000", at_ms=T0 + 1))
        assert step.breached == "LIMIT_DAY"
        exceeded = [budget.cause for budget in step.budgets if budget.exceeded]
        assert exceeded == ["LIMIT_DAY", "LIMIT_WEEK", "LIMIT_MONTH", "LIMIT_DRAWDOWN"]

    def test_of_an_account_without_money_are_not_exceeded(self) -> None:
        """R39: a fresh, empty account is no catastrophe."""
        step = after(told("0"), told("0", at_ms=T0 + 1))
        assert (step.breached, step.record.halt) == (None, None)

    @given(st.lists(st.decimals("1", "100000", places=2), min_size=1, max_size=20))
    def test_measure_drawdown_from_the_highest_equity_ever(self, readings: list[Decimal]) -> None:
        """R36: nothing but the operator lowers the mark."""
        step = after(*(told(str(equity), at_ms=T0 + n) for n, equity in enumerate(readings)))
        assert step.record.equity_high == max(readings)
        drawdown = step.budgets[-1]
        assert drawdown.used_equity == max(readings) - readings[-1]


class TestTransfers:
    def test_of_the_past_are_no_lost_peak(self) -> None:
        """R37, R39: ten years of deposits, most of them lost long before we came."""
        step = after(told("500", transfers="100000"))
        assert (step.record.equity_high, step.breached) == (500, None)

    def test_in_move_every_baseline_up(self) -> None:
        """R37: a deposit is no profit."""
        step = after(told("10000"), told("15000", at_ms=T0 + 1, transfers="5000"))
        record = step.record
        assert [period.start_equity for period in (record.day, record.week, record.month) if period] == [15_000] * 3
        assert record.equity_high == 15_000
        assert "TRANSFER" in step.changes

    def test_out_move_every_baseline_down(self) -> None:
        """R37: a withdrawal is no loss."""
        step = after(told("10000"), told("4000", at_ms=T0 + 1, transfers="-6000"))
        assert (step.breached, step.record.equity_high) == (None, 4_000)

    def test_do_not_hide_a_loss(self) -> None:
        step = after(told("10000"), told("14700", at_ms=T0 + 1, transfers="5000"))
        assert step.breached == "LIMIT_DAY"  # 300 of 15,000 are 2 %

    @given(st.lists(st.tuples(st.integers(-3_000, 3_000), st.integers(-50, 50)), max_size=12))
    def test_change_nothing_of_what_is_used(self, steps: list[tuple[int, int]]) -> None:
        """Golden rule: with and without the deposits, the same money was lost."""
        plain, moved = after(told("100000")).record, after(told("100000")).record
        equity = total = 0
        for number, (transfer, result) in enumerate(steps, 1):
            equity, total = equity + result, total + transfer
            wide = {"daily_loss_pct": Decimal(99), "weekly_loss_pct": Decimal(99), "monthly_loss_pct": Decimal(99)}
            without = after(told(str(100_000 + equity), at_ms=T0 + number), record=plain, **wide)
            with_them = after(
                told(str(100_000 + equity + total), at_ms=T0 + number, transfers=str(total)), record=moved, **wide
            )
            plain, moved = without.record, with_them.record
            assert [b.used_equity for b in without.budgets] == [b.used_equity for b in with_them.budgets]


class TestABreach:
    def test_halts_the_account_once(self) -> None:
        first = after(told("10000"), told("9700", at_ms=T0 + 1))
        assert first.record.halt == first.record.breach == Flag("LIMIT_DAY", T0 + 1)
        again = after(told("9600", at_ms=T0 + 2), record=first.record)
        assert (again.breached, again.record.halt) == (None, first.record.halt)

    def test_is_told_although_the_operator_halted_before(self) -> None:
        """R34: a halt must not keep the kill switch from closing positions."""
        halted = replace(after(told("10000")).record, halt=Flag("OPERATOR", T0))
        step = after(told("9700", at_ms=T0 + 1), record=halted)
        assert step.breached == "LIMIT_DAY"
        assert step.record.halt == Flag("OPERATOR", T0)

    def test_ends_with_its_period(self) -> None:
        step = after(told("10000"), told("9700", at_ms=T0 + 1), told("9700", at_ms=T0 + DAY_MS))
        assert (step.ended, step.record.halt, step.record.breach) == ((HaltCause.LIMIT_DAY,), None, None)

    def test_waits_for_the_operator_where_config_says_so(self) -> None:
        step = after(told("10000"), told("9700", at_ms=T0 + 1), told("9700", at_ms=T0 + DAY_MS), auto_resume=False)
        assert (step.ended, step.record.halt) == ((), Flag("LIMIT_DAY", T0 + 1))

    def test_of_a_longer_period_takes_over_when_the_shorter_ends(self) -> None:
        step = after(told("10000"), told("9400", at_ms=T0 + 1), told("9400", at_ms=T0 + DAY_MS))
        assert (step.ended, step.breached) == ((HaltCause.LIMIT_DAY,), "LIMIT_WEEK")

    def test_of_the_drawdown_never_ends_by_itself(self) -> None:
        deep = {"daily_loss_pct": Decimal(99), "weekly_loss_pct": Decimal(99), "monthly_loss_pct": Decimal(99)}
        step = after(told("10000"), told("7000", at_ms=T0 + 1), told("7000", at_ms=T0 + 90 * DAY_MS), **deep)
        assert step.record.halt == Flag("LIMIT_DRAWDOWN", T0 + 1)
        assert not is_over(Flag("LIMIT_DRAWDOWN", T0), T0 + 900 * DAY_MS)

    def test_survives_a_restart_with_its_mark_and_its_budget(self) -> None:
        """R36: the record is all there is, and it is journalled."""
        stage = Stage()
        stage.read_equity(wallet="9700")
        before = stage.engine.account
        stage.restart()
        assert stage.engine.account == before
        assert stage.read_equity(wallet="9700").record.halt == before.halt


class TestABookedTrade:
    TRADE = Stage().protected().trade

    def booked(self, net: str, at_ms: int) -> Trade:
        return replace(self.TRADE, net_pnl=Decimal(net), closed_ms=at_ms)

    def test_counts_in_day_week_and_month(self) -> None:
        record = trade_booked(after(told("10000")).record, self.booked("-30", T0 + 1), Decimal(9_970))
        assert [p.realized_pnl for p in (record.day, record.week, record.month) if p] == [-30] * 3

    def test_after_midnight_counts_for_the_new_day_although_equity_was_not_read_since(self) -> None:
        """R35: the boundary is the trade's end, not the next reading."""
        record = trade_booked(after(told("10000")).record, self.booked("-30", T0 + DAY_MS + 5), Decimal(9_980))
        assert record.day == Period(key="2026-01-02", start_equity=Decimal(9_980), realized_pnl=Decimal(-30))
        assert record.week is not None
        assert (record.week.key, record.week.realized_pnl) == ("2026-W01", Decimal(-30))

    def test_after_midnight_without_known_equity_begins_where_the_day_before_began(self) -> None:
        record = trade_booked(after(told("10000")).record, self.booked("-30", T0 + DAY_MS + 5), None)
        assert record.day == Period(key="2026-01-02", start_equity=Decimal(10_000), realized_pnl=Decimal(-30))

    def test_before_anything_was_read_counts_nowhere(self) -> None:
        assert trade_booked(AccountRecord(), self.booked("-30", T0), None) == AccountRecord()


class TestTheEngineAndItsSymbols:
    def follow(self, stage: Stage, step: AccountStep) -> None:
        """What the shell does with a step."""
        for cause in step.ended:
            stage.command("resume", cause)
        if step.breached is not None:
            flatten = stage.context.policy.limits.action is LimitAction.FLATTEN
            stage.command("flatten" if flatten else "halt", step.breached)

    def test_a_breach_blocks_entries_and_leaves_positions_to_their_stops(self) -> None:
        """R34: BLOCK_ENTRIES."""
        stage = Stage().protected()
        self.follow(stage, stage.read_equity(wallet="9700"))
        assert (stage.state, stage.record.halt and stage.record.halt.cause) == (State.PROTECTED, "LIMIT_DAY")

    def test_a_breach_closes_positions_where_config_says_so(self) -> None:
        """R34: FLATTEN."""
        stage = Stage(limit_action=LimitAction.FLATTEN).protected()
        self.follow(stage, stage.read_equity(wallet="9700"))
        stage.settle()
        assert (stage.state, stage.exchange.position) == (State.HALT, 0)

    @pytest.mark.parametrize("action", LimitAction)
    def test_a_breach_is_told_again_until_every_symbol_follows(self, action: LimitAction) -> None:
        """A crash between the account's row and the symbols' must not forget the kill switch."""
        stage = Stage(limit_action=action).protected()
        assert stage.read_equity(wallet="9700").breached == "LIMIT_DAY"
        stage.restart()
        step = stage.read_equity(wallet="9700")
        assert step.breached == "LIMIT_DAY"
        self.follow(stage, step)
        assert stage.read_equity(wallet="9700").breached is None

    def test_an_ended_limit_is_told_again_until_every_symbol_follows(self) -> None:
        stage = Stage()
        self.follow(stage, stage.read_equity(wallet="9700"))
        assert stage.state is State.HALT
        stage.wait(DAY_MS).read_equity(wallet="9700")
        stage.restart()
        step = stage.read_equity(wallet="9700")
        assert step.ended == (HaltCause.LIMIT_DAY,)
        self.follow(stage, step)
        assert (stage.state, stage.read_equity(wallet="9700").ended) == (State.IDLE, ())

    def test_a_trade_s_loss_counts_although_equity_was_not_read_yet(self) -> None:
        stage = Stage(daily_loss_pct=Decimal("0.4")).protected().wait(1)
        stage.price("59400").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        stage.settle()
        assert stage.read_equity().breached == "LIMIT_DAY"


class TestTheOperatorAndTheAccount:
    def test_a_halt_of_the_account_blocks_every_entry(self) -> None:
        stage = Stage()
        stage.engine.set_account(stage.now_ms, "HALT", paused=False, halt=Flag("OPERATOR", stage.now_ms))
        assert stage.signal().reason == "OPERATOR"
        stage.engine.set_account(stage.now_ms, "RESUME", paused=True, halt=None)
        assert stage.signal().reason == "PAUSED"
        stage.engine.set_account(stage.now_ms, "RESUME", paused=False, halt=None)
        assert stage.signal().outcome == "SIGNAL"

    def test_is_not_resumed_while_a_limit_is_exceeded(self) -> None:
        stage = Stage()
        stage.read_equity(wallet="9700")
        with pytest.raises(Rejected, match="LIMIT_DAY is still exceeded") as caught:
            stage.engine.set_account(stage.now_ms, "RESUME", paused=False, halt=None)
        assert caught.value.guard == "LIMIT_DAY"
        assert stage.engine.account.halt is not None

    def test_is_resumed_once_the_limit_is_no_longer_exceeded(self) -> None:
        stage = Stage()
        stage.read_equity(wallet="9700")
        stage.read_equity(wallet="9900")
        stage.engine.set_account(stage.now_ms, "RESUME", paused=False, halt=None)
        assert (stage.engine.account.halt, stage.engine.account.breach) == (None, None)

    def test_resuming_after_a_drawdown_measures_the_next_one_from_here(self) -> None:
        """R36: only the operator can, and the account is not locked for ever."""
        wide = {"daily_loss_pct": Decimal(99), "weekly_loss_pct": Decimal(99), "monthly_loss_pct": Decimal(99)}
        stage = Stage(**wide)
        assert stage.read_equity(wallet="7000").breached == "LIMIT_DRAWDOWN"
        stage.engine.set_account(stage.now_ms, "RESUME", paused=False, halt=None)
        assert stage.engine.account.equity_high == 7_000
        assert stage.read_equity(wallet="7000").breached is None

    def test_is_not_resumed_from_a_breach_before_the_account_was_read(self) -> None:
        stage = Stage()
        stage.read_equity(wallet="9700")
        stage.restart()
        with pytest.raises(Rejected, match=r"^the account was not read yet: try again in a moment$") as refused:
            stage.engine.set_account(stage.now_ms, "RESUME", paused=False, halt=None)
        assert refused.value.guard == "EQUITY_UNKNOWN"

    @pytest.mark.parametrize(
        ("cause", "high"), [("LIMIT_DRAWDOWN", 7_000), ("LIMIT_MONTH", 10_000), ("OPERATOR", 10_000), (None, 10_000)]
    )
    def test_only_a_resume_from_a_drawdown_measures_the_next_one_from_here(self, cause: str | None, high: int) -> None:
        """R36: whatever else is resumed cannot raise what may be lost."""
        breach = None if cause is None else Flag(cause, T0)
        record = resumed(AccountRecord(equity_high=Decimal(10_000), breach=breach), Decimal(7_000))
        assert (record.equity_high, record.breach) == (high, None)

    def test_is_resumed_from_an_operator_s_halt_before_the_account_was_read(self) -> None:
        stage = Stage(equity=None)
        stage.engine.set_account(stage.now_ms, "HALT", paused=False, halt=Flag("OPERATOR", stage.now_ms))
        stage.engine.set_account(stage.now_ms, "RESUME", paused=False, halt=None)
        assert stage.engine.account.halt is None

    def test_every_change_is_a_row_and_no_change_is_none(self) -> None:
        """The newest row's record is the state."""
        stage = Stage()
        for wallet in ("10000", "10000", "10200", "9700", "9700"):
            stage.wait(HOUR_MS).read_equity(wallet=wallet)
            assert stage.ledger.account_rows[-1][1] == stage.engine.account
        kinds = [kinds for kinds, _ in stage.ledger.account_rows]
        assert kinds[1:] == [("EQUITY_HIGH",), ("LIMIT_BREACHED",)]


def test_without_equity_nothing_is_entered() -> None:
    """R38: unknown equity blocks at once."""
    assert Stage(equity=None).signal().reason == "EQUITY_UNKNOWN"


def test_budgets_of_an_unread_account_are_the_drawdown_alone() -> None:
    assert [budget.cause for budget in budgets(AccountRecord(), Decimal(0), POLICY)] == ["LIMIT_DRAWDOWN"]
