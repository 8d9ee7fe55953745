"""Counts calls to the exchange that failed, and tells the operator when they become a habit."""

from __future__ import annotations

from collections import deque

import structlog

from fsm.live.alerts import Alerts
from fsm.live.books import Books
from fsm.live.clock import Clock
from store.errors import JournalError

log = structlog.get_logger("fsm.exchange")

WINDOW_S = 60.0
FAILURES_MANY = 5
"""So many failures within a minute are worth a message; then the next one waits for a quarter of an hour."""

QUIET_S = 900.0


class Troubles:
    """``heard`` is what everything that asks the exchange calls with its errors."""

    def __init__(self, books: Books, alerts: Alerts, clock: Clock) -> None:
        self._books = books
        self._alerts = alerts
        self._clock = clock
        self._recent: deque[float] = deque()
        self._told_s = float("-inf")
        self.total = 0

    def heard(self, symbol: str, error: Exception) -> None:
        """One failure; an empty symbol means the whole account."""
        now_s = self._clock.monotonic()
        self.total += 1
        self._recent.append(now_s)
        while self._recent[0] < now_s - WINDOW_S:
            self._recent.popleft()
        log.warning("exchange_failed", symbol=symbol, reason=type(error).__name__, error=str(error))
        if len(self._recent) >= FAILURES_MANY and now_s - self._told_s >= QUIET_S:
            self._told_s = now_s
            self._tell(symbol, error)

    def _tell(self, symbol: str, error: Exception) -> None:
        at_ms = self._clock.now_ms()
        text = f"{len(self._recent)} calls to the exchange failed within a minute; the last one: {error}"
        row = self._alerts.row(at_ms, "api_errors", text, key=f"api_errors {self.total}", symbol=symbol or None)
        try:
            self._books.error(at_ms, "exchange", str(error), symbol=symbol or None)
            self._books.alert(*([row] if row else []))
        except JournalError as failed:
            log.warning("commit_failed", symbol=symbol, reason="JOURNAL", error=str(failed))
