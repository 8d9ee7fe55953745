"""Empties the outbox of alerts: with patience, in order, and never in the way of trading (R51)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from fsm.config import AlertLevel
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import Clock
from fsm.live.operator.messenger import Messenger, NotDelivered, Tally, fitted
from fsm.live.operator.repeated import Repeated
from store.alerts import AlertBox
from store.errors import StoreError
from store.rows import AlertRow

log = structlog.get_logger("fsm.alerts")

POLL_S = 1.0
RETRY_S = (2, 5, 15, 30, 60)
"""Pauses after a failure; the last one repeats. One try a minute through an outage disturbs nobody."""

ROWS_MAX = 40
SINGLE_ROWS_MAX = 5
"""More waiting messages than these, as after an outage, go together: a chat takes about one message in a second."""


class Delivery:
    """Messages survive restarts. Whatever fails is logged and counted, and the messages behind it keep their order.

    ``count`` hears of each failure, which then stands among the errors: Telegram is not there to tell it.

    A message whose answer was lost is sent again: twice is better than never. ``clock`` is that of this machine.
    """

    def __init__(
        self,
        box: AlertBox,
        messenger: Messenger,
        active: ActiveSettings,
        clock: Clock,
        tally: Tally,
        count: Callable[[str, str, str], None] = lambda component, name, error: None,
    ) -> None:
        self._count = count
        self._box = box
        self._messenger = messenger
        self._active = active
        self._clock = clock
        self._tally = tally
        self._failures_in_row = 0
        self._repeated = Repeated(box, messenger, clock)

    async def run(self) -> None:
        """Deliver what is due, again and again."""
        while True:
            await self._clock.sleep(await self.round())

    async def round(self) -> float:
        """Deliver what is due now; gives the seconds until the next look."""
        try:
            rows = self._box.due(self._clock.now_ms(), limit=ROWS_MAX)
            if len(rows) > SINGLE_ROWS_MAX:
                return await self._deliver_together(rows)
            for row in rows:
                if pause_s := await self._deliver(row):
                    return pause_s
            await self._repeated.round()
        except NotDelivered as error:
            self._tally.failures += 1
            log.warning("edit_not_delivered", reason="TELEGRAM", error=str(error))
            return max(error.retry_after_s, POLL_S)
        except StoreError as error:
            log.warning("alerts_unreadable", reason="STORE", error=str(error))
        except Exception:
            # Whatever it is, it must not end the bot: this is only about messages.
            self._tally.failures += 1
            log.exception("delivery_failed", reason="UNEXPECTED")
        return POLL_S

    async def _deliver(self, row: AlertRow) -> float:
        """One message; gives the seconds to pause because of it."""
        begun = _at_its_time(row) if row.attempts else row.text
        try:
            number = await self._messenger.send(_counted(begun, row), silent=self._is_silent(row))
            self._repeated.sent(row, begun, number)
        except NotDelivered as error:
            if not error.final:
                return self._failed(row, error)
            log.warning("alert_dropped", reason="TELEGRAM", alert=row.id, error=str(error))
            self._tally.failures += 1
            self._count("telegram", "Dropped", str(error))
            self._box.dropped(row.id, str(error))
        else:
            self._delivered([row])
        return 0.0

    async def _deliver_together(self, rows: Sequence[AlertRow]) -> float:
        """As many as fit into one message, oldest first; at once again when there are more."""
        fits, text = 0, ""
        for row in rows:
            longer = f"{text}\n{_dated(row)}" if text else _dated(row)
            if fits and fitted(longer) != longer:
                break
            fits, text = fits + 1, longer
        together = rows[:fits]
        try:
            await self._messenger.send(text, silent=all(self._is_silent(row) for row in together))
        except NotDelivered as error:
            if not error.final:
                return self._failed(together[0], error)
            for row in together:  # one of them is what is not taken
                if pause_s := await self._deliver(row):
                    return pause_s
        else:
            self._delivered(together)
        return POLL_S

    def _delivered(self, rows: Sequence[AlertRow]) -> None:
        self._failures_in_row = 0
        self._tally.sent += 1
        self._tally.undelivered = ""
        self._box.all_sent([row.id for row in rows], self._clock.now_ms())

    def _failed(self, row: AlertRow, error: NotDelivered) -> float:
        """Everything waits, so that order is kept; the row remembers why."""
        pause_s = max(error.retry_after_s, RETRY_S[min(self._failures_in_row, len(RETRY_S) - 1)])
        self._failures_in_row += 1
        self._tally.failures += 1
        self._tally.undelivered = str(error)
        self._count("telegram", "NotDelivered", str(error))
        log.warning("alert_not_delivered", reason="TELEGRAM", alert=row.id, error=str(error), retry_s=pause_s)
        self._box.failed(row.id, str(error), row.due_ms)
        return pause_s

    def _is_silent(self, row: AlertRow) -> bool:
        return self._active.settings.alerts.get(row.kind, AlertLevel.ON) is not AlertLevel.ON


def _counted(text: str, row: AlertRow) -> str:
    return text if row.repeats == 0 else f"{text} ({row.repeats + 1} times)"


def _at_its_time(row: AlertRow) -> str:
    """For a message that comes late."""
    return f"{datetime.fromtimestamp(row.at_ms / 1000, tz=UTC):%m-%d %H:%M} UTC  {row.text}"


def _dated(row: AlertRow) -> str:
    return _counted(_at_its_time(row), row)
