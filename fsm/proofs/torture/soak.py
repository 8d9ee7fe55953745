"""Watches a long run from the side: memory and open files, which must not grow with simulated time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsm.proofs.torture.world import TortureRun

EVERY_MS = 86_400_000
SETTLED_DAYS = 20
"""Caches, histories and the first trades of every symbol are there by then: growth is counted from here."""

GROWTH_MB_A_DAY = 1.0
"""The simulated exchange keeps every order and every row of income there ever was; the bot must keep none of them."""

GROWTH_MB = 40.0
DESCRIPTORS_MORE = 4


def memory_mb() -> float:
    """Resident memory of this process; zero where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


def descriptors() -> int:
    """Open file descriptors of this process; zero where the system does not say."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


class Gauge:
    """Looks once in a simulated day; ``rows`` are (day, MB, descriptors)."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, int]] = []
        self._next_ms = 0

    def look(self, world: TortureRun) -> None:
        now_ms = world.venue.now_ms
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + EVERY_MS
        day = (now_ms - world.plan.start_ms) // EVERY_MS
        self.rows.append((day, memory_mb(), descriptors()))
        self._check(world)

    def _check(self, world: TortureRun) -> None:
        settled = [row for row in self.rows if row[0] >= SETTLED_DAYS]
        if len(settled) < 2:
            return
        (first_day, first_mb, _), (day, mb, _) = settled[0], settled[-1]
        allowed_mb = first_mb + GROWTH_MB + GROWTH_MB_A_DAY * (day - first_day)
        found = f"{mb:.0f} MB on day {day}, {first_mb:.0f} MB on day {first_day}"
        world.checker.check("MEMORY_FLAT", mb <= allowed_mb, found)
        most = max(row[2] for row in settled[:5])
        found = f"{settled[-1][2]} descriptors on day {day}, {most} on day {first_day}"
        world.checker.check("DESCRIPTORS_FLAT", settled[-1][2] <= most + DESCRIPTORS_MORE, found)
