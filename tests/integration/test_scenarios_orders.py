"""What goes wrong with orders, one scenario after the other: unknown outcomes, refusals, stops that vanish or lie."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg, client_id, parse
from exchange.sim.port import Call, Fault, Lost
from exchange.types import AlgoStatus, ConditionalType, OrderRequest, OrderType, Side, SymbolSnapshot
from fsm.core.records import State
from fsm.lab.rehearsal import DATABASE_ID, Rehearsal
from fsm.lab.small_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.verify import verify

Make = Callable[..., Rehearsal]
BTC = 60_000.0
TOP = BTC * 1.01
CALM = [jump(BTC), *quiet(TOP, 6)]
OPENED = ["signal jump LONG", "enter SETUP_READY", "fill FIRST_FILL", "protect STOP_CONFIRMED"]


def is_leg(call: Call, leg: Leg) -> bool:
    parts = parse(call.client_id)
    return parts is not None and parts.leg is leg


class Once:
    """A fault for the first call that meets a condition; counts how often it is met."""

    def __init__(self, condition: Callable[[Call], bool], fault: Fault, *, times: int = 1) -> None:
        self._condition = condition
        self._fault = fault
        self._times = times
        self.met = 0

    def __call__(self, call: Call) -> Fault | None:
        if not self._condition(call):
            return None
        self.met += 1
        return self._fault if self.met <= self._times else None


def entry(call: Call) -> bool:
    return call.method == "place_order" and is_leg(call, Leg.ENTRY)


def stop(call: Call) -> bool:
    return call.method == "place_algo" and is_leg(call, Leg.STOP)


async def to_trade(r: Rehearsal, faults: Callable[[Call], Fault | None] | None = None) -> None:
    await r.start()
    if faults is not None:
        r.faults = faults
    await r.hours(TO_SIGNAL + 0.5)


def record(r: Rehearsal, symbol: str = "BTCUSDT") -> Any:
    return r.running.shared.engine.record(symbol)


def resting_stops(r: Rehearsal, symbol: str = "BTCUSDT") -> list[str]:
    algos = r.venue.open_algos(symbol)
    return [algo.client_id for algo in algos if algo.type == ConditionalType.STOP_MARKET.value]


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
            return Fault(alter=_without_trace) if call.method == "look" and deaf else None

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


def _without_trace(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, position=None, orders=(), algo_orders=(), fills=())


class TestTheStop:
    def test_an_unheard_stop_is_sent_again_at_once_and_rests_once(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        faults = Once(stop, Fault(lost=Lost.ANSWER))

        async def script(r: Rehearsal) -> None:
            await to_trade(r, faults)
            assert len(resting_stops(r)) == 1

        r.run(script)
        assert triggers(r) == OPENED
        assert faults.met == 2

    def test_a_position_that_lags_its_fill_is_waited_for(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)
        r.run(lambda r: to_trade(r, Once(stop, Fault(refuse=-4509), times=3)))
        assert triggers(r) == OPENED

    def test_already_beyond_it_the_position_is_closed_at_market(self, rehearse: Make) -> None:
        """R4."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)
        r.run(lambda r: to_trade(r, Once(stop, Fault(refuse=-2021))))
        assert [triggers(r)[3], triggers(r)[-1]] == ["flatten STOP_WOULD_TRIGGER", "flat STOP_WOULD_TRIGGER"]
        assert r.venue.positions() == []

    def test_one_that_never_comes_to_rest_is_flattened_at_the_deadline(self, rehearse: Make) -> None:
        """R5."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        async def script(r: Rehearsal) -> None:
            await to_trade(r, lambda call: Fault(lost=Lost.REQUEST) if stop(call) else None)
            await r.seconds(15)
            assert record(r).state is State.IDLE

        r.run(script)
        assert "flatten PROTECTION_DEADLINE" in triggers(r)
        assert triggers(r)[-1] == "flat PROTECTION_DEADLINE"
        assert r.times.late == 1
        assert r.venue.positions() == []

    def test_a_call_that_hangs_does_not_hold_up_the_deadline(self, rehearse: Make) -> None:
        """R5."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        async def script(r: Rehearsal) -> None:
            await r.start()
            r.faults = Once(stop, Fault(delay_s=3_600), times=99)
            task_steps = len(r.steps)
            await r.hours(TO_SIGNAL + 0.5)
            assert len(r.steps) > task_steps

        r.run(script)
        assert "flatten PROTECTION_DEADLINE" in triggers(r)
        assert triggers(r)[-1] == "flat PROTECTION_DEADLINE"
        assert r.venue.positions() == []

    def test_one_that_rests_at_another_price_does_not_count(self, rehearse: Make) -> None:
        """R10: acknowledged and read back, or it is none."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        def elsewhere(algo: Any) -> Any:
            return replace(algo, trigger_price=Decimal(1))

        lies = {
            "open_algos": lambda algos: [elsewhere(algo) for algo in algos],
            "algo": lambda algo: algo and elsewhere(algo),
            "look": lambda seen: replace(seen, algo_orders=tuple(map(elsewhere, seen.algo_orders))),
        }
        faults = lambda call: Fault(alter=lies[call.method]) if call.method in lies else None  # noqa: E731
        r.run(lambda r: to_trade(r, faults))
        assert triggers(r)[3] == "flatten STOP_NOT_AS_ORDERED"

    def test_one_that_the_exchange_cancels_is_placed_again(self, rehearse: Make) -> None:
        """R12."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            r.venue.cancel_algo(client_id=resting_stops(r)[0])
            r.venue.drain()
            await r.seconds(6)
            assert len(resting_stops(r)) == 1
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert "reprotect VENUE_CANCELLED" in triggers(r)

    def test_forgotten_by_the_answers_it_is_not_placed_a_second_time(self, rehearse: Make) -> None:
        """R2: for half a minute nothing shows the stop, which rests all the time."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02, protection={"deadline_ms": 60_000})

        def forget(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            return replace(snapshot, algo_orders=())

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            r.faults = lambda call: Fault(alter=forget) if call.method == "look" else None
            await r.seconds(30)
            assert len(resting_stops(r)) == 1
            r.faults = lambda call: None
            await r.seconds(10)
            assert record(r).state is State.PROTECTED
            assert len(resting_stops(r)) == 1

        r.run(script)

    def test_while_it_moves_one_always_rests(self, rehearse: Make) -> None:
        """R3."""
        rise = [TOP * 1.007**hour for hour in range(5)]
        climb = [(low, high, low, high) for low, high in pairwise(rise)]
        hours = [jump(BTC), *quiet(TOP, 1), *climb, *quiet(rise[-1], 2)]
        r = rehearse(BTCUSDT=hours, latency_s=0.02)
        naked: list[Call] = []

        def look_at(call: Call) -> Fault | None:
            holds = any(position.quantity for position in r.venue.positions("BTCUSDT"))
            covered = r.daemon is not None and record(r).state is State.PROTECTED
            if holds and covered and not resting_stops(r):
                naked.append(call)
            return None

        async def script(r: Rehearsal) -> None:
            await to_trade(r, look_at)
            await r.hours(6)

        r.run(script)
        assert "restop STOP_MOVED" in triggers(r)
        assert naked == []

    def test_without_a_working_route_for_stops_there_is_no_entry(self, rehearse: Make) -> None:
        """R1."""
        r = rehearse(BTCUSDT=CALM)
        r.faults = lambda call: Fault(refuse=-4120) if call.method == "place_algo" else None
        r.run(to_trade)
        assert triggers(r) == []
        with open_store(r.db, mode="read") as store:
            account = queries.account(store)
        assert account is not None
        assert account.halt_cause == "PERMISSION"


class TestOtherHands:
    def test_a_position_closed_by_hand_ends_the_trade_with_its_real_price(self, rehearse: Make) -> None:
        """R30."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            (position,) = r.venue.positions()
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.SELL,
                    type=OrderType.MARKET,
                    quantity=position.quantity,
                    client_id="by-hand",
                    reduce_only=True,
                )
            )
            await r.seconds(6)
            assert record(r).state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "flat EXTERNAL_CLOSE"
        with open_store(r.db, mode="read") as store:
            (trade,) = queries.trades(store)
        assert trade.net_pnl == r.venue.account().wallet_balance - Decimal(10_000)

    def test_a_foreign_position_is_reported_and_left_alone(self, rehearse: Make) -> None:
        """R54, R29."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: Rehearsal) -> None:
            await r.start()
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"), client_id="mine"
                )
            )
            await r.seconds(70)
            assert record(r).quarantine.cause == "FOREIGN_POSITION"
            await r.hours(TO_SIGNAL + 1)
            assert [position.quantity for position in r.venue.positions()] == [Decimal("0.010")]

        r.run(script)
        assert triggers(r) == ["quarantine FOREIGN_POSITION"]

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

    def test_an_orphan_of_ours_is_cancelled(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            await r.hours(1)
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.SELL,
                    type=OrderType.LIMIT,
                    quantity=Decimal("0.01"),
                    price=Decimal(62000),
                    client_id=client_id(DATABASE_ID, "BTCUSDT", 1, Leg.CLOSE, 9, 1),
                    reduce_only=True,
                )
            )
            await r.seconds(70)
            assert r.venue.open_orders() == []

        r.run(script)
        assert "sweep STRAY_ORDERS" in triggers(r)


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

    def test_a_refused_target_leaves_the_stop_and_is_tried_again(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        def target(call: Call) -> bool:
            return call.method == "place_algo" and is_leg(call, Leg.TARGET)

        async def script(r: Rehearsal) -> None:
            await to_trade(r, Once(target, Fault(refuse=-1111)))
            await r.seconds(6)
            assert record(r).state is State.PROTECTED
            targets = [a for a in r.venue.open_algos() if a.type == ConditionalType.TAKE_PROFIT_MARKET.value]
            assert len(targets) == 2

        r.run(script)


class TestFaultsOfOurOwn:
    def test_an_exception_in_a_handler_quarantines_its_symbol_and_the_others_go_on(self, rehearse: Make) -> None:
        """R53."""
        eth = [(3000.0, 3031.5, 2997.0, 3030.0), *quiet(3030.0, 6)]
        r = rehearse(BTCUSDT=CALM, ETHUSDT=eth)

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            r.faults = lambda call: Fault(alter=_broken) if (call.method, call.symbol) == ("look", "BTCUSDT") else None
            await r.seconds(30)
            assert record(r).quarantine.cause.startswith("EXCEPTION")
            assert resting_stops(r)
            assert record(r, "ETHUSDT").quarantine is None
            r.faults = lambda call: None
            await r.seconds(30)
            assert r.is_alive

        r.run(script)
        assert verify(r.db).fine


def _broken(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    raise RuntimeError("an answer that breaks us")


def test_every_status_of_a_conditional_order_is_known_here() -> None:
    assert {status.value for status in AlgoStatus} >= {"NEW", "TRIGGERING", "TRIGGERED", "FINISHED", "REJECTED"}
