"""Keeps simulated time: so many simulated milliseconds per real one, or none until somebody moves it."""

from __future__ import annotations

from collections.abc import Callable

LAG_S_MAX = 1.0
"""How far prices may fall behind before the clock waits for them; more would be one long jump."""


class SimClock:
    """Where prices should be by now. It never says what time it is: that is where they *are*."""

    def __init__(self, now_ms: int, speed: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._speed = speed
        self.anchor(now_ms)

    @property
    def speed(self) -> float:
        """Simulated milliseconds per real millisecond; 0 = moves only when told to."""
        return self._speed

    def set_speed(self, speed: float, now_ms: int) -> None:
        """From now on it runs so fast."""
        self._speed = speed
        self.anchor(now_ms)

    def anchor(self, now_ms: int) -> None:
        """It is this time now, wherever the clock would have been."""
        self._anchor_ms = now_ms
        self._anchor_s = self._monotonic()

    def target_ms(self, now_ms: int) -> int:
        """Where prices should be, given where they are; a machine that cannot keep up slows the simulation down."""
        elapsed_s = self._monotonic() - self._anchor_s
        target = self._anchor_ms + int(elapsed_s * 1_000 * self._speed)
        if target - now_ms > LAG_S_MAX * 1_000 * self._speed:
            self.anchor(now_ms)
            return now_ms
        return max(target, now_ms)
