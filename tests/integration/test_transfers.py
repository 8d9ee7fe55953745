"""No limit acts on a transfer, however late the exchange's ledger shows it; a real loss acts at once (R77)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exchange.sim.port_faults import Call, Fault
from exchange.types import Income, OrderRequest, OrderType, Side
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import State
from fsm.live.trading.wallet import UNEXPLAINED_MS_MAX
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
OPEN = [jump(BTC), *quiet(TOP, 20)]
FLATTEN: dict[str, Any] = {"action": LimitAction.FLATTEN, "daily_loss_pct": Decimal(2)}
DAY_MS = 86_400_000
DELAYS_MS = [0, 1, 4_000, 15_000, 60_000]


async def to_open_trade(r: InProcessBot) -> None:
    await r.start()
    await r.hours(TO_SIGNAL + 0.5)
    await passing(r, 20)
    assert state(r) is State.PROTECTED


async def passing(r: InProcessBot, seconds: int) -> None:
    """Market and real time go on together, as they do."""
    for _ in range(seconds):
        await r.port.advance(r.venue.now_ms + 1_000, r.answered)
        await r.seconds(1)


def state(r: InProcessBot) -> State:
    return r.running.live.engine.record("BTCUSDT").state


def account(r: InProcessBot) -> Any:
    return r.running.live.engine.account


def told(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store, limit=100) if row.kind == "kill_switch"]


def events(r: InProcessBot) -> list[tuple[str, str]]:
    with open_store(r.db, mode="read") as store:
        return list(store.connection.execute("SELECT kind, reason FROM system_events ORDER BY id"))


class TestAWithdrawal:
    @pytest.mark.parametrize("delay_ms", DELAYS_MS)
    def test_hits_no_limit_however_late_the_ledger_shows_it(self, rehearse: Make, delay_ms: int) -> None:
        r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            high, start = account(r).equity_high, account(r).day.start_equity
            r.venue.withdraw(Decimal(1_000), shown_after_ms=delay_ms)
            r.venue.drain()
            await passing(r, 90)
            assert (state(r), account(r).halt, account(r).breach) == (State.PROTECTED, None, None)
            assert account(r).transfers == -1_000
            assert (account(r).equity_high, account(r).day.start_equity) == (high - 1_000, start - 1_000)

        r.run(script)
        assert "LIMIT_DAY" not in "".join(triggers(r))

    def test_blocks_entries_while_it_is_not_explained_and_says_so(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=60_000)
            r.venue.drain()
            await passing(r, 20)
            assert r.running.live.engine.portfolio().blocked == "EQUITY_UNEXPLAINED"
            await passing(r, 70)
            assert r.running.live.engine.portfolio().blocked == ""

        r.run(script)
        assert [event for event in events(r) if event[0].startswith(("EQUITY_UN", "EQUITY_EX"))] == [
            ("EQUITY_UNEXPLAINED", "WALLET"),
            ("EQUITY_EXPLAINED", "TRANSFER"),
        ]
        assert [text for text in told(r) if "1,000.00 USDT are gone" in text]

    @pytest.mark.parametrize("at_s", [1, 20, 50])
    def test_is_still_looked_up_by_the_next_process(self, rehearse: Make, at_s: int) -> None:
        r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=60_000)
            r.venue.drain()
            await passing(r, at_s)
            await r.restart()
            await passing(r, 90)
            assert (state(r), account(r).halt, account(r).transfers) == (State.PROTECTED, None, -1_000)

        r.run(script)

    def test_behind_something_small_that_nobody_explains_has_two_minutes_of_its_own(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            r.venue.withdraw(Decimal("0.5"), shown_after_ms=DAY_MS)
            r.venue.drain()
            await passing(r, 100)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=55_000)
            r.venue.drain()
            await passing(r, 40)
            assert [reason for _, reason in events(r)].count("WRITTEN_OFF") == 1, "the half is given up on"
            await passing(r, 90)
            assert (state(r), account(r).halt, account(r).transfers) == (State.PROTECTED, None, -1_000)

        r.run(script)

    def test_after_hours_in_which_the_ledger_never_showed_a_fee_is_waited_for_as_any(self, rehearse: Make) -> None:
        """A limit was hit within two seconds: what fills explained had been looked for since long before."""
        r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

        def without_fees(call: Call) -> Fault | None:
            def shown(rows: list[Income]) -> list[Income]:
                return [row for row in rows if row.income_type != "COMMISSION"]

            return Fault(alter=shown) if call.method == "income" else None

        async def script(r: InProcessBot) -> None:
            r.faults = without_fees
            await to_open_trade(r)
            await r.hours(3)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=55_000)
            r.venue.drain()
            await passing(r, 90)
            assert (state(r), account(r).halt, account(r).transfers) == (State.PROTECTED, None, -1_000)

        r.run(script)

    def test_over_midnight_lowers_the_new_days_start_too(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=[*quiet(BTC, 40)], limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.until(r.venue.now_ms // DAY_MS * DAY_MS + DAY_MS - 20_000)
            r.venue.withdraw(Decimal(5_000), shown_after_ms=55_000)
            r.venue.drain()
            await passing(r, 120)
            assert account(r).day.start_equity == 5_000
            assert (account(r).halt, account(r).breach, account(r).equity_high) == (None, None, 5_000)

        r.run(script)


class TestWhatNobodyExplains:
    def test_counts_as_a_loss_after_two_minutes_and_is_said(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=10 * 86_400_000)
            r.venue.drain()
            await passing(r, UNEXPLAINED_MS_MAX // 1000 - 15)
            assert state(r) is State.PROTECTED
            await passing(r, 45)
            assert (state(r), account(r).breach.cause) == (State.HALT, "LIMIT_DAY")

        r.run(script)
        assert [text for text in told(r) if "counts as a loss" in text]

    def test_counts_in_the_day_in_which_it_fell_however_long_nothing_had_changed_before(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=quiet(BTC, 60))

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(50)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=10 * DAY_MS)
            r.venue.drain()
            await passing(r, 150)
            assert account(r).breach.cause == "LIMIT_DAY"

        r.run(script)

    @pytest.mark.parametrize("restarts", [False, True])
    def test_before_midnight_is_no_loss_of_the_new_day(self, rehearse: Make, restarts: bool) -> None:
        r = rehearse(BTCUSDT=quiet(BTC, 60))

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.until(r.venue.now_ms // DAY_MS * DAY_MS + 2 * DAY_MS - 20_000)
            r.venue.withdraw(Decimal(1_000), shown_after_ms=300_000)
            r.venue.drain()
            await passing(r, 30)
            if restarts:
                await r.restart()
            await passing(r, 150)
            assert (account(r).day.start_equity, account(r).breach.cause) == (9_000, "LIMIT_WEEK")
            await passing(r, 180)
            assert (account(r).day.start_equity, account(r).week.start_equity) == (9_000, 9_000)
            assert (account(r).breach, account(r).halt) == (None, None)

        r.run(script)

    @pytest.mark.parametrize("action", list(LimitAction))
    def test_and_is_explained_after_all_takes_the_limit_back(self, rehearse: Make, action: LimitAction) -> None:
        r = rehearse(BTCUSDT=OPEN, limits={"action": action})

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            start, week = account(r).day.start_equity, account(r).week.start_equity
            r.venue.withdraw(Decimal(1_000), shown_after_ms=300_000)
            r.venue.drain()
            await passing(r, 200)
            assert account(r).halt.cause == "LIMIT_DAY"
            await passing(r, 130)
            assert (account(r).halt, account(r).breach, account(r).transfers) == (None, None, -1_000)
            assert (account(r).day.start_equity, account(r).week.start_equity) == (start - 1_000, week - 1_000)
            assert r.running.live.engine.record("BTCUSDT").halt is None
            flattened = action is LimitAction.FLATTEN
            assert state(r) is (State.IDLE if flattened else State.PROTECTED)

        r.run(script)
        assert [text for text in told(r) if "is taken back" in text]
        with open_store(r.db, mode="read") as store:
            assert len(queries.alerts(store, limit=500)) < 40, "told once, not at every reading"

    def test_is_taken_for_a_deposit_when_it_came_without_a_word(self, rehearse: Make) -> None:
        """Cautious both ways: it is no profit that losses may be set against, and no new peak."""
        r = rehearse(BTCUSDT=OPEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            high = account(r).equity_high
            r.venue.deposit(Decimal(500), shown_after_ms=300_000)
            r.venue.drain()
            await passing(r, 60)
            assert (account(r).equity_high, account(r).transfers) == (high, 0)
            await passing(r, 120)
            assert (account(r).equity_high, account(r).transfers) == (high + 500, 500)
            await passing(r, 180)
            assert account(r).transfers == 500, "its row, which came at last, is not counted again"

        r.run(script)


def test_two_readings_at_once_count_a_transfer_once(rehearse: Make) -> None:
    """A close reads the account too, at any moment; torture found a deposit counted twice."""
    r = rehearse(BTCUSDT=quiet(BTC, 20), latency_s=0.2)

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.venue.deposit(Decimal(1_000))
        r.venue.drain()
        await asyncio.gather(*(r.running.account.try_read() for _ in range(3)))
        assert (account(r).transfers, account(r).day.start_equity) == (1_000, 11_000)

    r.run(script)


class TestADeposit:
    @pytest.mark.parametrize("delay_ms", DELAYS_MS)
    def test_is_never_a_profit_nor_a_peak(self, rehearse: Make, delay_ms: int) -> None:
        r = rehearse(BTCUSDT=OPEN)

        async def script(r: InProcessBot) -> None:
            await to_open_trade(r)
            high = account(r).equity_high
            r.venue.deposit(Decimal(1_000), shown_after_ms=delay_ms)
            r.venue.drain()
            for _ in range(9):
                await passing(r, 10)
                assert account(r).equity_high - account(r).transfers == high
            assert account(r).transfers == 1_000
            r.venue.withdraw(Decimal(1_000), shown_after_ms=delay_ms)
            r.venue.drain()
            await passing(r, 90)
            assert (account(r).equity_high, account(r).halt) == (high, None)

        r.run(script)


class TestARealLoss:
    def test_by_marks_acts_at_once(self, rehearse: Make) -> None:
        fallen = quiet(TOP, 1)
        r = rehearse(
            BTCUSDT=[jump(BTC), *fallen, *quiet(TOP, 20)], limits={**FLATTEN, "daily_loss_pct": Decimal("0.01")}
        )

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL)
            await passing(r, 12)
            assert account(r).breach.cause == "LIMIT_DAY"

        r.run(script)

    def test_by_fills_acts_at_once_though_the_ledger_does_not_show_them_yet(self, rehearse: Make) -> None:
        """Rows of fills a minute late, and the balance right away: fills explain it, so nothing waits."""
        stopped = [jump(BTC), (TOP, TOP, BTC * 0.99, BTC * 0.99), *quiet(BTC * 0.99, 20)]
        r = rehearse(BTCUSDT=stopped, limits={**FLATTEN, "daily_loss_pct": Decimal("0.3")})

        def late_ledger(call: Call) -> Fault | None:
            def shown(rows: list[Income]) -> list[Income]:
                return [row for row in rows if row.time_ms < r.venue.now_ms - 3_600_000]

            return Fault(alter=shown) if call.method == "income" else None

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.01)
            r.faults = late_ledger
            await r.hours(0.9)
            await passing(r, 12)
            assert account(r).breach is not None, "the stop was hit and the fall is explained"

        r.run(script)
        assert not [event for event in events(r) if event[0] == "EQUITY_UNEXPLAINED"]

    def test_by_another_hand_acts_as_soon_as_the_ledger_shows_it(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=quiet(BTC, 20), limits=FLATTEN)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(1)
            for side in (Side.BUY, Side.SELL):
                by_hand(r, side, "8")
            await passing(r, 12)
            assert account(r).breach.cause == "LIMIT_DAY"

        r.run(script)


def by_hand(r: InProcessBot, side: Side, quantity: str) -> None:
    """Fees and slippage of a round trip of 480,000 USDT cost more than a day may lose."""
    state = r.venue.state
    state.settings = msgspec.structs.replace(state.settings, taker_rate=Decimal("0.001"))
    r.venue.place_order(
        OrderRequest(
            symbol="BTCUSDT",
            side=side,
            type=OrderType.MARKET,
            quantity=Decimal(quantity) / 4,
            client_id=f"hand-{side.value}",
            reduce_only=side is Side.SELL,
        )
    )
    r.venue.drain()


def test_rows_of_one_number_and_different_kinds_are_told_apart(rehearse: Make) -> None:
    """Transaction ids are unique within a kind only: a withdrawal with a commission's number counts all the same."""
    r = rehearse(BTCUSDT=OPEN, limits=FLATTEN)

    def renumbered(call: Call) -> Fault | None:
        def shown(rows: list[Income]) -> list[Income]:
            return [msgspec.structs.replace(row, transaction_id=7) for row in rows]

        return Fault(alter=shown) if call.method == "income" else None

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = renumbered
        r.venue.withdraw(Decimal(1_000), shown_after_ms=0)
        by_hand(r, Side.BUY, "0.04")
        await passing(r, 30)
        assert (account(r).transfers, account(r).halt) == (-1_000, None)

    r.run(script)


