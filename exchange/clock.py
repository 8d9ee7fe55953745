"""The time as this room needs it: it is given one and never reads any other."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """``now_ms`` may jump or run at the speed of a simulation; ``monotonic`` and ``sleep`` are real seconds."""

    def now_ms(self) -> int:
        """Milliseconds UTC, as good as this machine (or the simulated exchange) knows them."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; for time-outs and watchdogs."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...
