"""Counts calls that failed, by kind: each kind has a row among the errors with its count, and a habit is told.

Nothing is written where a call failed, which may be between a fill and its stop, but by a task of its own.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

import structlog

from fsm.journal.writer import JournalWriter
from fsm.live.context.clock import Clock
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.news import failures_news

log = structlog.get_logger("fsm.exchange")

WINDOW_S = 60.0
FAILURES_MANY = 5
"""So many failures within a minute are worth a message; then the next one waits for a quarter of an hour."""

QUIET_S = 900.0
LOOK_S = 1.0
COUNT_AGAIN_S = 60.0
"""A kind that goes on failing has its count written again so often."""

KINDS_MAX = 200
"""An exchange that words each refusal differently must not fill memory; what comes beyond is counted as one kind."""

_CHANGING = re.compile(r"[0-9a-fA-F-]{6,}|\d+")


@dataclass(slots=True)
class _Kind:
    """Calls that failed alike. ``written`` is the count that the last row has."""

    component: str
    error: str = ""
    symbol: str = ""
    count: int = 0
    since_ms: int = 0
    written: int = 0
    written_s: float = float("-inf")


class Troubles:
    """``heard`` is what everything that asks the exchange, or Telegram, calls with its errors."""

    def __init__(self, journal: JournalWriter, alerts: Alerts, clock: Clock) -> None:
        self._journal = journal
        self._alerts = alerts
        self._clock = clock
        self._recent: deque[tuple[float, str]] = deque()
        self._kinds: dict[str, _Kind] = {}
        self._told_s = float("-inf")
        self._habit: tuple[int, str] | None = None
        self.total = 0

    def heard(self, symbol: str, error: Exception) -> None:
        """A call to the exchange failed; an empty symbol means the whole account."""
        now_s = self._clock.monotonic()
        self.total += 1
        self._recent.append((now_s, symbol))
        while self._recent[0][0] < now_s - WINDOW_S:
            self._recent.popleft()
        log.warning("exchange_failed", symbol=symbol, reason=type(error).__name__, error=str(error))
        self.count("exchange", type(error).__name__, str(error), symbol)
        if len(self._recent) >= FAILURES_MANY and now_s - self._told_s >= QUIET_S:
            self._told_s = now_s
            self._habit = (len(self._recent), str(error))

    def count(self, component: str, name: str, error: str, symbol: str = "") -> None:
        """One more failure of its kind. Neither waits nor writes."""
        key = f"{component} {name} {_CHANGING.sub('#', error)}"
        if key not in self._kinds and len(self._kinds) >= KINDS_MAX:
            key = f"{component} others"
        kind = self._kinds.setdefault(key, _Kind(component, since_ms=self._clock.now_ms()))
        kind.count, kind.error, kind.symbol = kind.count + 1, f"{name}: {error}", symbol

    async def run(self) -> None:
        """Write down what was counted."""
        while True:
            await self._clock.sleep(LOOK_S)
            self.write()

    def write(self) -> None:
        """A row for each new kind, and for those that went on. Raises StoreError."""
        now_s, at_ms = self._clock.monotonic(), self._clock.now_ms()
        for kind in self._kinds.values():
            if kind.count == kind.written or now_s - kind.written_s < COUNT_AGAIN_S:
                continue
            symbol = kind.symbol or None
            details = {"count": kind.count, "since_ms": kind.since_ms}
            self._journal.error(at_ms, kind.component, kind.error, symbol=symbol, **details)
            kind.written, kind.written_s = kind.count, now_s
        if self._habit is not None:
            (many, last), self._habit = self._habit, None
            row = self._alerts.row(at_ms, "api_errors", failures_news(many, last), key=f"api_errors {self.total}")
            self._journal.alert(*([row] if row else []))
