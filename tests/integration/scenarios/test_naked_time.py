"""How long a position stands without a stop at the exchange, whatever the route does meanwhile (R57, R58, R84)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest
from msgspec.structs import replace

from exchange.events import TradeTold
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import AlgoOrder, SymbolSnapshot
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from fsm.proofs.testkit.virtual_time import VirtualLoop
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    ETH,
    OPENED,
    TOP,
    Make,
    close,
    entry,
    record,
    resting_stops,
    stop,
    to_trade,
)
from tests.integration.scenarios.naked import READS, Menu, Witness, lost

LATENCY_S = 0.05
DEADLINE_S = 5.0


def nth(condition: Callable[[Call], bool], *numbers: int) -> Callable[[Call], bool]:
    """The so-manieth call of a kind."""
    met = 0

    def asked(call: Call) -> bool:
        nonlocal met
        if not condition(call):
            return False
        met += 1
        return met in numbers

    return asked


async def until(condition: Callable[[], object]) -> None:
    """Wait on the loop's clock, which takes no time."""
    while not condition():  # noqa: ASYNC110 - nobody tells of what happens at the exchange
        await asyncio.sleep(0.005)


def played(r: InProcessBot, menu: Menu, *, seconds: float = 20.0) -> Witness:
    """A trade is opened under these faults; what stood uncovered, and for how long."""

    async def script(r: InProcessBot) -> Witness:
        await r.start()
        witness, r.faults = Witness.of(r), menu
        await r.hours(TO_SIGNAL + 0.5)
        await r.seconds(seconds)
        return witness

    return r.run(script)


