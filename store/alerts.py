"""The outbox of messages for the operator: kept until delivered, each once, whatever the messenger does (R51)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from store import statements
from store.database import Store
from store.queries.fetching import select_each
from store.rows import AlertRow

_DUE = "SELECT * FROM alerts WHERE state = 'PENDING' AND due_ms <= ? ORDER BY due_ms, id"
_SENT = "UPDATE alerts SET state = 'SENT', sent_ms = ?, attempts = attempts + 1, last_error = NULL WHERE id = ?"
_FAILED = "UPDATE alerts SET attempts = attempts + 1, last_error = ?, due_ms = ? WHERE id = ? AND state = 'PENDING'"
_DROPPED = "UPDATE alerts SET state = 'DROPPED', last_error = ? WHERE id = ? AND state = 'PENDING'"


_EXPIRED = "UPDATE alerts SET state = 'DROPPED', last_error = ? WHERE at_ms < ? AND state = 'PENDING'"


class AlertBox:
    """Alerts of a store that is open for writing. They usually get in with a Batch; ``add`` is for the rest."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, row: AlertRow) -> None:
        """Keep a message for delivery. A known ``dedupe_key`` only counts up ``repeats``."""
        self._change(*statements.alert(row)[:2])

    def due(self, now_ms: int, *, limit: int = 20) -> list[AlertRow]:
        """Messages to deliver now, the longest due first. It is asked every second, mostly for nothing."""
        # A bound LIMIT makes SQLite plan the query anew each time, which takes five times as long as asking.
        return list(select_each(self._store, f"{_DUE} LIMIT {limit:d}", (now_ms,), AlertRow))

    def repeats(self, alert_ids: Collection[int]) -> dict[int, int]:
        """How often each of them happened again."""
        if not alert_ids:
            return {}
        marks = ", ".join("?" * len(alert_ids))
        asked = f"SELECT * FROM alerts WHERE id IN ({marks})"  # noqa: S608 - nothing but question marks
        return {row.id: row.repeats for row in select_each(self._store, asked, tuple(alert_ids), AlertRow)}

    def sent(self, alert_id: int, at_ms: int) -> None:
        """It was delivered."""
        self._change(_SENT, (at_ms, alert_id))

    def all_sent(self, alert_ids: Sequence[int], at_ms: int) -> None:
        """They were delivered, all or none of them."""
        with self._store.transaction() as connection:
            connection.executemany(_SENT, [(at_ms, alert_id) for alert_id in alert_ids])

    def failed(self, alert_id: int, error: str, retry_ms: int) -> None:
        """It was not delivered; it is due again at ``retry_ms``."""
        self._change(_FAILED, (error, retry_ms, alert_id))

    def dropped(self, alert_id: int, error: str) -> None:
        """It will not be tried again."""
        self._change(_DROPPED, (error, alert_id))

    def expire(self, before_ms: int, error: str) -> None:
        """What is older will not be delivered any more."""
        self._change(_EXPIRED, (error, before_ms))

    def _change(self, sql: str, values: statements.Values) -> None:
        with self._store.transaction() as connection:
            connection.execute(sql, values)
