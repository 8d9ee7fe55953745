"""Positions and their stops (R1 to R15): refused, forgotten, moved, triggered in vain, too near to liquidation."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.sim.port import Call, Fault, Lost
from exchange.types import ConditionalType, SymbolSnapshot
from fsm.core.records import State
from fsm.lab.rehearsal import Rehearsal
from fsm.lab.small_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    OPENED,
    STOPPED,
    TOP,
    Make,
    Once,
    answer,
    is_leg,
    post,
    record,
    resting_stops,
    stop,
    to_trade,
)


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


class TestTargets:
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


class TestFlatten:
    def test_flatten_answers_done_only_when_flat_and_ends_in_halt(self, rehearse: Make) -> None:
        """R14, R34: it closes with targets resting, and nothing re-enters."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            number = post(r, "flatten")
            await r.seconds(3)
            assert answer(r, number) == ("done", None)
            assert r.venue.positions() == []
            assert r.venue.open_algos() == []
            assert r.running.shared.engine.record("BTCUSDT").state is State.HALT

        r.run(script)
        assert "flatten OPERATOR" in triggers(r)
        assert triggers(r)[-1] == "flat OPERATOR"
