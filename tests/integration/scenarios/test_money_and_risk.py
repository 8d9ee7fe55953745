"""Money, loss limits, sizes and the exchange's own limits (R34 to R46)."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import Side
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.alerts import AlertBox
from store.database import open_store
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    ETH,
    OPENED,
    STOPPED,
    TOP,
    Make,
    by_hand,
    entry,
    latest_reason,
    record,
    resting_stops,
    to_trade,
    trades,
    wick,
)
from tests.integration.scenarios.wire import ALGO, ORDER, WiredRehearsal

DAY_MS = 86_400_000


class TestMoneyFromOutside:
    def test_a_withdrawal_is_no_loss_and_a_deposit_no_profit(self, rehearse: Make) -> None:
        """R37."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(2)
            r.venue.withdraw(Decimal(3000))
            await r.hours(2)
            account = r.running.live.engine.account
            assert account.halt is None
            assert account.equity_high == Decimal(7000)
            assert account.transfers == Decimal(-3000)
            r.venue.deposit(Decimal(500))
            await r.restart()
            await r.hours(1)
            assert r.running.live.engine.account.transfers == Decimal(-2500)
            assert r.running.live.engine.account.equity_high == Decimal(7500)

        r.run(script)


class TestStaleEquity:
    def test_equity_that_cannot_be_read_blocks_entries(self, rehearse: Make) -> None:
        """R38."""
        r = rehearse(BTCUSDT=STOPPED)

        def no_account(call: Call) -> Fault | None:
            return Fault(lost=Lost.REQUEST) if call.method == "account" else None

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = no_account
            await r.seconds(120)
            await r.hours(TO_SIGNAL + 0.5)

        r.run(script)
        assert triggers(r) == []
        with open_store(r.db, mode="read") as store:
            (last,) = queries.latest_decisions(store)
        assert (last.outcome, last.reason) == ("BLOCKED", "EQUITY_FRESH")


class TestRefusals:
    def test_the_same_refusal_again_and_again_cools_the_symbol_down(self, rehearse: Make) -> None:
        """R45."""
        hours = [jump(BTC), jump(TOP), jump(TOP * 1.01), jump(TOP * 1.0201), *quiet(TOP * 1.0303, 2)]
        r = rehearse(BTCUSDT=hours)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, lambda call: Fault(refuse=-2019) if entry(call) else None)
            await r.hours(4)

        r.run(script)
        assert [text for text in triggers(r) if text.startswith("abandon")] == ["abandon ENTRY_REFUSED -2019"] * 2

    @pytest.mark.parametrize("code", [-2015, -1022])
    def test_a_missing_permission_halts(self, rehearse: Make, code: int) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, lambda call: Fault(refuse=code) if entry(call) else None)
            assert record(r).state is State.HALT

        r.run(script)


TIGHT = {"daily_loss_pct": Decimal("0.2"), "weekly_loss_pct": Decimal(50), "monthly_loss_pct": Decimal(50)}
UNDER_WATER = TOP - 550
"""Above the stop at 59,940: what is lost is lost on paper, and more than 0.2 % of equity."""


