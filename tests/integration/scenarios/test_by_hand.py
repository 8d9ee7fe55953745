"""By hand, through the bot: reduce, move-stop and move-target in the running daemon, with faults and deaths."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.client_ids import Leg
from exchange.sim.port_faults import Fault, Lost
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import triggers
from store.database import open_store
from store.inbox import Inbox
from store.verify import verify
from tests.effort import sampled
from tests.integration.scenarios.acting import (
    CALM,
    STOPPED,
    Make,
    Once,
    answer,
    close,
    is_leg,
    post,
    record,
    resting_stops,
    to_trade,
)


async def wished(r: InProcessBot, line: str, symbol: str | None = "BTCUSDT") -> tuple[str, str | None, str]:
    """Ask, wait as long as the command line does, and give what came of it."""
    number = post(r, line, symbol)
    await r.seconds(30)
    with open_store(r.db, mode="read") as store:
        found = Inbox(store).get(number)
    assert found is not None
    return found.state, found.guard, found.detail or ""


def proved(r: InProcessBot) -> None:
    assert replay(r.db).different == 0
    assert verify(r.db).fine


def test_each_is_carried_out_and_answered_with_what_the_exchange_shows(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        held = record(r).trade.open_quantity
        stop = record(r).trade.stop.trigger_price
        state, guard, told = await wished(r, "reduce 25%")
        assert (state, guard) == ("done", None)
        left = record(r).trade.open_quantity
        assert r.venue.positions()[0].quantity == left
        assert f"closed {(held - left).normalize():f}: BTCUSDT LONG {left.normalize():f}, stop at" in told
        assert Decimal("0.24") < (held - left) / held <= Decimal("0.25")
        state, guard, told = await wished(r, f"move-stop {stop + 60}")
        assert (state, guard) == ("done", None)
        assert f"stop at {(stop + 60).normalize():f}" in told
        assert [algo.trigger_price for algo in r.venue.open_algos("BTCUSDT") if algo.client_id in resting_stops(r)] == [
            stop + 60
        ]
        state, guard, told = await wished(r, f"move-stop {stop + 30}")
        assert (state, guard) == ("refused", "LOOSER")
        assert "--looser and a --reason" in told
        assert (await wished(r, f"move-stop {stop + 30} looser: the low of the week"))[:2] == ("done", None)
        last = record(r).trade.targets[-1]
        assert (await wished(r, f"move-target {last.trigger_price + 50} {last.index + 1}"))[:2] == ("done", None)
        assert record(r).trade.targets[-1].trigger_price == last.trigger_price + 50
        assert len(resting_stops(r)) == 1

    r.run(script)
    proved(r)
    rows = [row for row in triggers(r) if "HAND" in row]
    assert rows == [
        "reduce REDUCED_BY_HAND",
        "restop STOP_MOVED_BY_HAND",
        "restop STOP_LOOSENED_BY_HAND",
        "restop TARGET_MOVED_BY_HAND",
    ]


@pytest.mark.parametrize("line", ["reduce 25%", "move-stop 60000", "move-target 63000 2"])
def test_where_nothing_is_open_it_is_refused_in_words(rehearse: Make, line: str) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(1)
        assert await wished(r, line) == ("refused", "NOTHING_OPEN", "this bot holds nothing in BTCUSDT")
        assert (await wished(r, line, "NOPEUSDT"))[:2] == ("refused", "SYMBOL")
        assert (await wished(r, line, None))[:2] == ("refused", "SYMBOL")
        assert (await wished(r, "reduce all of it"))[:2] == ("refused", "COMMAND")

    r.run(script)


def test_a_stop_that_the_exchange_refuses_to_move_stays_and_that_is_the_answer(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        bridge = Once(
            lambda call: call.method == "place_algo" and is_leg(call, Leg.BRIDGE),
            Fault(refuse=-4045),
        )
        await to_trade(r, bridge)
        stop = record(r).trade.stop.trigger_price
        state, guard, told = await wished(r, f"move-stop {stop + 60}")
        assert (state, guard) == ("refused", "STOP_MOVE_REFUSED")
        assert f"stop at {stop.normalize():f}" in told
        assert len(resting_stops(r)) == 1

    r.run(script)
    proved(r)


def test_without_a_price_no_stop_is_moved(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        stop = record(r).trade.stop.trigger_price
        r.faults = lambda call: Fault(delay_s=20.0) if call.method == "mark_price" else None
        assert (await wished(r, f"move-stop {stop + 60}"))[:2] == ("refused", "NO_PRICE")
        assert record(r).trade.stop.trigger_price == stop

    r.run(script)


def test_a_part_that_is_refused_is_said_to_be_and_not_tried_again(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        part = Once(close, Fault(refuse=-2022))
        await to_trade(r, part)
        held = record(r).trade.open_quantity
        assert (await wished(r, "reduce 50%"))[:2] == ("refused", "NOT_CLOSED")
        assert (record(r).trade.open_quantity, part.met) == (held, 1)

    r.run(script)
    proved(r)


def test_a_part_whose_order_is_lost_is_never_sent_twice(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        part = Once(close, Fault(lost=Lost.REQUEST))
        await to_trade(r, part)
        held = record(r).trade.open_quantity
        assert (await wished(r, "reduce 50%"))[:2] == ("refused", "NOT_KNOWN_YET")
        await r.seconds(120)
        assert (record(r).trade.part, record(r).trade.open_quantity, part.met) == (None, held, 1)
        assert (await wished(r, "reduce 50%"))[:2] == ("done", None)

    r.run(script)
    assert "reprotect REDUCE_NOT_FOUND" in triggers(r)
    proved(r)


@pytest.mark.parametrize("after_s", sampled([0.0, 0.05, 0.1, 0.3, 1.0], often=2))
@pytest.mark.parametrize(
    "line", ["reduce 50%", "move-stop {tighter}", "move-stop {looser} looser: room", "move-target {further} 2"]
)
def test_a_death_at_any_moment_leaves_it_done_once_and_covered(rehearse: Make, line: str, after_s: float) -> None:
    """The command was taken, and the process dies: the next one carries it out again, which changes nothing more."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        trade = record(r).trade
        held, stop, last = trade.open_quantity, trade.stop.trigger_price, trade.targets[-1].trigger_price
        asked = line.format(tighter=stop + 60, looser=stop - 60, further=last + 50)
        number = post(r, asked, "BTCUSDT")
        await r.seconds(0.25 + after_s)
        await r.kill()
        assert len(resting_stops(r)) >= 1
        await r.start()
        await r.seconds(120)
        assert answer(r, number)[0] == "done"
        trade = record(r).trade
        assert record(r).state is State.PROTECTED
        assert trade.open_quantity == r.venue.positions()[0].quantity
        assert len(resting_stops(r)) == 1
        if asked.startswith("reduce"):
            assert held / 2 - Decimal("0.002") < trade.open_quantity <= held / 2 + Decimal("0.002")
        elif asked.startswith("move-stop"):
            assert trade.stop.trigger_price == Decimal(asked.split()[1])
        else:
            assert trade.targets[-1].trigger_price == last + 50

    r.run(script)
    proved(r)


def test_the_trade_that_is_left_is_booked_as_one(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        assert (await wished(r, "reduce 50%"))[:2] == ("done", None)
        await r.hours(4)
        assert record(r).state is State.IDLE

    r.run(script)
    assert "exit STOP_HIT" in triggers(r)
    proved(r)
