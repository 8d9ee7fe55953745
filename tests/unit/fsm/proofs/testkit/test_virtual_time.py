"""On the virtual loop waiting costs nothing, and nothing happens before its time; a patient one waits for answers."""

from __future__ import annotations

import asyncio
import sys

import pytest

from fsm.proofs.testkit.virtual_time import PatientLoop, VirtualLoop, run_patiently, run_virtually


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


async def another_process() -> None:
    """Takes far longer than any time-out here."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import json")
    await process.wait()


def test_on_a_patient_loop_no_time_passes_while_an_answer_is_awaited() -> None:
    async def waits() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        began_s = loop.time()
        with loop.awaiting():
            async with asyncio.timeout(0.002):
                await another_process()
        sum(range(1_000_000))  # nor while it computes
        return loop.time() - began_s

    assert run_patiently(waits()) == 0


def test_on_a_patient_loop_time_passes_while_nothing_is_awaited_or_what_is_never_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def waits(*, awaiting: bool) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        async with asyncio.timeout(0.002):
            if awaiting:
                with loop.awaiting():
                    await asyncio.Event().wait()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run_patiently(waits(awaiting=False))
    monkeypatch.setattr("fsm.proofs.testkit.virtual_time.HELD_S_MAX", 0.01)
    with pytest.raises(TimeoutError):
        run_patiently(waits(awaiting=True))