class TestALossLimit:
    @pytest.mark.parametrize("action", list(LimitAction))
    def test_counts_what_an_open_position_has_lost_and_does_what_is_configured(
        self, rehearse: Make, action: LimitAction
    ) -> None:
        """R34, R35: on a timer, not at a close; BLOCK_ENTRIES leaves the position, FLATTEN closes it; both say so."""
        hours = [jump(BTC), *quiet(TOP, 2), jump(TOP), *quiet(TOP * 1.01, 3)]
        r = rehearse(BTCUSDT=hours, limits={**TIGHT, "action": action})

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            wick(r, last=UNDER_WATER)
            await r.seconds(30)
            halt = r.running.live.engine.account.halt
            assert halt is not None
            assert halt.cause == "LIMIT_DAY"
            assert bool(r.venue.positions()) == (action is LimitAction.BLOCK_ENTRIES)
            assert bool(resting_stops(r)) == (action is LimitAction.BLOCK_ENTRIES)
            await r.hours(4)

        r.run(script)
        assert [row for row in triggers(r) if row.startswith("signal")] == ["signal jump LONG"]
        assert ("flatten LIMIT_DAY" in triggers(r)) == (action is LimitAction.FLATTEN)
        with open_store(r.db, mode="read") as store:
            limits = queries.document(store, "limits")
            told = [row.text for row in AlertBox(store).due(2**60) if row.kind == "kill_switch"]
        assert limits is not None
        assert action.value in limits.body_json
        assert any(text.startswith("The loss limit of the day was hit: ") for text in told)

    def test_of_a_day_ends_at_midnight_utc_and_not_before(self, rehearse: Make) -> None:
        """R35: the trade is of 14:00 on a Wednesday; the week and the month go on counting."""
        hours = [jump(BTC), *quiet(TOP, 10), jump(TOP), *quiet(TOP * 1.01, 3)]
        r = rehearse(BTCUSDT=hours, limits=TIGHT)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            wick(r, last=UNDER_WATER)
            wick(r, last=59_900)
            await r.seconds(30)
            midnight_ms = r.venue.now_ms // DAY_MS * DAY_MS + DAY_MS
            await r.until(midnight_ms - 60_000)
            await r.seconds(30)
            assert record(r).state is State.HALT
            week = r.running.live.engine.account.week
            await r.until(midnight_ms + 60_000)
            await r.seconds(30)
            assert record(r).state is State.IDLE
            assert r.running.live.engine.account.halt is None
            assert r.running.live.engine.account.week == week
            await r.hours(3)

        r.run(script)
        assert [row for row in triggers(r) if row.startswith("signal")] == ["signal jump LONG"] * 2

    def test_counts_from_the_highest_equity_also_across_restarts(self, rehearse: Make) -> None:
        """R36: killed half way down; had the start lowered the mark, the second half would not reach the limit."""
        limits = {"daily_loss_pct": Decimal(50), "weekly_loss_pct": Decimal(50), "monthly_loss_pct": Decimal(50)}
        r = rehearse(BTCUSDT=CALM, limits={**limits, "drawdown_pct": Decimal("0.3")})

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            before = r.running.live.engine.account
            wick(r, last=TOP - 330)
            await r.seconds(30)
            assert r.running.live.engine.account.halt is None
            await r.restart()
            assert r.running.live.engine.account.equity_high == before.equity_high
            wick(r, last=TOP - 560)
            await r.seconds(30)
            assert r.running.live.engine.account.halt.cause == "LIMIT_DRAWDOWN"
            await r.restart()
            await r.seconds(30)
            assert r.running.live.engine.account.halt.cause == "LIMIT_DRAWDOWN"
            assert r.running.live.engine.account.equity_high == before.equity_high

        r.run(script)


class TestMoneyThatComesAndGoes:
    @pytest.mark.parametrize(
        ("deposit", "withdrawn", "funding_rate", "loss"),
        [(0, 0, "0", 0), (5_000, 0, "0", 0), (0, 4_000, "0", 0), (700, 900, "0", 0), (5_000, 0, "0.01", 39)],
        ids=["nothing", "deposit", "withdrawal", "both", "funding"],
    )
    def test_is_a_transfer_or_a_result_and_never_both(
        self, rehearse: Make, deposit: int, withdrawn: int, funding_rate: str, loss: int
    ) -> None:
        """R37: golden numbers for what the day has lost after each, funding of some 39 USDT included."""
        r = rehearse(BTCUSDT=CALM)

        def lost_today() -> Decimal:
            account = r.running.live.engine.account
            return account.day.start_equity - r.running.live.engine.equity.account.equity

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.seconds(20)
            before, high = lost_today(), r.running.live.engine.account.equity_high
            if deposit:
                r.venue.deposit(Decimal(deposit))
            if withdrawn:
                r.venue.withdraw(Decimal(withdrawn))
            r.venue.settle_funding("BTCUSDT", Decimal(funding_rate), r.venue.now_ms)
            r.venue.drain()
            await r.seconds(20)
            account = r.running.live.engine.account
            assert account.transfers == deposit - withdrawn
            assert account.equity_high == high + deposit - withdrawn
            assert round(lost_today() - before) == loss
            assert account.halt is None

        r.run(script)


