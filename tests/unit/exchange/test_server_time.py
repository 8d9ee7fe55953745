"""One measured offset: doubted where our clock is steady, taken as it comes where a simulation's jumps (R76)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from exchange.errors import Unreachable
from exchange.priority import Priority
from exchange.server_time import ServerTime

HOUR_MS = 3_600_000


class Machine:
    """A clock that moves when told, and the exchange beyond it: ``lies`` are added to its next answers."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.ms, self.offset_ms = 1_000_000_000, offset_ms
        self.lies: Iterator[int] = iter(())
        self.travel_ms, self.asked = 20, 0
        self.is_down = False

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)

    async def read(self, priority: Priority) -> int:
        assert priority is Priority.TRADE, "nobody is in a hurry"
        self.asked += 1
        if self.is_down:
            raise Unreachable("no answer")
        self.ms += self.travel_ms // 2
        told = self.ms + self.offset_ms + next(self.lies, 0)
        self.ms += self.travel_ms // 2
        return told


def measured(machine: Machine, *, times: int = 1, steady: bool = True) -> ServerTime:
    time = ServerTime(machine, machine.read, steady=steady)
    measure_again(time, times)
    return time


def measure_again(time: ServerTime, times: int = 1) -> None:
    for _ in range(times):
        asyncio.run(time.measure(seen_version=time.version))


def test_a_machine_that_is_fifty_minutes_slow_is_corrected_once_two_answers_agree() -> None:
    machine = Machine(offset_ms=50 * 60_000)
    time = measured(machine)
    assert (time.offset_ms, machine.asked) == (50 * 60_000, 2)


def test_one_answer_that_is_hours_off_is_not_believed() -> None:
    machine = Machine()
    time = measured(machine)
    for lie in (16 * HOUR_MS, -HOUR_MS, 1_500):
        machine.lies = iter([lie])
        measure_again(time)
        assert time.offset_ms == 0


def test_answers_that_all_say_something_else_leave_the_offset_as_it_is() -> None:
    machine = Machine(offset_ms=40)
    time = measured(machine)
    version = time.version
    machine.lies = iter([HOUR_MS * number for number in range(1, 9)])
    measure_again(time)
    assert (time.offset_ms, time.version) == (40, version)


def test_a_jump_of_the_exchanges_own_clock_is_believed_when_a_second_answer_agrees() -> None:
    machine = Machine()
    time = measured(machine)
    machine.offset_ms = 5_000
    measure_again(time)
    assert (time.offset_ms, time.version) == (5_000, 2)


def test_a_slow_answer_does_not_spoil_what_a_quick_one_told() -> None:
    machine = Machine(offset_ms=30)
    time = measured(machine)
    machine.travel_ms, machine.lies = 300, iter([70])
    measure_again(time)
    assert time.offset_ms == 30, "the difference is within what is uncertain of a slow answer"


def test_drift_is_followed_however_slow_the_answers_are() -> None:
    machine = Machine()
    time = measured(machine)
    machine.travel_ms, machine.offset_ms = 1_500, 400
    measure_again(time)
    assert time.offset_ms == 400


def test_where_a_simulations_clock_jumps_the_newest_answer_is_right_at_once() -> None:
    machine = Machine()
    time = measured(machine, steady=False)
    machine.offset_ms = 16 * HOUR_MS
    asked = machine.asked
    measure_again(time)
    assert (time.offset_ms, machine.asked) == (16 * HOUR_MS, asked + 1)


def test_an_exchange_that_does_not_answer_leaves_the_offset_as_it_is() -> None:
    machine = Machine(offset_ms=200)
    time = measured(machine)
    machine.is_down = True
    with pytest.raises(Unreachable):
        measure_again(time)
    assert (time.offset_ms, time.version) == (200, 1)
