"""What a hand does beside the bot: positions closed, enlarged, turned, handed over (R70, R80)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.client_ids import Leg, parse
from exchange.sim.port_faults import Call, Fault
from exchange.types import Side
from fsm.core.model.events import Commanded
from fsm.core.model.policy import AfterExternalClose, MissingProtection
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.outbox import Outbox
from store.verify import verify
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    ETH,
    TOP,
    Make,
    Once,
    answer,
    by_hand,
    close,
    post,
    record,
    resting_stops,
    to_trade,
)

AGAIN = [jump(BTC), *quiet(TOP, 3), jump(TOP), *quiet(TOP * 1.01, 40), jump(TOP * 1.01), *quiet(TOP * 1.02, 4)]
"""A signal, another four hours later, and one that comes after a rest of a day."""


def told(r: InProcessBot, word: str) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store, limit=200) if word in row.text]


async def wished(r: InProcessBot, kind: str, symbol: str | None) -> tuple[str, str | None]:
    """Ask, wait as long as the command line does, and give what came of it."""
    number = post(r, kind, symbol)
    await r.seconds(30)
    return answer(r, number)


def signals(r: InProcessBot) -> int:
    return sum(row.startswith("signal") for row in triggers(r))


def proved(r: InProcessBot) -> None:
    assert replay(r.db).different == 0
    assert verify(r.db).fine


async def closed_by_hand(r: InProcessBot) -> None:
    await to_trade(r)
    (position,) = r.venue.positions()
    by_hand(r, Side.SELL, position.quantity)
    await r.seconds(10)
    assert record(r).state is State.IDLE


@pytest.mark.parametrize(
    ("after", "soon", "later"), [("rest", 1, 2), ("continue", 2, 2), ("quarantine", 1, 1)], ids=lambda value: str(value)
)
def test_r70_after_a_close_by_hand_the_symbol_does_what_config_says(
    rehearse: Make, after: str, soon: int, later: int
) -> None:
    """``soon`` and ``later``: how many signals there were half a day after the close, and two days after it."""
    r = rehearse(BTCUSDT=AGAIN, protection={"after_external_close": AfterExternalClose(after)})

    async def script(r: InProcessBot) -> None:
        await closed_by_hand(r)
        await r.hours(12)
        assert signals(r) == soon
        await r.hours(40)
        assert signals(r) == later

    r.run(script)


@pytest.mark.parametrize(("after", "soon", "later"), [("rest", 1, 2), ("continue", 2, 2), ("quarantine", 1, 1)])
def test_r70_after_its_stop_was_taken_away_and_the_bot_closed_it_is_the_same(
    rehearse: Make, after: str, soon: int, later: int
) -> None:
    protection = {"after_external_close": AfterExternalClose(after), "on_missing": MissingProtection.FLATTEN}
    r = rehearse(BTCUSDT=AGAIN, protection=protection)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        for algo in r.venue.open_algos("BTCUSDT"):
            if algo.type == "STOP_MARKET":
                r.venue.cancel_algo(client_id=algo.client_id)
        r.venue.drain()
        r.port.nudge("BTCUSDT")
        await r.seconds(60)
        assert record(r).state is State.IDLE
        await r.hours(12)
        assert signals(r) == soon
        await r.hours(40)
        assert signals(r) == later

    r.run(script)
    assert any(row.startswith("flatten PROTECTION_MISSING") for row in triggers(r))


def test_r70_a_stop_of_ours_that_was_hit_is_no_hand(rehearse: Make) -> None:
    fall = (TOP, TOP, BTC * 0.998, TOP)
    r = rehearse(BTCUSDT=[jump(BTC), fall, *quiet(TOP, 2), jump(TOP), *quiet(TOP * 1.01, 4)])

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 7)

    r.run(script)
    assert sum(row.startswith("signal") for row in triggers(r)) == 2


def test_r80_a_position_that_a_hand_enlarged_is_told_with_all_that_matters_and_keeps_its_stop(rehearse: Make) -> None:
    """Ours is closed, the rest is somebody else's: our stop, which covers it too, stays as long as it is open."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        by_hand(r, Side.BUY, Decimal("0.020"), client_id="web_1")
        await r.seconds(120)
        assert record(r).state is State.IDLE
        assert [position.quantity for position in r.venue.positions()] == [Decimal("0.020")]
        assert len(resting_stops(r)) == 1, "the rest is not left naked by us"
        portfolio = r.running.live.engine.portfolio()
        assert portfolio.open_positions == 1, "it counts in every cap"
        assert portfolio.exposure > 1_000
        assert portfolio.open_risk > 0
        assert await wished(r, "resume", "BTCUSDT") == ("refused", "FOREIGN_POSITION")
        by_hand(r, Side.SELL, Decimal("0.020"), client_id="web_2")
        await r.seconds(60)
        assert resting_stops(r) == []
        assert r.running.live.engine.portfolio().open_positions == 0
        assert await wished(r, "resume", "BTCUSDT") == ("done", None)

    r.run(script)
    [text] = told(r, "is open that is not this bot's")
    for part in ("LONG 0.020", "a stop at", "`release BTCUSDT`", "`flatten BTCUSDT`"):
        assert part in text
    assert told(r, "is closed; `resume BTCUSDT`")
    proved(r)


