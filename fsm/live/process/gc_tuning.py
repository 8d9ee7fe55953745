"""Keeps the garbage collector from holding up the event loop: with hundreds of symbols a full collection takes 0.7 s.

It has no cause to look at what a start leaves in memory (rules, indicators and their history), as none of that is
garbage. So there is no full collection while the history is fed, and what is there once the bot has started is set
aside for good. Later collections look at what came after it, which is little.
"""

from __future__ import annotations

import asyncio
import gc

from fsm.live.context.clock import Clock

NO_FULL_ONES = (700, 10, 1_000_000)
"""Python's own, but for the last: counted in objects, in collections of these, and in collections of those."""

AGAIN_S = 86_400.0
"""What lasts for a day lasts: then it is set aside too."""


async def set_aside(started: asyncio.Event, clock: Clock) -> None:
    """Run it beside the daemon, of a process that does nothing else; when it is cancelled all is as before."""
    before = gc.get_threshold()
    gc.set_threshold(*NO_FULL_ONES)
    try:
        await started.wait()
        gc.set_threshold(*before)
        while True:
            gc.freeze()
            await clock.sleep(AGAIN_S)
            gc.collect()  # of one day alone, so nothing that is garbage is set aside
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
