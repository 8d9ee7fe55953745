"""Another way to the operator beside Telegram: the messages that are severe enough, in their order, until they arrive.

Each address remembers by itself how far it is, so that a mail server that is down holds up neither ntfy nor Telegram.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from fsm.journal.writer import JournalWriter
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import Clock
from fsm.live.operator.courier import Busy
from fsm.live.operator.escalation import KIND
from store import queries
from store.errors import StoreError
from store.rows import AlertRow

log = structlog.get_logger("fsm.alerts")

POLL_S = 2.0
RETRY_S = (5, 15, 30, 60, 120)
ROWS_MAX = 40
"""So many messages go together where many wait."""

AGE_MS_MAX = 3 * 86_400_000
"""What could not be delivered for so long is news no more; it stays in the database."""

RANKS = {"info": 0, "warning": 1, "critical": 2}
TITLE = "Trading bot: {}"

Deliver = Callable[[str, str, str], Awaitable[None]]
"""Called with severity, title and text; raises OSError, Busy or TimeoutError."""


class _Left(msgspec.Struct, frozen=True):
    seen_id: int = 0


class Channel:
    """``only_escalated``: this address hears of nothing else. ``wall`` is the clock of this machine."""

    def __init__(
        self,
        name: str,
        deliver: Deliver,
        *,
        journal: JournalWriter,
        active: ActiveSettings,
        clock: Clock,
        wall: Clock,
        only_escalated: bool,
        count: Callable[[str, str, str], None] = lambda component, name, error: None,
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._journal = journal
        self._active = active
        self._clock = clock
        self._wall = wall
        self._only_escalated = only_escalated
        self._count = count
        self._failures_in_row = 0
        self._seen_id = self._left()

    async def run(self) -> None:
        """Deliver what is due, again and again."""
        while True:
            await self._wall.sleep(await self.round())

    async def round(self) -> float:
        """Deliver what is due now; gives the seconds until the next look."""
        try:
            limit = max(ROWS_MAX >> self._failures_in_row, 1)  # it may be the length that is not taken
            rows = queries.alerts_after(self._journal.store, self._seen_id, limit=limit)
            wanted = [row for row in rows if self._is_for_here(row)]
            if wanted and not await self._delivered(wanted):
                return RETRY_S[min(self._failures_in_row, len(RETRY_S)) - 1]
            if rows:
                self._seen_id = rows[-1].id
                if wanted:
                    self._remember()
        except StoreError as error:
            log.warning("alerts_unreadable", reason="STORE", error=str(error))
        return POLL_S

    async def _delivered(self, rows: Sequence[AlertRow]) -> bool:
        worst = max((row.severity for row in rows), key=RANKS.__getitem__)
        try:
            await self._deliver(worst, TITLE.format(worst), "\n".join(row.text for row in rows))
        except (OSError, Busy) as error:
            self._failures_in_row += 1
            self._count("alerts", "NotDelivered", f"{self._name}: {error or type(error).__name__}")
            log.warning("alert_not_delivered", reason="CHANNEL", channel=self._name, alert=rows[0].id, error=str(error))
            return False
        self._failures_in_row = 0
        return True

    def _is_for_here(self, row: AlertRow) -> bool:
        if self._clock.now_ms() - row.at_ms > AGE_MS_MAX:
            return False
        if row.kind == KIND or self._only_escalated:
            return row.kind == KIND
        return RANKS[row.severity] >= RANKS[self._active.settings.escalation.severity_min]

    def _left(self) -> int:
        """Where it stopped; a new address hears of what comes from now on."""
        row = queries.document(self._journal.store, self._document)
        if row is not None:
            return msgspec.json.decode(row.body_json, type=_Left).seen_id
        newest = queries.alerts(self._journal.store, limit=1)
        return newest[0].id if newest else 0

    def _remember(self) -> None:
        self._journal.document(self._document, self._clock.now_ms(), {"seen_id": self._seen_id})

    @property
    def _document(self) -> str:
        return f"channel {self._name}"