@pytest.mark.parametrize("late_s", [2.5, 4.9])
def test_r16_r80_a_close_that_arrives_late_takes_nothing_of_what_a_hand_added(rehearse: Make, late_s: float) -> None:
    """A request may be accepted until its time window is over; before that a second close could take the hand's."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        r.faults = Once(close, Fault(late_s=late_s))
        by_hand(r, Side.BUY, Decimal("0.020"), client_id="web_1")
        await r.seconds(120)
        assert record(r).state is State.IDLE
        assert [position.quantity for position in r.venue.positions()] == [Decimal("0.020")]

    r.run(script)
    proved(r)


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(
    ("risk", "guard"),
    [
        ({"max_open_positions": 1}, "MAX_OPEN_POSITIONS"),
        ({"max_open_risk_pct": Decimal("0.6")}, "MAX_OPEN_RISK"),
    ],
)
def test_r80_what_is_not_ours_counts_in_every_cap_also_once_it_is_released(
    rehearse: Make, risk: dict[str, object], guard: str, released: bool
) -> None:
    """A hand's position of 3,600 USDT in one symbol keeps the other from entering."""
    r = rehearse(BTCUSDT=quiet(BTC, 6), ETHUSDT=ETH, risk=risk)

    async def script(r: InProcessBot) -> None:
        await r.start()
        by_hand(r, Side.BUY, Decimal("0.060"), client_id="mine")
        await r.seconds(120)
        if released:
            assert await wished(r, "release", "BTCUSDT") == ("done", None)
        await r.hours(TO_SIGNAL + 2)
        assert record(r, "ETHUSDT").trade is None

    r.run(script)
    with open_store(r.db, mode="read") as store:
        reasons = [reason for (reason,) in store.connection.execute("SELECT reason FROM decisions")]
    assert guard in reasons