@pytest.mark.parametrize(
    ("kind", "is_result"),
    [
        ("TRANSFER", False), ("INTERNAL_TRANSFER", False), ("CROSS_COLLATERAL_TRANSFER", False),
        ("COIN_SWAP_DEPOSIT", False), ("COIN_SWAP_WITHDRAW", False), ("STRATEGY_UMFUTURES_TRANSFER", False),
        ("AUTO_EXCHANGE", False), ("WELCOME_BONUS", False), ("SOME_NEW_TRANSFER", False),
        ("REFERRAL_KICKBACK", True), ("COMMISSION_REBATE", True), ("INSURANCE_CLEAR", True), ("FUNDING_FEE", True),
        ("SPECIAL_FUNDING_FEE", True), ("OPTIONS_PREMIUM_FEE", True), ("SOME_NEW_FEE", True),
    ],
)  # fmt: skip
def test_every_kind_of_income_is_a_transfer_or_a_result(rehearse: Make, kind: str, is_result: bool) -> None:
    r = rehearse(BTCUSDT=OPEN)

    def renamed(call: Call) -> Fault | None:
        def shown(rows: list[Income]) -> list[Income]:
            return [msgspec.structs.replace(row, income_type=kind) for row in rows]

        return Fault(alter=shown) if call.method == "income" else None

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = renamed
        r.venue.withdraw(Decimal(400))
        r.venue.drain()
        await passing(r, 15)
        assert account(r).transfers == (0 if is_result else -400)
        assert (account(r).breach is not None) is is_result, "a result of -4 % is a loss of the day"

    r.run(script)
