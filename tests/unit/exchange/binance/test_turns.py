"""R56: the queue at the door: the naked position first, nothing lost, nobody held up for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exchange.binance.limits import Ask, Budget
from exchange.binance.replies import ToldToWait
from exchange.binance.turns import Claim, Turns
from exchange.priority import Priority

pytestmark = pytest.mark.anyio
BTC, ETH = "BTCUSDT", "ETHUSDT"


class Door:
    """A queue on a clock that moves when told to, and the order in which requests left."""

    def __init__(self, clock: Any) -> None:
        clock.jumping = False
        self.clock = clock
        self.turns = Turns(Budget(), clock, clock.now_ms)
        self.left: list[tuple[str, float]] = []
        self.told: list[str] = []

    def comes(self, name: str, priority: Priority, symbol: str = BTC, if_naked: Priority | None = None) -> Any:
        """A request, from now on at the door."""
        orders = 1 if "stop" in name or "entry" in name else 0
        ask = Ask(priority=priority, weight=1, orders=orders)
        return asyncio.ensure_future(self._goes(Claim(name=name, ask=ask, symbol=symbol, if_naked=if_naked)))

    async def _goes(self, claim: Claim) -> None:
        told = await self.turns.wait(claim)
        if told is None:
            self.left.append((claim.name, self.clock.seconds))
        else:
            self.told.append(str(told))

    def stop(self, name: str = "stop", symbol: str = BTC) -> Any:
        return self.comes(name, Priority.COVER, symbol, Priority.NAKED)

    def cancel(self, name: str = "cancel", symbol: str = BTC) -> Any:
        return self.comes(name, Priority.COVER, symbol, Priority.CLEAR)

    def look(self, name: str = "look", symbol: str = BTC) -> Any:
        return self.comes(name, Priority.LOOK, symbol)

    def refused(self, **told: Any) -> None:
        now_s = self.clock.monotonic()
        word = ToldToWait(**{"cause": "HTTP 429 too many", **told})
        self.turns.budget.refused(word, sent_s=now_s, now_s=now_s, now_ms=self.clock.now_ms())

    def answered(self, orders: int = 0) -> None:
        now_s = self.clock.monotonic()
        self.turns.budget.answered(Ask(priority=Priority.COVER, orders=orders), sent_s=now_s, now_s=now_s)
        self.turns.look_again()

    async def settles(self) -> list[str]:
        for _ in range(5):
            await asyncio.sleep(0)
        return [name for name, _ in self.left]


@pytest.fixture
async def door(clock: Any) -> AsyncIterator[Door]:
    door = Door(clock)
    yield door
    door.turns.close()


async def test_what_may_leave_leaves_at_once(door: Door) -> None:
    door.stop()
    door.comes("candles", Priority.READ)
    assert await door.settles() == ["stop", "candles"]


async def test_r56_the_naked_position_is_the_first_then_what_is_in_its_way_then_others_then_their_reads(
    door: Door,
) -> None:
    door.refused()
    door.turns.set_naked(BTC, True)
    door.look("look of another", ETH)
    door.look("its look")
    door.stop("stop of another", ETH)
    door.cancel()
    door.stop()
    for _ in range(30):
        await door.clock.advance(0.5)
        await door.settles()
        door.look("look of another", ETH)
    assert [(name, at_s) for name, at_s in door.left[:2]] == [("stop", 1.0), ("cancel", 2.0)]
    assert all("not sent" in told for told in door.told)


async def test_r56_once_answered_what_protects_leaves_at_once_in_that_order(door: Door) -> None:
    door.refused()
    await door.clock.advance(0.9)
    for name, symbol in (("look of another", ETH), ("its look", BTC)):
        door.look(name, symbol)
    door.stop("stop of another", ETH)
    door.cancel()
    door.stop()
    await door.settles()
    door.turns.set_naked(BTC, True)
    door.answered()
    assert await door.settles() == ["stop", "cancel", "stop of another", "its look", "look of another"]


async def test_r56_a_stop_that_waits_already_goes_first_from_when_its_position_is_known_to_be_naked(door: Door) -> None:
    door.refused()
    await door.clock.advance(0.5)
    door.stop("stop of another", ETH)
    door.stop()
    await door.settles()
    door.turns.set_naked(BTC, True)
    await door.settles()
    await door.clock.advance(0.5)
    assert await door.settles() == ["stop"]


async def test_r56_after_a_stated_end_the_naked_position_is_first_and_not_a_moment_late(door: Door) -> None:
    door.refused(stated_s=61.2, banned=True)
    door.turns.set_naked(BTC, True)
    door.stop()
    await door.clock.advance(60.0)
    door.look("a look that came later", ETH)
    door.comes("candles", Priority.READ)
    await door.settles()
    await door.clock.advance(1.299)
    assert await door.settles() == []
    await door.clock.advance(0.01)
    assert await door.settles() == ["stop"]
    assert door.left[0][1] == pytest.approx(61.3, abs=0.005)
    assert len(door.told) == 1, "reads are told at once how long it would be"


async def test_r56_who_asks_in_the_very_moment_of_the_end_is_not_before_who_waited(door: Door) -> None:
    door.refused(stated_s=9.9)
    door.turns.set_naked(BTC, True)
    door.stop()
    await door.settles()
    door.clock.seconds = 10.0  # the timer has not rung yet
    door.comes("candles", Priority.READ)
    assert await door.settles() == ["stop"]


async def test_r56_a_naked_position_waits_as_long_as_it_takes_and_others_are_told(door: Door) -> None:
    door.turns.set_naked(BTC, True)
    door.refused(stated_s=600.0)
    door.stop()
    door.stop("stop of another", ETH)
    door.look("look of another", ETH)
    await door.settles()
    await door.clock.advance(599.0)
    assert await door.settles() == []
    assert len(door.told) == 2
    door.turns.set_naked(BTC, False)
    await door.settles()
    assert len(door.told) == 3, "covered meanwhile, it is nobody's place any more"


async def test_r56_giving_up_frees_the_place_and_counts_as_never_sent(door: Door) -> None:
    door.refused()
    door.turns.set_naked(BTC, True)
    door.turns.set_naked(ETH, True)
    first, used = door.stop(), [w.used for w in door.turns.budget.windows.all]
    door.stop("stop of another", ETH)
    await door.settles()
    first.cancel()
    await door.clock.advance(1.0)
    assert await door.settles() == ["stop of another"]
    assert [w.used - before for w, before in zip(door.turns.budget.windows.all, used, strict=True)] == [1, 1, 1]


async def test_r56_giving_up_in_the_moment_of_being_let_out_passes_the_probe_on(door: Door) -> None:
    door.refused()
    door.turns.set_naked(BTC, True)
    door.turns.set_naked(ETH, True)
    first = door.stop()
    door.stop("stop of another", ETH)
    await door.settles()
    door.clock.seconds = 1.0
    door.turns.look_again()
    first.cancel()  # its turn has come, and it has not heard so yet
    assert await door.settles() == ["stop of another"]


async def test_r56_one_symbol_whose_stop_is_refused_again_and_again_does_not_keep_the_probes_for_itself(
    door: Door,
) -> None:
    door.refused()
    for symbol in (BTC, ETH):
        door.turns.set_naked(symbol, True)
        door.stop(symbol, symbol)
    for _ in range(8):
        await door.clock.advance(1.0)
        for name in (await door.settles())[-1:]:
            door.stop(name, name)  # refused, and back into the queue
    assert {name for name, _ in door.left[:2]} == {BTC, ETH}


async def test_r56_a_stop_that_is_asked_for_again_and_again_has_one_place_and_others_have_theirs(door: Door) -> None:
    door.refused()
    for symbol in (BTC, ETH):
        door.turns.set_naked(symbol, True)
    for number in range(4):
        door.stop(f"stop {number}", BTC)
    door.stop("stop of another", ETH)
    for _ in range(11):
        await door.settles()
        await door.clock.advance(0.25)
    assert await door.settles() == ["stop 0", "stop of another"]


async def test_three_hundred_looks_at_the_door_are_let_out_together_when_the_pause_ends(door: Door) -> None:
    door.refused()
    await door.clock.advance(0.9)
    for number in range(300):
        door.look(f"look {number}", f"S{number}")
    await door.settles()
    door.answered()
    assert await door.settles() == [f"look {number}" for number in range(300)]


async def test_a_full_window_holds_up_nobody_whom_it_does_not_concern(door: Door) -> None:
    door.turns.set_naked(BTC, True)
    now_ms = door.clock.now_ms()
    door.turns.budget.windows.observe({"X-MBX-ORDER-COUNT-10S": "300"}, sent_ms=now_ms, now_ms=now_ms)
    door.stop()
    door.cancel()
    assert await door.settles() == ["cancel"]
    await door.clock.advance(10.1)
    assert await door.settles() == ["cancel", "stop"]
