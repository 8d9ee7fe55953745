"""Orders whose fate nobody knows, and whose order it is (R16 to R23)."""

from __future__ import annotations

from decimal import Decimal

from exchange.client_ids import Leg, client_id
from exchange.sim.port import Call, Fault, Lost
from exchange.types import OrderRequest, OrderType, Side
from fsm.core.records import State
from fsm.lab.rehearsal import Rehearsal
from fsm.lab.small_market import triggers
from tests.integration.scenarios.acting import (
    CALM,
    OPENED,
    Make,
    Once,
    entry,
    record,
    resting_stops,
    to_trade,
    without_trace,
)


class TestTheEntrysFateIsUnknown:
    def test_it_was_executed_and_is_protected_without_being_sent_again(self, rehearse: Make) -> None:
        """R16, R17, R18."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        faults = Once(entry, Fault(lost=Lost.ANSWER))
        r.run(lambda r: to_trade(r, faults))
        assert triggers(r) == OPENED
        assert faults.met == 1

    def test_it_never_arrived_and_is_dropped_not_repeated(self, rehearse: Make) -> None:
        """R16, R17."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        faults = Once(entry, Fault(lost=Lost.REQUEST))

        async def script(r: Rehearsal) -> None:
            await to_trade(r, faults)
            await r.seconds(20)
            assert record(r).state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "abandon ENTRY_SHOWN_ABSENT"
        assert faults.met == 1

    def test_while_nobody_can_say_the_symbol_is_quarantined_and_the_truth_wins_later(self, rehearse: Make) -> None:
        """R20: no verdict by time alone."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        deaf = True

        def faults(call: Call) -> Fault | None:
            if entry(call):
                return Fault(lost=Lost.ANSWER)
            return Fault(alter=without_trace) if call.method == "look" and deaf else None

        async def script(r: Rehearsal) -> None:
            nonlocal deaf
            await to_trade(r, faults)
            await r.seconds(6)
            assert record(r).state is State.ENTERING
            deaf = False
            await r.seconds(6)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert resting_stops(r)

    def test_looks_that_fail_prove_nothing(self, rehearse: Make) -> None:
        """R20, R22: unreachable is not absent."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        down = True

        def faults(call: Call) -> Fault | None:
            if entry(call):
                return Fault(lost=Lost.ANSWER)
            return Fault(lost=Lost.REQUEST) if call.method == "look" and down else None

        async def script(r: Rehearsal) -> None:
            nonlocal down
            await to_trade(r, faults)
            await r.seconds(60)
            assert record(r).state is State.ENTERING
            down = False
            await r.seconds(10)
            assert record(r).state is State.PROTECTED

        r.run(script)

    def test_one_that_appears_after_it_was_given_up_is_adopted_and_protected(self, rehearse: Make) -> None:
        """R25, R28."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        sent: list[OrderRequest] = []

        async def script(r: Rehearsal) -> None:
            await to_trade(r, Once(entry, Fault(lost=Lost.REQUEST)))
            plan = record(r).trade
            await r.seconds(20)
            assert record(r).abandoned is not None
            sent.append(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.BUY,
                    type=OrderType.MARKET,
                    quantity=plan.quantity,
                    client_id=plan.entry.client_id,
                )
            )
            r.venue.place_order(sent[0])
            r.running.lanes["BTCUSDT"].nudge()
            await r.seconds(10)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert triggers(r)[-2:] == ["adopt OWN_POSITION_FOUND", "protect STOP_CONFIRMED"]


class TestASecondCopy:
    def test_an_order_of_another_copy_stops_all_entries(self, rehearse: Make) -> None:
        """R23."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: Rehearsal) -> None:
            await r.start()
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.BUY,
                    type=OrderType.LIMIT,
                    quantity=Decimal("0.01"),
                    price=Decimal(58000),
                    client_id=client_id("0badc0de", "BTCUSDT", 1, Leg.ENTRY, 0, 1),
                )
            )
            await r.seconds(70)
            assert r.running.shared.engine.account.halt.cause == "FOREIGN"

        r.run(script)