def test_r80_a_position_that_a_hand_turned_is_told_to_have_no_stop(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        (position,) = r.venue.positions()
        by_hand(r, Side.SELL, position.quantity + Decimal("0.030"), client_id="web_1")
        await r.seconds(120)
        assert [each.quantity for each in r.venue.positions()] == [Decimal("-0.030")], "it is not touched"

    r.run(script)
    [text] = told(r, "is open that is not this bot's")
    assert "SHORT 0.030" in text
    assert "NO STOP covers it" in text
    proved(r)


def test_r80_a_position_that_a_hand_turned_is_named_within_the_deadline(rehearse: Make) -> None:
    """It is not the bot's to protect or to close, so whoever turned it must hear of it as soon as a stop would rest."""
    r = rehearse(BTCUSDT=CALM, latency_s=0.05)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        (position,) = r.venue.positions()
        by_hand(r, Side.SELL, 2 * position.quantity)
        await r.seconds(5)
        [text] = told(r, "NO STOP covers it")
        assert f"SHORT {position.quantity}" in text
        await r.seconds(60)
        assert [p.quantity for p in r.venue.positions()] == [-position.quantity], "and it is left alone"

    r.run(script)
    assert len(told(r, "NO STOP covers it")) == 1
    proved(r)


@pytest.mark.parametrize("after_s", [0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
def test_r80_what_a_hand_does_next_puts_no_look_off(rehearse: Make, after_s: float) -> None:
    """Each order of a hand asks for a look, which pushed the next timed one back and doubled its pause: two seconds
    after the last of them it is certain that what is seen stays so."""
    r = rehearse(BTCUSDT=CALM, latency_s=0.05)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        (position,) = r.venue.positions()
        by_hand(r, Side.SELL, 2 * position.quantity, client_id="web_1")
        await r.seconds(after_s)
        by_hand(r, Side.SELL, Decimal("0.001"), client_id="web_2")
        await r.seconds(3)
        assert told(r, "NO STOP covers it")

    r.run(script)


@pytest.mark.parametrize("turned", [False, True])
def test_r80_a_hand_that_never_rests_is_named_all_the_same(rehearse: Make, turned: bool) -> None:
    """How large somebody's position is changes each second: that there is one does not."""
    r = rehearse(BTCUSDT=CALM, latency_s=0.05)

    async def script(r: InProcessBot) -> None:
        if turned:
            await to_trade(r)
            (position,) = r.venue.positions()
            by_hand(r, Side.SELL, 2 * position.quantity, client_id="web_0")
        else:
            await r.start()
        for number in range(1, 11 if turned else 100):  # where nothing of ours is, the lists of each minute tell of it
            by_hand(r, Side.SELL, Decimal("0.001"), client_id=f"web_{number}")
            await r.seconds(0.7)
        [text] = told(r, "NO STOP covers it")
        assert "SHORT" in text

    r.run(script)
    proved(r)


@pytest.mark.parametrize("cancel_stop", [False, True])
def test_a_position_that_is_released_is_the_users_until_it_is_flat(rehearse: Make, cancel_stop: bool) -> None:
    r = rehearse(BTCUSDT=AGAIN)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        (before,) = r.venue.positions()
        kind = "release cancel-stop" if cancel_stop else "release"
        assert await wished(r, kind, "BTCUSDT") == ("done", None)
        await r.seconds(60)
        assert record(r).state is State.IDLE
        assert record(r).trade is None
        assert len(resting_stops(r)) == (0 if cancel_stop else 1)
        await r.hours(8)
        assert [position.quantity for position in r.venue.positions()] == [before.quantity], "it is not touched"
        await r.restart()
        await r.seconds(60)
        assert [position.quantity for position in r.venue.positions()] == [before.quantity], (
            "nor adopted by a new start"
        )
        assert record(r).trade is None
        by_hand(r, Side.SELL, before.quantity)
        await r.seconds(90)
        assert (record(r).released, record(r).foreign, record(r).quarantine) == (None, None, None)
        assert resting_stops(r) == []

    r.run(script)
    with open_store(r.db, mode="read") as store:
        trade = queries.trades(store)[-1]
    assert (trade.exit_reason, trade.flagged) == ("RELEASED", "RELEASED")
    assert [row for row in triggers(r) if row.startswith("release")] == ["release RELEASED", "release FOREIGN_GONE"]
    assert sum(row.startswith("signal") for row in triggers(r)) == 1
    proved(r)


def test_no_target_leaves_for_a_position_that_was_released_while_its_targets_were_being_placed(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)
    asked: list[str] = []

    def released_at_the_first_target(call: Call) -> Fault | None:
        parts = parse(call.client_id)
        if call.method != "place_algo" or parts is None or parts.leg is not Leg.TARGET:
            return None
        asked.append(call.client_id)
        if len(asked) == 1:
            post(r, "release", "BTCUSDT")
        return Fault(answer_delay_s=0.7)

    async def script(r: InProcessBot) -> None:
        await to_trade(r, released_at_the_first_target)
        assert [row for row in triggers(r) if row.startswith("release")] == ["release RELEASED"]
        assert len(asked) == 1
        assert [algo.type for algo in r.venue.open_algos("BTCUSDT")] == ["STOP_MARKET"]

    r.run(script)
    proved(r)


def test_no_close_leaves_for_a_position_that_was_released_before_it_could(rehearse: Make) -> None:
    """Flatten waits behind what is under way, and the operator thinks better of it in that moment."""
    r = rehearse(BTCUSDT=CALM)
    asked: list[str] = []

    def flattened_and_released_at_the_first_target(call: Call) -> Fault | None:
        parts = parse(call.client_id)
        if parts is not None and parts.leg is Leg.CLOSE:
            asked.append(call.client_id)
        if call.method != "place_algo" or parts is None or parts.leg is not Leg.TARGET:
            return None
        for command in ("flatten", "release"):
            event = Commanded(symbol="BTCUSDT", at_ms=r.clock.now_ms(), command=command, cause="OPERATOR")
            r.running.workers["BTCUSDT"].handle(event)
        return None

    async def script(r: InProcessBot) -> None:
        await to_trade(r, flattened_and_released_at_the_first_target)
        (before,) = r.venue.positions()
        assert [row for row in triggers(r) if row.startswith(("flatten", "release"))] == [
            "flatten OPERATOR",
            "release RELEASED",
        ]
        assert asked == []
        await r.restart()
        await r.seconds(60)
        assert asked == [], "nor by the next process"
        assert [position.quantity for position in r.venue.positions()] == [before.quantity]
        assert len(resting_stops(r)) == 1

    r.run(script)
    proved(r)


@pytest.mark.parametrize("dies", [False, True])
def test_a_close_that_waits_for_its_turn_is_withdrawn_from_a_position_that_is_released(
    rehearse: Make, dies: bool
) -> None:
    """As behind a pause of the exchange. ``dies``: the process is killed before it can write that down."""
    r = rehearse(BTCUSDT=CALM)
    asked: list[str] = []

    def waits(call: Call) -> Fault | None:
        parts = parse(call.client_id)
        if parts is None or parts.leg is not Leg.CLOSE:
            return None
        asked.append(call.client_id)
        return Fault(turn_s=60.0)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        (before,) = r.venue.positions()
        r.faults = waits
        for command in ("flatten", "release"):
            await r.clock.sleep(1)
            event = Commanded(symbol="BTCUSDT", at_ms=r.clock.now_ms(), command=command, cause="OPERATOR")
            r.running.workers["BTCUSDT"].handle(event)
        if dies:
            await r.kill()
            await r.start()
        await r.seconds(120)
        assert len(asked) == 1
        assert [position.quantity for position in r.venue.positions()] == [before.quantity]
        assert len(resting_stops(r)) == 1
        assert [record(r).state, record(r).trade] == [State.HALT, None]

    r.run(script)
    with open_store(r.db, mode="read") as store:
        assert list(Outbox(store).pending()) == []
    proved(r)


def test_what_is_not_open_cannot_be_released(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        assert await wished(r, "release", "BTCUSDT") == ("refused", "NOTHING_OPEN")
        assert await wished(r, "release", None) == ("refused", "SYMBOL")

    r.run(script)


def test_somebody_elses_position_can_be_released_and_then_does_not_alarm(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        by_hand(r, Side.BUY, Decimal("0.010"), client_id="mine")
        await r.seconds(120)
        assert record(r).quarantine.cause == "FOREIGN_POSITION"
        assert await wished(r, "release", "BTCUSDT") == ("done", None)
        assert record(r).quarantine is None
        await r.hours(TO_SIGNAL + 2)
        assert [position.quantity for position in r.venue.positions()] == [Decimal("0.010")]

    r.run(script)
    assert not [row for row in triggers(r) if row.startswith("signal")]
    proved(r)


@pytest.mark.parametrize("released", [False, True])
def test_r80_somebody_elses_position_that_goes_while_no_bot_runs_is_not_remembered(
    rehearse: Make, released: bool
) -> None:
    """No event tells of it and no list shows it: that it is missing there is what the next start goes by."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        by_hand(r, Side.BUY, Decimal("0.010"), client_id="mine")
        await r.seconds(120)
        if released:
            assert await wished(r, "release", "BTCUSDT") == ("done", None)
        assert record(r).foreign is not None
        await r.kill()
        by_hand(r, Side.SELL, Decimal("0.010"), client_id="mine-2")
        await r.start()
        await r.seconds(90)
        assert (record(r).foreign, record(r).released) == (None, None)
        assert r.running.live.engine.portfolio().open_positions == 0

    r.run(script)
    proved(r)