class TestTheDeadlineHurriesAndUndoesNothing:
    """R57."""

    def test_r57_a_close_does_not_wait_for_reads_that_are_late(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        witness = played(r, Menu().add(stop, Fault(refuse=-2021)).late_reads(1.5))
        assert witness.endings == ["flat"]
        assert witness.worst_s < 0.3
        assert triggers(r)[-1] == "flat STOP_WOULD_TRIGGER"

    def test_r57_a_close_that_is_on_its_way_when_the_deadline_passes_is_left_alone(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu = Menu().add(stop, Fault(refuse=-2021)).add(close, Fault(delay_s=5.5)).late_reads(0.3)
        witness = played(r, menu)
        assert witness.endings == ["flat"]
        assert witness.worst_s < 6.0
        assert [name for name in triggers(r) if "DEADLINE" in name] == []

    def test_r57_after_the_deadline_the_close_leaves_before_everything_else(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu = Menu().add(stop, lost()).late_reads(2.0)
        witness = played(r, menu)
        assert witness.endings == ["flat"]
        assert witness.worst_s < DEADLINE_S + 0.3
        closing_s = next(at_s for at_s, call in menu.calls if close(call))
        cancels = [call for at_s, call in menu.calls if call.method == "cancel_algo" and at_s < closing_s]
        assert cancels == []

    def test_r57_a_close_whose_answer_hangs_is_looked_for_and_not_waited_for(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu = Menu().add(stop, Fault(refuse=-2021)).add(nth(close, 1), Fault(delay_s=60.0))
        witness = played(r, menu)
        assert witness.endings == ["flat"]
        assert witness.worst_s < 4.0

    def test_r57_several_positions_are_closed_side_by_side(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH, latency_s=LATENCY_S)
        witness = played(r, Menu().add(stop, Fault(refuse=-2021)).late_reads(2.0))
        assert witness.endings == ["flat", "flat"]
        assert witness.worst_s < 0.3


class TestAnyWordOfAFill:
    """R58."""

    @staticmethod
    def told_by_the_stream(r: InProcessBot, menu: Menu) -> Menu:
        def asked(call: Call) -> bool:
            if entry(call):
                asyncio.get_running_loop().call_later(0.1, lambda: r.running.workers[call.symbol].request_check())
            return False

        menu.rules.insert(0, (asked, Fault(), 0.0))
        return menu

    def test_r58_the_stream_tells_of_a_fill_whose_answer_hangs(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu = self.told_by_the_stream(r, Menu().add(entry, Fault(answer_delay_s=8.0)))
        witness = played(r, menu)
        assert witness.endings == ["stop"]
        assert witness.worst_s < 0.5
        assert triggers(r) == OPENED

    def test_r58_without_a_word_of_it_an_unanswered_entry_is_looked_for_from_a_second_on(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        witness = played(r, Menu().add(entry, Fault(answer_delay_s=8.0)))
        assert witness.endings == ["stop"]
        assert witness.worst_s < 1.3
        assert triggers(r) == OPENED

    def test_r58_the_streams_word_is_enough_where_no_answer_comes_in_time(self, rehearse: Make) -> None:
        """Every answer is late, also those to looks; nothing but the stream tells of the fill, and it tells twice."""
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu, entered = Menu(), list[Call]()

        def asked(call: Call) -> bool:
            if entry(call):
                entered.append(call)
                hearing = r.running.listener
                told = TradeTold(symbol=call.symbol, client_id=call.client_id, order_id=1, fill_id=1, time_ms=0)
                for after_s in (0.1, 0.2):
                    asyncio.get_running_loop().call_later(after_s, hearing.hear, told)
            return False

        menu.rules.insert(0, (asked, Fault(), 0.0))
        menu.add(entry, Fault(answer_delay_s=6.0))
        menu.add(lambda call: call.method in READS and bool(entered), Fault(answer_delay_s=2.0))
        witness = played(r, menu, seconds=30.0)
        assert witness.endings == ["stop"]
        assert witness.worst_s < 0.2
        assert len([call for _, call in menu.calls if stop(call) and call.method == "place_algo"]) <= 2
        assert len(resting_stops(r)) == 1

    @pytest.mark.parametrize("half", [Lost.ANSWER, Lost.REQUEST])
    def test_r58_an_answer_that_never_comes_is_one_more_event_and_doubles_nothing(
        self, rehearse: Make, half: Lost
    ) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        entries = Menu().add(entry, Fault(delay_s=3.0, lost=half)).late_reads(1.0)
        witness = played(r, entries)
        assert witness.worst_s < 3.0
        assert sum(1 for _, call in entries.calls if entry(call)) == 1
        assert triggers(r)[-1] == ("protect STOP_CONFIRMED" if half is Lost.ANSWER else "abandon ENTRY_SHOWN_ABSENT")

    def test_r58_a_late_fill_is_covered_while_the_next_entry_is_being_set_up(self, rehearse: Make) -> None:
        """The first entry arrives after it was given up, while the account settings of the second one hang."""
        again = TOP * 1.0101
        hours = [jump(BTC), (TOP, again, TOP * 0.999, again), *quiet(again, 4)]
        r = rehearse(BTCUSDT=hours, latency_s=LATENCY_S)

        async def script(r: InProcessBot) -> Witness:
            await r.start()
            menu = r.faults = Menu().add(nth(entry, 1), Fault(late_s=14.0))
            await r.hours(TO_SIGNAL + 0.01)
            await r.seconds(10)
            assert triggers(r)[-1] == "abandon ENTRY_SHOWN_ABSENT"
            menu.add(lambda call: call.method == "ensure_margin_type", Fault(delay_s=20.0))
            witness = Witness.of(r)
            moving = asyncio.create_task(r.hours(1))
            await until(r.venue.positions)
            assert record(r).state is State.SIGNALLED
            r.running.workers["BTCUSDT"].request_check()
            await moving
            await r.seconds(10)
            return witness

        witness = r.run(script)
        assert witness.endings == ["stop"]
        assert witness.worst_s < 1.5


PASSING = {
    "no answer": Fault(delay_s=600.0),
    "lost": lost(),
    "answer lost": lost(Lost.ANSWER),
    "-1008": Fault(refuse=-1008),
    "503": Fault(refuse=503),
    "lag": Fault(refuse=-4509),
}


class TestAStopWithoutAnAnswer:
    """R84: it is hurried, and a route that is back before the deadline ends protected."""

    def test_one_call_that_hangs_is_not_waited_for(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        witness = played(r, Menu().add(nth(stop, 1), Fault(delay_s=600.0)))
        assert witness.endings == ["stop"]
        assert witness.worst_s < 1.0
        assert triggers(r)[3] == "protect STOP_CONFIRMED"

    @pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
    def test_what_passes_before_the_deadline_ends_protected(self, rehearse: Make, fault: Fault) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)

        async def script(r: InProcessBot) -> Witness:
            await r.start()
            witness, r.faults = Witness.of(r), Menu().add(stop, fault, for_s=4.0)
            await r.hours(TO_SIGNAL + 0.5)
            await r.seconds(20)
            assert record(r).state is State.PROTECTED
            assert len(resting_stops(r)) == 1
            return witness

        witness = r.run(script)
        assert witness.endings == ["stop"]
        assert witness.worst_s < 4.6 + LATENCY_S
        assert "flatten PROTECTION_DEADLINE" not in triggers(r)

    def test_one_read_that_hangs_does_not_cost_the_position(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        seen = False

        def first_reading(call: Call) -> bool:
            nonlocal seen
            if seen or call.method != "open_algos" or not r.venue.positions():
                return False
            seen = True
            return True

        witness = played(r, Menu().add(first_reading, Fault(delay_s=600.0)))
        assert seen
        assert witness.endings == ["stop"]
        assert triggers(r)[3] == "protect STOP_CONFIRMED"

    def test_what_can_never_rest_is_closed_at_once(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        witness = played(r, Menu().add(stop, Fault(refuse=-1111)))
        assert witness.endings == ["flat"]
        assert witness.worst_s < 0.3


def gaps_s(menu: Menu, condition: Callable[[Call], bool]) -> list[float]:
    """Seconds between one call of a kind and the next."""
    at_s = [at_s for at_s, call in menu.calls if condition(call)]
    return [round(after - before, 3) for before, after in pairwise(at_s)]


class TestTheNextTry:
    """R84: it leaves half a second after the one before, whatever is looked at in between."""

    @pytest.mark.parametrize("latency_s", [0.01, 0.05, 0.2])
    def test_after_a_look_that_followed_a_refusal(self, rehearse: Make, latency_s: float) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=latency_s)
        menu = Menu().add(nth(stop, 1, 2, 3, 4), Fault(refuse=-4509))
        witness = played(r, menu)
        assert witness.endings == ["stop"]
        first, *others = gaps_s(menu, lambda call: call.method == "place_algo" and stop(call))
        assert len(others) == 3
        assert first < max(others) <= 0.5 + latency_s
        assert "protect STOP_CONFIRMED" in triggers(r)

    def test_of_a_close_that_found_no_connection(self, rehearse: Make) -> None:
        """It never left, so that nothing has to be looked up before it is tried again: and looks find none either."""
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu, closes = Menu(), 0

        def away(call: Call) -> bool:
            return bool(closes)

        def asked(call: Call) -> bool:
            nonlocal closes
            closes += close(call)
            return False

        menu.add(asked, Fault(), for_s=0.0).add(stop, Fault(refuse=-2021))
        menu.add(away, Fault(lost=Lost.CONNECTION), for_s=12.0)
        witness = played(r, menu, seconds=40.0)
        assert witness.endings == ["flat"]
        assert witness.worst_s < 12.0 + 0.5 + 3 * LATENCY_S
        assert max(gaps_s(menu, close)) <= 0.5 + LATENCY_S
        assert triggers(r)[-1] == "flat STOP_WOULD_TRIGGER"
        assert len(list(r.venue.state.orders)) == 2, "an entry and one close"


class TestAStopThatVanishes:
    """R57, R84: from the first look that does not show it, with the same hurry."""

    def vanished(self, r: InProcessBot, menu: Menu) -> Witness:
        async def script(r: InProcessBot) -> Witness:
            await to_trade(r)
            await r.seconds(2)
            assert record(r).state is State.PROTECTED
            witness, r.faults = Witness.of(r), menu
            r.venue.cancel_algo(client_id=resting_stops(r)[0])
            r.venue.drain()
            r.running.workers["BTCUSDT"].request_check()
            await r.seconds(20)
            return witness

        return r.run(script)

    def test_it_is_placed_again_at_once(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        witness = self.vanished(r, Menu())
        assert witness.endings == ["stop"]
        assert witness.worst_s < 0.3

    def test_while_reads_are_late_and_calls_hang(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu = Menu().add(nth(stop, 1, 2), Fault(delay_s=600.0)).late_reads(1.5)
        witness = self.vanished(r, menu)
        assert witness.endings == ["stop"]
        assert witness.worst_s < 4.0

    def test_the_deadline_runs_from_the_first_look_and_a_second_does_not_double_it(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        witness = self.vanished(r, Menu().add(stop, lost()).late_reads(1.0))
        assert witness.endings == ["flat"]
        assert witness.worst_s < 1.0 + DEADLINE_S + 0.5

    def test_one_that_no_answer_shows_is_sent_again_without_a_second_look(self, rehearse: Make) -> None:
        """Neither the lists nor its name: it is gone, and two seconds of patience would be two seconds without it."""
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)

        def forgotten(algo: AlgoOrder | None) -> AlgoOrder | None:
            return algo if algo is not None and algo.status.is_open else None

        def without(seen: SymbolSnapshot) -> SymbolSnapshot:
            return replace(seen, algo_orders=tuple(filter(forgotten, seen.algo_orders)))

        menu = Menu().add(lambda call: call.method == "look", Fault(alter=without))
        witness = self.vanished(r, menu.add(lambda call: call.method == "algo", Fault(alter=forgotten)))
        assert witness.endings == ["stop"]
        assert witness.worst_s < 0.5


class TestNobodyRan:
    """R57, R84: the time in which the process was stopped, and the start."""

    def test_when_the_process_goes_on_the_first_thing_is_the_stop(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)

        async def script(r: InProcessBot) -> tuple[Witness, float]:
            await r.start()
            menu = r.faults = Menu().add(nth(stop, 1), lost())
            witness = Witness.of(r)
            moving = asyncio.create_task(r.hours(TO_SIGNAL + 0.5))
            await until(lambda: any(stop(call) for _, call in menu.calls))
            cast(VirtualLoop, asyncio.get_running_loop()).jump(30.0)
            resumed_s = asyncio.get_running_loop().time()
            await moving
            await r.seconds(10)
            return witness, resumed_s

        witness, resumed_s = r.run(script)
        assert witness.endings == ["stop"]
        assert witness.stretches[0].to_s - resumed_s < 1.0
        assert triggers(r)[3] == "protect STOP_CONFIRMED"

    def test_a_naked_position_found_at_the_start_gets_its_stop_before_anything_is_read(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)

        async def script(r: InProcessBot) -> tuple[Witness, float]:
            await r.start()
            witness = Witness.of(r)
            r.faults = Menu().add(stop, lost())
            moving = asyncio.create_task(r.hours(TO_SIGNAL + 0.5))
            await until(lambda: witness.worst_s > 1.0)
            await r.kill()
            await moving
            r.faults = Menu().late_reads(2.0)
            started_s = asyncio.get_running_loop().time()
            await r.start()
            await r.seconds(10)
            assert record(r).state is State.PROTECTED
            return witness, started_s

        witness, started_s = r.run(script)
        assert witness.endings == ["stop"]
        assert witness.stretches[0].to_s - started_s < 0.5


class TestACommitThatStalls:
    """R57: past ``protection.commit_wait_ms`` the stop whose id and price are on the disk leaves all the same."""

    @pytest.mark.parametrize("which", ["the fill's", "the one after it"])
    def test_its_stop_leaves_without_it_and_is_not_doubled(self, rehearse: Make, which: str) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
        menu = Menu()

        async def script(r: InProcessBot) -> Witness:
            await r.start()
            witness, r.faults = Witness.of(r), menu
            left = 1 if which == "the fill's" else 2

            def stalls(sql: str) -> None:
                nonlocal left
                if sql.startswith("COMMIT") and r.venue.positions() and left:
                    left -= 1
                    if not left:
                        r.held_up(30.0, witness.sample)

            assert r.store is not None
            r.store.connection.exec_trace = lambda cursor, sql, bindings: stalls(sql) or True
            await r.hours(TO_SIGNAL + 0.5)
            await r.seconds(10)
            assert left == 0
            assert record(r).state is State.PROTECTED
            assert len(resting_stops(r)) == 1
            return witness

        witness = r.run(script)
        assert witness.endings == ["stop"]
        assert witness.worst_s < 1.5
        placed = [algo for algo in r.venue.state.algos if algo.client_id == resting_stops(r)[0]]
        assert len(placed) == 1
        assert triggers(r)[:4] == OPENED

    def test_while_an_unfilled_entry_waits_nothing_rests(self, rehearse: Make) -> None:
        """Without a position the exchange refuses the stop, and nothing is left of it."""
        r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = Menu().add(entry, lost())
            moving = asyncio.create_task(r.hours(TO_SIGNAL + 0.5))
            await until(lambda: record(r).state is State.ENTERING)
            r.held_up(5.0)
            await moving
            await r.seconds(30)

        r.run(script)
        assert resting_stops(r) == []
        assert triggers(r)[-1] == "abandon ENTRY_SHOWN_ABSENT"


def test_the_witness_sees_a_position_that_nobody_covers(rehearse: Make) -> None:
    """What the limits above are held against is really measured."""
    r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S, protection={"deadline_ms": 9_000})
    witness = played(r, Menu().add(stop, lost()))
    assert witness.endings == ["flat"]
    assert 9.0 < witness.worst_s < 9.5
