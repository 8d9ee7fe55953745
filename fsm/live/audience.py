"""Whoever watches the daemon at work, on a terminal for instance. Nothing depends on it, and nothing waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from fsm.core.deciding import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeChange:
    """A symbol's stable regime is another one from this close on."""

    symbol: str
    before: str
    after: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """One close that was decided on: what was made of each symbol's candle, and whose candle did not come."""

    at_ms: int
    readings: dict[str, Reading]
    regimes: list[RegimeChange] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Audience(Protocol):
    """Hears of what is no transition, and yet what one wants to see of a bot at work."""

    def closed(self, close: Close) -> None:
        """The candles of a close have arrived and were decided on."""

    def protected(self, symbol: str, took_ms: float) -> None:
        """A stop was read back so long (real time) after the first fill of its position was learned of."""


class Nobody:
    """The audience of the lab and of most tests."""

    def closed(self, close: Close) -> None:
        pass

    def protected(self, symbol: str, took_ms: float) -> None:
        pass