class TestAnyHistory:
    @pytest.mark.parametrize("past", ["empty", "one fill", "ten years"])
    def test_starts_and_trades_alike(self, rehearse: Make, past: str) -> None:
        """R39: what was paid in or lost long ago is neither a peak nor a loss."""
        r = rehearse(BTCUSDT=STOPPED)
        if past == "one fill":
            by_hand(r, Side.BUY, Decimal("0.010"), client_id="then")
            by_hand(r, Side.SELL, Decimal("0.010"), client_id="too")
        if past == "ten years":
            ten_years(r)
        wallet = r.venue.account().wallet_balance

        async def script(r: InProcessBot) -> None:
            await r.start()
            account = r.running.live.engine.account
            assert (account.halt, account.breach, account.transfers) == (None, None, 0)
            assert account.equity_high == wallet
            await r.hours(TO_SIGNAL + 4.5)

        r.run(script)
        assert [trade.exit_reason for trade in trades(r)] == ["STOP_HIT"]
        assert trades(r)[0].net_pnl == r.venue.account().wallet_balance - wallet

    def test_is_no_reason_to_wait_for_protection(self, rehearse: Make) -> None:
        """R40: ten years of history, and candles that never come: the stop that vanished is back within ten seconds."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        ten_years(r)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.kill()
            for algo in r.venue.open_algos():
                r.venue.cancel_algo(client_id=algo.client_id)
            r.venue.drain()
            r.faults = lambda call: Fault(delay_s=1e9) if call.method in ("candles", "income") else None
            starting = asyncio.create_task(r.start())
            await r.clock.sleep(10)
            assert len(resting_stops(r)) == 1
            starting.cancel()

        r.run(script)


def ten_years(r: InProcessBot) -> None:
    """Thousands of rows: trades by hand, deposits, withdrawals."""
    for number in range(300):
        by_hand(r, Side.BUY, Decimal("0.001"), client_id=f"b{number}")
        by_hand(r, Side.SELL, Decimal("0.001"), client_id=f"s{number}")
        r.venue.deposit(Decimal(100))
        r.venue.withdraw(Decimal(90))
    r.venue.drain()


class TestSmallAccounts:
    def test_a_target_too_small_to_be_an_order_is_no_entry(self, rehearse: Make) -> None:
        """R41: 0.012 ETH can be bought and sold, half of it cannot; better no trade than one that is stuck."""
        r = rehearse(ETHUSDT=ETH, simulation={"balance_usdt": Decimal(95)})
        r.run(to_trade)
        assert triggers(r) == []
        assert latest_reason(r, "ETHUSDT") == ("BLOCKED", "TARGET_LEG_MIN")

    def test_dust_that_a_partial_close_by_hand_leaves_is_closed_all_the_same(self, rehearse: Make) -> None:
        """R41: worth less than the smallest order; reduce-only and closePosition orders are exempt from that."""
        r = rehearse(ETHUSDT=[*ETH[:4], (3030.0, 3030.0, 2990.0, 3030.0), *quiet(3030.0, 3)])

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            (position,) = r.venue.positions()
            by_hand(r, Side.SELL, position.quantity - Decimal("0.002"), "ETHUSDT")
            await r.hours(4)
            await r.seconds(10)
            assert (r.venue.positions(), r.venue.open_algos()) == ([], [])
            assert record(r, "ETHUSDT").trade is None

        r.run(script)


class TestSignalsInVain:
    def test_settings_that_cannot_be_made_are_told_after_twenty_signals(self, rehearse: Make) -> None:
        """R44: -4067 for a change that changes nothing kept a bot from trading for four days, and nobody was told."""
        prices = [BTC * 1.01**n for n in range(23)]
        r = rehearse(BTCUSDT=[*map(jump, prices), *quiet(prices[-1], 2)])

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = lambda call: Fault(refuse=-4067) if call.method == "ensure_margin_type" else None
            await r.hours(TO_SIGNAL + 22)

        r.run(script)
        assert triggers(r).count("drop SETUP_REFUSED -4067") == triggers(r).count("signal jump LONG") >= 20
        with open_store(r.db, mode="read") as store:
            told = [row.text for row in AlertBox(store).due(2**60) if row.kind == "no_entries"]
        (text,) = told
        assert text.startswith(
            "20 signals in a row led to no position. What stopped the last one: setup refused -4067. "
        )

    def test_every_blocked_signal_has_a_row_that_says_why(self, rehearse: Make) -> None:
        """R44: with the guard's name, what it found and what it asks for."""
        prices = [BTC * 1.01**n for n in range(3)]
        r = rehearse(
            BTCUSDT=[*map(jump, prices), *quiet(prices[-1] * 1.01, 2)], risk={"stop_distance_pct_max": Decimal(1)}
        )

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 4)

        r.run(script)
        with open_store(r.db, mode="read") as store:
            rows = [row for row in queries.each_decision(store) if row.outcome == "BLOCKED"]
        assert sum(row.count for row in rows) == 3
        assert {row.reason for row in rows} == {"STOP_DISTANCE_MAX"}
        assert all("STOP_DISTANCE_MAX" in row.guards_json for row in rows)

    def test_settings_that_are_right_already_are_not_written_again(self, tmp_path: Path) -> None:
        """R44: the first trade sets margin type and leverage; the second reads them and leaves them alone."""
        falls = (TOP, TOP, BTC * 0.998, TOP)
        r = WiredRehearsal(tmp_path, [jump(BTC), *quiet(TOP, 1), falls, jump(TOP), *quiet(TOP * 1.01, 2)])

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.hours(4)

        r.run(script)
        assert triggers(r).count("enter SETUP_READY") == 2
        assert len(r.asked("/fapi/v1/marginType")) == 1
        assert len(r.asked("/fapi/v1/leverage")) == 1


