"""On the virtual loop waiting costs nothing, and nothing happens before its time."""

from __future__ import annotations

import asyncio

from fsm.proofs.testkit.virtual_time import VirtualLoop, run_virtually


def test_a_timer_never_fires_before_its_time() -> None:
    """Who sleeps until a moment and then asks whether it has come must not spin while others are busy (torture,
    seed 4: a worker that was to look in less than a nanosecond)."""

    async def busy() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def turns() -> int:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1_234.1)
        moment_s, count = loop.time() + 1e-10, 0
        others = asyncio.create_task(busy())
        while loop.time() < moment_s:
            await asyncio.sleep(moment_s - loop.time())
            count += 1
        await others
        return count

    assert run_virtually(turns()) == 1


def test_a_jump_makes_every_timer_due_at_once() -> None:
    async def waits() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        sleeping = asyncio.create_task(asyncio.sleep(60.0))
        await asyncio.sleep(1.0)
        loop.jump(3_600.0)
        await sleeping
        return loop.time(), 3_601.0

    came, wanted = run_virtually(waits())
    assert came == wanted
