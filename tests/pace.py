"""What a user is promised in seconds is promised on a machine that has time for it: how much slower this one is now."""

from __future__ import annotations

import time

WORK_S = 0.1


def stretch() -> float:
    """The real seconds that a second of work takes now: 1 on a machine with a core to spare, more on a busy one."""
    began_s, worked_s = time.monotonic(), time.thread_time()
    while time.thread_time() - worked_s < WORK_S:
        pass
    return max(1.0, (time.monotonic() - began_s) / WORK_S)
