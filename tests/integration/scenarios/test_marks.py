"""Marks by which bots on copies of one database know each other: deaths beside them, and positions of others (R23)."""

from __future__ import annotations

import asyncio

import pytest

from exchange.client_ids import Leg, client_id, parse
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import Side
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.live.process.presence import KIND, PAUSES_S, Presence
from fsm.live.trading.selftest import Readiness, self_test
from fsm.proofs.testkit.in_process_bot import DATABASE_ID, InProcessBot
from fsm.proofs.testkit.scripted_market import quiet
from store import queries
from store.verify import verify
from tests.integration.scenarios.acting import BTC, CALM, ETH, Make, by_hand, no_fault, record, to_trade


def presence(r: InProcessBot) -> Presence:
    return Presence(r.running.live, r.running.reconciler, r.running.say, run_id="a run")


def resting(r: InProcessBot, symbol: str = "BTCUSDT") -> list[str]:
    found = [(algo.client_id, parse(algo.client_id)) for algo in r.venue.state.algos.open(symbol)]
    return [name for name, parts in found if parts is not None and parts.leg is Leg.PROBE]


def cancels_are_lost(call: Call) -> Fault | None:
    return Fault(lost=Lost.REQUEST) if call.method == "cancel_algo" else None


async def left_behind(r: InProcessBot) -> None:
    """A process died after its mark had come to rest and before it was cancelled."""
    r.faults = cancels_are_lost
    await presence(r)._place_mark()
    assert len(resting(r)) == 1
    await r.kill()
    r.faults = no_fault


def answers_are_late(call: Call) -> Fault | None:
    return Fault(answer_delay_s=3.0) if call.method in ("place_algo", "algo") else None


def proved(r: InProcessBot) -> None:
    assert verify(r.db).fine
    assert replay(r.db).differences == ()


