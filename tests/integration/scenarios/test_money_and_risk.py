"""Money, loss limits, sizes and the exchange's own limits (R34 to R46)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.sim.port import Call, Fault, Lost
from fsm.core.records import State
from fsm.lab.rehearsal import Rehearsal
from fsm.lab.small_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import BTC, CALM, STOPPED, TOP, Make, entry, record, to_trade


class TestMoneyFromOutside:
    def test_a_withdrawal_is_no_loss_and_a_deposit_no_profit(self, rehearse: Make) -> None:
        """R37."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: Rehearsal) -> None:
            await r.start()
            await r.hours(2)
            r.venue.withdraw(Decimal(3000))
            await r.hours(2)
            account = r.running.shared.engine.account
            assert account.halt is None
            assert account.equity_high == Decimal(7000)
            assert account.transfers == Decimal(-3000)
            r.venue.deposit(Decimal(500))
            await r.restart()
            await r.hours(1)
            assert r.running.shared.engine.account.transfers == Decimal(-2500)
            assert r.running.shared.engine.account.equity_high == Decimal(7500)

        r.run(script)


class TestStaleEquity:
    def test_equity_that_cannot_be_read_blocks_entries(self, rehearse: Make) -> None:
        """R38."""
        r = rehearse(BTCUSDT=STOPPED)

        def no_account(call: Call) -> Fault | None:
            return Fault(lost=Lost.REQUEST) if call.method == "account" else None

        async def script(r: Rehearsal) -> None:
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

        async def script(r: Rehearsal) -> None:
            await to_trade(r, lambda call: Fault(refuse=-2019) if entry(call) else None)
            await r.hours(4)

        r.run(script)
        assert [text for text in triggers(r) if text.startswith("abandon")] == ["abandon ENTRY_REFUSED -2019"] * 2

    @pytest.mark.parametrize("code", [-2015, -4087])
    def test_a_missing_permission_halts(self, rehearse: Make, code: int) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: Rehearsal) -> None:
            await to_trade(r, lambda call: Fault(refuse=code) if entry(call) else None)
            assert record(r).state is State.HALT

        r.run(script)