class TestTheClock:
    @pytest.mark.parametrize("jump_ms", [60_000, -60_000])
    @pytest.mark.parametrize("path", [ORDER, ALGO])
    def test_that_jumps_under_an_order_costs_one_measurement_and_no_trade(
        self, tmp_path: Path, path: str, jump_ms: int
    ) -> None:
        """R46: -1021, the time, the same order again under the same id; the stop is in time."""
        r = WiredRehearsal(tmp_path, CALM)
        match = {"method": "POST", "path": path, "client_id": "f5eed0001-*-1-*"}
        r.fault(match=match, effect={"clock_jump_ms": jump_ms}, when="before", times=1)
        r.run(to_trade)
        assert triggers(r) == OPENED
        refused = [row for row in r.asked(path) if row.code == -1021]
        assert len(refused) == 1
        name = "newClientOrderId" if path == ORDER else "clientAlgoId"
        again = [row for row in r.asked(path) if row.params[name] == refused[0].params[name]]
        assert [row.status for row in again] == [400, 200]
        assert again[1].params["timestamp"] != again[0].params["timestamp"]


class TestTheRateLimit:
    def test_a_ban_under_an_open_position_sends_no_entry_and_the_missing_stop_still_goes_out(
        self, tmp_path: Path
    ) -> None:
        """R45: 418 for two minutes, in which the stop vanishes; it is asked for all the same and rests in the end."""
        r = WiredRehearsal(tmp_path, CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert isinstance(r, WiredRehearsal)
            r.venue.cancel_algo(client_id=resting_stops(r)[0])
            r.venue.drain()
            r.fault(match={"path": "/fapi/v1/openOrders"}, effect="ban_418", times=1)
            await r.seconds(30)
            await r.port.advance(r.venue.now_ms + 125_000, r.answered)
            await r.seconds(150)
            assert len(resting_stops(r)) == 1

        r.run(script)
        assert len(r.asked(ORDER)) == 1
