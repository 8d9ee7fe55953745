"""What lasts is not looked at by the garbage collector again, so that it does not hold up what protects."""

from __future__ import annotations

import asyncio
import gc

from fsm.live.context.clock import DrivenClock
from fsm.live.process.gc_tuning import AGAIN_S, NO_FULL_ONES, set_aside
from fsm.proofs.testkit.virtual_time import run_virtually


def test_what_a_start_leaves_is_set_aside_once_it_has_started_and_again_each_day() -> None:
    async def script() -> None:
        started, clock, usual = asyncio.Event(), DrivenClock(lambda: 0), gc.get_threshold()
        gc.unfreeze()  # Python 3.12 has set some hundred objects of its own aside by itself
        beside = asyncio.create_task(set_aside(started, clock))
        await asyncio.sleep(0)
        assert gc.get_threshold() == NO_FULL_ONES
        assert gc.get_freeze_count() == 0, "nothing is, before it has started"
        history = [[number] for number in range(10_000)]
        started.set()
        await asyncio.sleep(0)
        aside = gc.get_freeze_count()
        assert aside >= len(history)
        assert gc.get_threshold() == usual
        later = [[number] for number in range(10_000)]
        assert gc.get_freeze_count() <= aside, "what is made later is not, until then; what was may end meanwhile"
        await asyncio.sleep(AGAIN_S + 1)
        assert gc.get_freeze_count() >= aside + len(later)
        beside.cancel()
        await asyncio.wait({beside})
        assert (gc.get_freeze_count(), gc.get_threshold()) == (0, usual), "and after its end all is as before"

    run_virtually(script())


def test_one_that_ends_before_it_has_started_leaves_all_as_it_was() -> None:
    async def script() -> None:
        usual = gc.get_threshold()
        beside = asyncio.create_task(set_aside(asyncio.Event(), DrivenClock(lambda: 0)))
        await asyncio.sleep(0)
        beside.cancel()
        await asyncio.wait({beside})
        assert (gc.get_freeze_count(), gc.get_threshold()) == (0, usual)

    run_virtually(script())
