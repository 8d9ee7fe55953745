"""R82: commands that were left while no bot ran, and commands that meet one another."""

from __future__ import annotations

from collections.abc import Callable

from exchange.client_ids import Leg
from exchange.sim.port_faults import Fault
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store.database import open_store
from store.inbox import Inbox
from tests.integration.scenarios.acting import answer, is_leg, post

Make = Callable[..., InProcessBot]
BTC, ETH = 60_000.0, 3_000.0
TOP = BTC * 1.01
FALLEN = (TOP, TOP, BTC * 0.998, BTC)
MINUTE_MS = 60_000


async def to_position(r: InProcessBot) -> None:
    await r.start()
    await r.hours(TO_SIGNAL + 0.1)
    assert r.running.workers["BTCUSDT"].record.state is State.PROTECTED


def left(r: InProcessBot, kind: str, symbol: str | None, minutes: float) -> int:
    """A command that somebody left so many minutes ago."""
    with open_store(r.db, mode="post") as store:
        return Inbox(store).post(kind, symbol, "test", r.venue.now_ms - int(minutes * MINUTE_MS))


def test_r82_old_commands_that_act_are_refused_and_those_that_stop_entries_are_kept(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 5)])

    async def script(r: InProcessBot) -> None:
        await to_position(r)
        await r.kill()
        await r.hours(1.1)
        numbers = {kind: left(r, kind, None, 60) for kind in ("flatten", "resume", "pause", "halt")}
        await r.start()
        await r.seconds(2)
        assert answer(r, numbers["flatten"]) == ("refused", "TOO_OLD")
        assert answer(r, numbers["resume"]) == ("refused", "TOO_OLD")
        assert answer(r, numbers["pause"]) == answer(r, numbers["halt"]) == ("done", None)
        assert r.running.workers["BTCUSDT"].record.state is State.PROTECTED
        assert r.running.live.engine.account.paused

    r.run(script)


def test_r82_a_fresh_flatten_that_waited_is_carried_out(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 5)])

    async def script(r: InProcessBot) -> None:
        await to_position(r)
        await r.kill()
        number = left(r, "flatten", "BTCUSDT", 5)
        await r.start()
        await r.seconds(5)
        assert answer(r, number) == ("done", None)
        assert r.venue.positions() == []

    r.run(script)


def test_r82_what_comes_while_a_bot_runs_is_young_whatever_its_stamp_says(rehearse: Make) -> None:
    """The stamp is of the clock of whoever left it, which may be days off."""
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 5)])

    async def script(r: InProcessBot) -> None:
        await to_position(r)
        numbers = [left(r, "flatten", "BTCUSDT", minutes) for minutes in (3 * 1440, -3 * 1440)]
        await r.seconds(5)
        assert [answer(r, number) for number in numbers] == [("done", None)] * 2
        assert r.venue.positions() == []

    r.run(script)


def test_r82_a_command_about_a_trade_is_not_carried_out_on_another_one(rehearse: Make) -> None:
    """The stop was hit while no bot ran: the flatten was meant for that trade, and must not halt the symbol."""
    r = rehearse(BTCUSDT=[jump(BTC), FALLEN, *quiet(BTC, 4)])

    async def script(r: InProcessBot) -> None:
        await to_position(r)
        await r.kill()
        await r.until(r.venue.now_ms + 2 * 3_600_000)
        assert r.venue.positions() == []
        number = left(r, "flatten", "BTCUSDT", 1)
        await r.start()
        await r.seconds(5)
        assert answer(r, number) == ("refused", "TRADE_OVER")
        assert r.running.workers["BTCUSDT"].record.halt is None

    r.run(script)


def test_r82_a_resume_does_not_overtake_the_flatten_before_it(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 5)])

    async def script(r: InProcessBot) -> None:
        await to_position(r)
        flatten, resume = post(r, "flatten"), post(r, "resume")
        await r.seconds(20)
        assert answer(r, flatten) == ("done", None)
        assert answer(r, resume) == ("done", None)
        assert r.venue.positions() == []
        assert r.running.workers["BTCUSDT"].record.state is State.IDLE
        assert r.running.live.engine.account.halt is None

    r.run(script)


def test_r82_a_resume_behind_a_flatten_that_does_not_get_through_is_refused_and_nothing_is_entered(
    rehearse: Make,
) -> None:
    """After 25 s the flatten is answered and goes on: what was sent before that let the other symbol enter."""
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 5)], ETHUSDT=[*quiet(ETH, 1), jump(ETH), *quiet(ETH * 1.01, 4)])

    async def script(r: InProcessBot) -> None:
        await to_position(r)
        r.faults = lambda call: Fault(refuse=-2022) if is_leg(call, Leg.CLOSE) else None
        flatten, resume = post(r, "flatten"), post(r, "resume")
        await r.seconds(40)
        assert answer(r, flatten) == ("refused", "NOT_FLAT_YET")
        assert answer(r, resume) == ("refused", "NOT_FLAT_YET")
        await r.hours(1.5)
        assert r.running.workers["ETHUSDT"].record.trade is None
        assert r.running.live.engine.account.halt is not None
        again = post(r, "resume")
        await r.seconds(2)
        assert answer(r, again) == ("refused", "PARTLY"), "now he knows, and the others may go on"
        assert r.running.live.engine.account.halt is None

    r.run(script)


def test_r82_a_command_can_be_withdrawn_until_a_bot_takes_it(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[*quiet(BTC, 5)])

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.kill()
        number, kept = left(r, "halt", None, 1), left(r, "pause", None, 1)
        with open_store(r.db, mode="post") as store:
            assert [row.id for row in Inbox(store).waiting()] == [number, kept]
            assert Inbox(store).cancel(number, r.venue.now_ms)
            assert not Inbox(store).cancel(number, r.venue.now_ms)
        await r.start()
        await r.seconds(2)
        assert answer(r, number) == ("refused", "CANCELLED")
        assert answer(r, kept) == ("done", None)
        assert r.running.live.engine.account.halt is None

    r.run(script)


def test_a_command_is_posted_taken_and_finished_on_one_clock(rehearse: Make) -> None:
    """The clock of whoever posts: a simulated exchange's can be years away from it."""
    r = rehearse(BTCUSDT=quiet(BTC, 3))

    async def script(r: InProcessBot) -> None:
        await r.start()
        with open_store(r.db, mode="post") as store:
            number = Inbox(store).post("pause", None, "cli", r.clock.wall_ms())
        await r.seconds(2)
        with open_store(r.db, mode="read") as store:
            row = Inbox(store).get(number)
        assert row is not None
        assert row.taken_ms is not None
        assert row.finished_ms is not None
        assert row.posted_ms <= row.taken_ms <= row.finished_ms <= row.posted_ms + 2_000

    r.run(script)
