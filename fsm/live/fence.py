"""Keeps a fault of ours where it happened: written down, told, and tried again; only a lost journal gets through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from fsm.live.alerts import Alerts
from fsm.live.books import Books
from fsm.live.clock import Clock
from store.errors import StoreError

log = structlog.get_logger("fsm.fence")

AGAIN_S = 5.0
"""Pause before a task that failed is started again."""

TELL_EVERY_S = 900.0


class Fence:
    """Knows of every failure; the operator hears of each kind of it once in a quarter of an hour."""

    def __init__(self, books: Books, alerts: Alerts, clock: Clock) -> None:
        self._books = books
        self._alerts = alerts
        self._clock = clock
        self._told_s: dict[str, float] = {}

    async def keep(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task that should never end, again after each failure (R53). Raises StoreError alone."""
        name = getattr(task, "__qualname__", type(task).__name__)
        while True:
            try:
                await task()
                return
            except asyncio.CancelledError:
                raise
            except StoreError:
                raise
            except Exception as error:
                self.caught(name, error)
            await self._clock.sleep(AGAIN_S)

    def caught(self, component: str, error: Exception, symbol: str | None = None) -> None:
        """Write a failure down. Raises StoreError."""
        what = f"{type(error).__name__}: {error}"
        log.error("handler_failed", symbol=symbol, reason=type(error).__name__, component=component, exc_info=error)
        now_s, at_ms = self._clock.monotonic(), self._clock.now_ms()
        key = f"{component} {symbol} {type(error).__name__}"
        if now_s - self._told_s.get(key, float("-inf")) < TELL_EVERY_S:
            return
        self._told_s[key] = now_s
        self._books.error(at_ms, component, what, symbol=symbol)
        try:
            row = self._alerts.row(
                at_ms, "quarantine", f"{component} failed: {what}", key=f"{key} {at_ms}", symbol=symbol
            )
        except Exception as second:
            log.error("alert_failed", reason=type(second).__name__, exc_info=second)
            return
        self._books.alert(*([row] if row else []))
