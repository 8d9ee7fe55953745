"""Tells again, and others too, what is critical and nobody has acknowledged in time (`ack`).

Kept in the database: a restart neither forgets what waits nor begins its time anew.
"""

from __future__ import annotations

import msgspec
import structlog

from fsm.journal.writer import JournalWriter
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import Clock
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.news import unacknowledged_news
from store import queries

log = structlog.get_logger("fsm.alerts")

DOCUMENT = "escalation"
KIND = "escalation"
CRITICAL = "critical"
LOOK_S = 1.0
ROWS_MAX = 100
TIMES_MAX = 4
"""Who does not answer four times is not there; what comes after that is told anew."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What is critical and was not acknowledged: how many messages up to ``seen_id``, the first one's text, since when
    (this machine's clock), and how often it was told again."""

    seen_id: int = 0
    count: int = 0
    first: str = ""
    since_wall_ms: int = 0
    told: int = 0


class Escalation:
    """``clock`` is the exchange's, ``wall`` that of this machine."""

    def __init__(
        self, *, journal: JournalWriter, alerts: Alerts, active: ActiveSettings, clock: Clock, wall: Clock
    ) -> None:
        self._journal = journal
        self._alerts = alerts
        self._active = active
        self._clock = clock
        self._wall = wall
        self.waiting = self._left()

    async def run(self) -> None:
        """Look once a second."""
        while True:
            self.look()
            await self._wall.sleep(LOOK_S)

    def look(self) -> None:
        """Count what is new, and tell what has waited for too long. Raises StoreError."""
        self._take_in()
        waiting, limit_ms = self.waiting, self._active.settings.escalation.unacknowledged_ms
        if not waiting.count or limit_ms is None or waiting.told >= TIMES_MAX:
            return
        waited_ms = self._wall.wall_ms() - waiting.since_wall_ms
        if waited_ms < limit_ms * (waiting.told + 1):
            return
        text = unacknowledged_news(waiting.count, waiting.first, waited_ms)
        at_ms, key = self._clock.now_ms(), f"escalation {waiting.since_wall_ms} {waiting.told}"
        log.error("unacknowledged", reason="NOBODY_ANSWERED", count=waiting.count, waited_ms=waited_ms)
        row = self._alerts.row(at_ms, KIND, text, key=key)
        self._journal.alert(*([row] if row else []))
        self._keep(msgspec.structs.replace(waiting, told=waiting.told + 1))  # last: better told twice than not at all

    def acknowledge(self) -> str:
        """Somebody is there. Raises StoreError."""
        self._take_in()
        was = self.waiting
        self._journal.note(self._clock.now_ms(), "ALERTS_ACKNOWLEDGED", "OPERATOR", count=was.count, until=was.seen_id)
        self._keep(Waiting(seen_id=was.seen_id))
        return f"{was.count} critical message{'' if was.count == 1 else 's'} acknowledged"

    def _take_in(self) -> None:
        rows = queries.alerts_after(self._journal.store, self.waiting.seen_id, limit=ROWS_MAX)
        if not rows:
            return
        found = [row for row in rows if row.severity == CRITICAL]
        was, seen_id = self.waiting, rows[-1].id
        if not found:
            self.waiting = msgspec.structs.replace(was, seen_id=seen_id)
            return
        begun = was if was.count else Waiting(first=found[0].text, since_wall_ms=self._wall.wall_ms())
        again = 0 if was.told >= TIMES_MAX else begun.told
        self._keep(msgspec.structs.replace(begun, seen_id=seen_id, count=begun.count + len(found), told=again))

    def _keep(self, waiting: Waiting) -> None:
        self._journal.document(DOCUMENT, self._clock.now_ms(), waiting)
        self.waiting = waiting

    def _left(self) -> Waiting:
        row = queries.document(self._journal.store, DOCUMENT)
        if row is not None:
            return msgspec.json.decode(row.body_json, type=Waiting)
        newest = queries.alerts(self._journal.store, limit=1)
        return Waiting(seen_id=newest[0].id if newest else 0)
