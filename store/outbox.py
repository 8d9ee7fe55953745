"""The outbox: intents that were committed and are not known to be done."""

from __future__ import annotations

from store.database import Store
from store.models import Intent
from store.queries.fetching import fetch, fetch_one
from store.rows import IntentOutcome, IntentStatus
from store.views import IntentRow
from store.writes import Writes

OPEN = ("PENDING", "UNKNOWN")


class Outbox:
    """Reads and settles intents. They get in by being part of a transition's effect, in its transaction (R18)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def pending(self, symbol: str | None = None) -> list[IntentRow]:
        """Open intents in the order in which they were committed: after a crash, what may or may not have been sent."""
        query = Intent.select().where(Intent.status.in_(OPEN)).order_by(Intent.transition_id, Intent.ordinal)
        if symbol is not None:
            query = query.where(Intent.symbol == symbol)
        return fetch(self._store, query, IntentRow)

    def get(self, intent_id: str) -> IntentRow | None:
        """One intent."""
        return fetch_one(self._store, Intent.select().where(Intent.id == intent_id), IntentRow)

    def settle(self, intent_id: str, status: IntentStatus, outcome_json: str | None, at_ms: int) -> None:
        """Write what became of an intent, in a transaction of its own. UNKNOWN leaves it open."""
        outcome = IntentOutcome(intent_id=intent_id, status=status, outcome_json=outcome_json, at_ms=at_ms)
        with self._store.transaction() as connection:
            writes = Writes(connection, self._store.seals)
            writes.settle(outcome)
            writes.apply()
