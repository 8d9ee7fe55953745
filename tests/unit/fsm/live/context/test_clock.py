"""Clocks: one of a simulated exchange that never goes back, and a loop on which waiting takes no time."""

from __future__ import annotations

import asyncio

from exchange.errors import Unreachable
from fsm.live.context.clock import DrivenClock, MachineClock, PacedClock, SteppedClock, wait_until
from fsm.proofs.testkit.virtual_time import run_virtually


class Simulated:
    """An exchange's clock that says what it is told to say."""

    def __init__(self, now_ms: int, speed: float) -> None:
        self.now_ms, self.speed = now_ms, speed
        self.is_down = False

    async def read(self) -> tuple[int, float]:
        if self.is_down:
            raise Unreachable("no answer")
        return self.now_ms, self.speed


def test_a_stepped_clock_shows_what_was_read_and_never_goes_back() -> None:
    source = Simulated(1_000, 0.0)
    clock = PacedClock(source.read)

    async def script() -> list[int]:
        await clock.synchronise()
        seen = [clock.now_ms()]
        source.now_ms = 5_000
        await clock.synchronise()
        seen.append(clock.now_ms())
        source.now_ms = 4_000
        await clock.synchronise()
        seen.append(clock.now_ms())
        source.is_down = True
        await clock.try_synchronise()
        return [*seen, clock.now_ms()]

    assert asyncio.run(script()) == [1_000, 5_000, 5_000, 5_000]


def test_a_stepped_clock_is_read_often_and_a_running_one_seldom() -> None:
    def readings(speed: float) -> int:
        source = Simulated(1_000, speed)
        seen = 0

        async def read() -> tuple[int, float]:
            nonlocal seen
            seen += 1
            return await source.read()

        async def script() -> None:
            clock = PacedClock(read)
            await clock.synchronise()
            keeper = asyncio.create_task(clock.keep_right())
            await asyncio.sleep(10)
            keeper.cancel()

        run_virtually(script())
        return seen

    assert readings(0.0) > 100
    assert readings(600.0) <= 12


def test_it_stops_where_the_data_ends() -> None:
    source = Simulated(10_000, 1e6)
    clock = PacedClock(source.read, end_ms=10_500)
    asyncio.run(clock.synchronise())
    assert clock.now_ms() <= 10_500


def test_a_fast_clock_shortens_real_waits() -> None:
    source = Simulated(0, 600.0)
    clock = PacedClock(source.read)

    async def waited_s(clock: PacedClock | MachineClock, span_ms: int) -> float:
        began_s = asyncio.get_running_loop().time()
        await clock.pass_by(span_ms)
        return asyncio.get_running_loop().time() - began_s

    run_virtually(clock.synchronise())
    assert run_virtually(waited_s(clock, 300_000)) == 0.5
    assert run_virtually(waited_s(MachineClock(), 500)) == 0.5
    assert run_virtually(waited_s(MachineClock(), 3_600_000)) == 1.0, "a clock may be set meanwhile"


def test_a_stepped_clock_wakes_whoever_waits_for_the_time_it_is_set_to() -> None:
    async def script() -> list[str]:
        clock, order = SteppedClock(0), list[str]()

        async def waiter(at_ms: int) -> None:
            await wait_until(clock, at_ms)
            order.append(f"{at_ms} at {clock.now_ms()}")

        waiting = [asyncio.create_task(waiter(at_ms)) for at_ms in (2_000, 1_000)]
        for now_ms in (999, 1_500, 2_000):
            await asyncio.sleep(0)
            clock.set(now_ms)
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(script()) == ["1000 at 1500", "2000 at 2000"]


def test_waiting_on_the_virtual_loop_is_exact_and_takes_no_time() -> None:
    now = [0]

    async def script() -> float:
        clock = DrivenClock(lambda: now[0])
        began = clock.monotonic()
        await clock.sleep(86_400)
        return clock.monotonic() - began

    assert run_virtually(script()) == 86_400


def test_waiting_for_a_moment_ends_when_the_exchange_shows_it() -> None:
    now = [0]

    async def script() -> float:
        clock = DrivenClock(lambda: now[0])

        async def later() -> None:
            await clock.sleep(30)
            now[0] = 1_000

        task = asyncio.create_task(later())
        await wait_until(clock, 1_000)
        await task
        return clock.monotonic()

    assert 30 <= run_virtually(script()) <= 31