def test_one_that_a_death_left_behind_is_swept_by_the_next_start(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await left_behind(r)
        await r.start()
        await r.seconds(30)
        assert resting(r) == []

    r.run(script)
    proved(r)


def test_one_that_a_death_left_behind_in_a_trade_is_swept_and_the_stop_stays(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        await left_behind(r)
        await r.start()
        await r.seconds(30)
        assert resting(r) == []
        assert record(r).state is State.PROTECTED
        assert r.times.late == 0

    r.run(script)
    proved(r)


def test_one_that_was_left_behind_does_not_stay_beside_a_position_of_another_hand(rehearse: Make) -> None:
    """It would close a little of it, should the market ever go that far."""
    r = rehearse(BTCUSDT=quiet(BTC, 6))

    async def script(r: InProcessBot) -> None:
        await r.start()
        await left_behind(r)
        by_hand(r, Side.BUY, r.venue.state.filters["BTCUSDT"].market_quantity_min * 10)
        await r.start()
        await r.seconds(60)
        assert resting(r) == []
        (position,) = r.venue.positions()
        assert position.quantity == r.venue.state.filters["BTCUSDT"].market_quantity_min * 10

    r.run(script)
    proved(r)


def test_none_is_placed_beside_a_position_of_another_hand(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=quiet(BTC, 6), ETHUSDT=ETH)

    async def script(r: InProcessBot) -> None:
        by_hand(r, Side.BUY, r.venue.state.filters["BTCUSDT"].market_quantity_min * 10)
        await r.start()
        await r.seconds(60)
        assert record(r).foreign is not None
        r.faults = cancels_are_lost
        await presence(r)._place_mark()
        assert (resting(r), len(resting(r, "ETHUSDT"))) == ([], 1)

    r.run(script)
    proved(r)


def test_none_is_placed_beside_a_position_that_no_look_has_named_yet(rehearse: Make) -> None:
    """A hand opened it, or turned the bot's own round, a moment before the mark."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.seconds(60)
        r.faults = cancels_are_lost
        by_hand(r, Side.BUY, r.venue.state.filters["BTCUSDT"].market_quantity_min * 10)
        await presence(r)._place_mark()
        assert resting(r) == []

    async def turned(r: InProcessBot) -> None:
        await to_trade(r)
        r.faults = cancels_are_lost
        by_hand(r, Side.SELL, abs(r.venue.state.holding("BTCUSDT").quantity) * 2)
        await presence(r)._place_mark()
        assert resting(r) == []

    r.run(script)
    proved(r)
    again = rehearse(BTCUSDT=CALM, db=r.db.with_name("turned.sqlite"))
    again.run(turned)
    proved(again)


def test_one_that_had_to_wait_is_placed_as_soon_as_what_is_open_is_known(rehearse: Make) -> None:
    """It was left out for good, as while an entry of the bot's own filled."""
    r = rehearse(BTCUSDT=CALM)
    lot = r.venue.state.filters["BTCUSDT"].market_quantity_min * 10

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.seconds(60)
        by_hand(r, Side.BUY, lot)
        marks = asyncio.create_task(presence(r)._place_marks())
        await r.seconds(1.5)
        by_hand(r, Side.SELL, lot)
        await r.seconds(30)
        await marks
        placed = [row for row in queries.system_events(r.running.live.journal.store, limit=50) if row.kind == KIND]
        assert len(placed) == len(PAUSES_S)

    r.run(script)
    proved(r)


def test_late_word_of_a_mark_of_an_earlier_run_halts_nobody_and_that_of_a_copy_does(rehearse: Make) -> None:
    """R78, R23: the stream may tell late, and twice; the journal knows which marks are its own."""
    r = rehearse(BTCUSDT=quiet(BTC, 6))

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = cancels_are_lost
        await presence(r)._place_mark()
        (mark,) = resting(r)
        await r.kill()
        r.faults = no_fault
        await r.start()
        now = Presence(r.running.live, r.running.reconciler, r.running.say, run_id="a later run")
        now.heard(mark)
        now.heard(mark)
        assert r.running.live.engine.account.halt is None
        number = parse(mark)
        assert number is not None
        now.heard(client_id(DATABASE_ID, "BTCUSDT", 0, Leg.PROBE, number.index, number.attempt + 100))
        halt = r.running.live.engine.account.halt
        assert halt is not None
        assert halt.cause == "FOREIGN"

    r.run(script)
    proved(r)


@pytest.mark.parametrize("in_trade", [False, True])
def test_looks_leave_a_mark_alone_that_is_just_being_placed(rehearse: Make, in_trade: bool) -> None:
    """The stream tells of it before its answer comes. Swept, it read like orders that a trade had left behind."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await (to_trade(r) if in_trade else r.start())
        await r.seconds(10)
        count = len(r.steps)
        r.faults = answers_are_late
        placing = asyncio.create_task(presence(r)._place_mark())
        for _ in range(5):
            r.running.workers["BTCUSDT"].request_check()
            await r.seconds(0.5)
        assert len(resting(r)) == 1
        r.faults = lambda call: Fault(answer_delay_s=4.0) if call.method == "look" else answers_are_late(call)
        r.running.workers["BTCUSDT"].request_check()  # this one is answered after the mark is gone
        await placing
        await r.seconds(10)
        assert resting(r) == []
        assert [step.trigger for step in r.steps[count:]] == []

    r.run(script)
    proved(r)


def test_looks_leave_the_order_alone_that_proves_stops(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        count = len(r.steps)
        r.faults = answers_are_late
        trying = asyncio.create_task(self_test(r.running.live, "BTCUSDT"))
        for _ in range(10):
            r.running.workers["BTCUSDT"].request_check()
            await r.seconds(0.5)
        assert (await trying)[0] is Readiness.PROVED
        assert resting(r) == []
        assert [step.trigger for step in r.steps[count:]] == []

    r.run(script)
    proved(r)
