"""Whoever watches the daemon at work, on a terminal for instance. Nothing depends on it, and nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from fsm.core.candle_close import CandleVerdict
from fsm.core.model.decision import Step

log = structlog.get_logger("fsm.lane")


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
    verdicts: dict[str, CandleVerdict]
    regimes: list[RegimeChange] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A message to the operator as it was made, whether or not config.yaml has its kind delivered.

    The same ``key`` again is the same message.
    """

    at_ms: int
    kind: str
    severity: str
    symbol: str | None
    text: str
    key: str


class Observer(Protocol):
    """Hears of what is no transition, and yet what one wants to see of a bot at work."""

    def told(self, news: News) -> None:
        """The operator has something to read."""

    def closed(self, close: Close) -> None:
        """The candles of a close have arrived and were decided on."""

    def protected(self, symbol: str, took_ms: float) -> None:
        """A stop was read back so long (real time) after the first fill of its position was learned of."""


class NoObserver:
    """The observer of the lab and of most tests."""

    def told(self, news: News) -> None:
        pass

    def closed(self, close: Close) -> None:
        pass

    def protected(self, symbol: str, took_ms: float) -> None:
        pass


class UnfeltObserver:
    """An observer whose faults are its own: they are logged, and nothing that it watches notices them (R71)."""

    def __init__(self, on_step: Callable[[Step], None], observer: Observer) -> None:
        self._on_step = on_step
        self._observer = observer

    def stepped(self, step: Step) -> None:
        """One committed transition, which waits to be carried out already."""
        log.info(
            "transition",
            symbol=step.symbol,
            reason=step.reason,
            trigger=step.trigger.value,
            source=step.source.value,
            dest=step.dest.value,
            trade_id=step.trade_id,
            at_ms=step.at_ms,
        )
        self._tell(lambda: self._on_step(step))

    def told(self, news: News) -> None:
        self._tell(lambda: self._observer.told(news))

    def closed(self, close: Close) -> None:
        self._tell(lambda: self._observer.closed(close))

    def protected(self, symbol: str, took_ms: float) -> None:
        self._tell(lambda: self._observer.protected(symbol, took_ms))

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as error:
            log.error("audience_failed", reason=type(error).__name__, exc_info=error)
