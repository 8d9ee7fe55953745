"""Empties the outbox of alerts: with patience, in order, and never in the way of trading (R51)."""

from __future__ import annotations

import structlog

from fsm.config import AlertLevel
from fsm.live.clock import Clock
from fsm.live.in_force import InForce
from fsm.live.telegram import NotDelivered, Telegram
from store.alerts import AlertBox
from store.errors import StoreError
from store.rows import AlertRow

log = structlog.get_logger("fsm.alerts")

POLL_S = 1.0
RETRY_S = (2, 5, 15, 60, 300, 900)
"""Pauses after a failure; the last one repeats."""


class Delivery:
    """Messages survive restarts. Without Telegram they stay in the database, where the dashboard shows them."""

    def __init__(self, box: AlertBox, telegram: Telegram, in_force: InForce, clock: Clock) -> None:
        self._box = box
        self._telegram = telegram
        self._in_force = in_force
        self._clock = clock

    async def run(self) -> None:
        """Deliver what is due, again and again. ``clock`` is that of this machine, whatever the exchange's is."""
        while self._telegram.is_configured:
            try:
                for row in self._box.due(self._clock.now_ms()):
                    await self.deliver(row)
            except StoreError as error:
                log.warning("alerts_unreadable", reason="STORE", error=str(error))
            await self._clock.sleep(POLL_S)

    async def deliver(self, row: AlertRow) -> None:
        """One attempt at one message."""
        silent = getattr(self._in_force.settings.alerts, row.kind, AlertLevel.ON) is not AlertLevel.ON
        text = row.text if row.repeats == 0 else f"{row.text} ({row.repeats + 1} times)"
        try:
            await self._telegram.send(text, silent=silent)
        except NotDelivered as error:
            self._failed(row, error)
        else:
            self._box.sent(row.id, self._clock.now_ms())

    def _failed(self, row: AlertRow, error: NotDelivered) -> None:
        log.warning("alert_not_delivered", reason="TELEGRAM", alert=row.id, error=str(error))
        if error.final:
            self._box.dropped(row.id, str(error))
            return
        pause_s = max(error.retry_after_s, RETRY_S[min(row.attempts, len(RETRY_S) - 1)])
        self._box.failed(row.id, str(error), self._clock.now_ms() + pause_s * 1000)
