"""How the daemon itself is doing, for readers: how late its loop runs, whether it hears its stream and is heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from fsm.live.context.clock import Clock

SAMPLE_S = 0.05
"""How often the loop is tried: twenty times a second costs nothing and misses no stall that matters to a stop."""

StreamState = Literal["off", "connected", "down"]

Losses = Mapping[str, Mapping[str, int]]
"""By stream (stdout, stderr): lines that were ``dropped`` because nobody took them, and writes that were ``errors``."""


class LoopLag:
    """Nothing is decided by it. The lag includes commits, which hold the loop on purpose."""

    def __init__(self) -> None:
        self.hears: Callable[[], bool] | None = None
        self.losses: Callable[[], Losses] = dict
        self._lag_ms = 0.0

    @property
    def stream(self) -> StreamState:
        """How the user data stream is; off where there is none."""
        if self.hears is None:
            return "off"
        return "connected" if self.hears() else "down"

    async def feel(self, clock: Clock) -> None:
        """Sleep a little, again and again, and notice by how much each sleep was too long."""
        while True:
            began_s = clock.monotonic()
            await clock.sleep(SAMPLE_S)
            late_s = clock.monotonic() - began_s - SAMPLE_S
            self._lag_ms = max(self._lag_ms, late_s * 1000)

    def take_lag_ms(self) -> float:
        """The longest lag since it was last taken."""
        found, self._lag_ms = self._lag_ms, 0.0
        return round(found, 3)
