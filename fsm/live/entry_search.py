"""Finds out what became of an entry of unknown outcome: there, shown absent, or nobody can say (R16, R20)."""

from __future__ import annotations

from enum import StrEnum

from exchange.types import Order, SymbolSnapshot
from fsm.core.intents import PlaceEntry
from fsm.core.records import ZERO

ABSENCES_MIN = 4
ABSENT_S_MIN = 7.5
"""Absent needs so many looks over so long that do not show it, and no position: time alone proves nothing."""

ANSWER_S_MAX = 30.0
"""Without an answer for so long the symbol is quarantined; the search goes on."""


class Finding(StrEnum):
    FOUND = "FOUND"
    ABSENT = "ABSENT"
    OVERDUE = "OVERDUE"
    OPEN = "OPEN"


class EntrySearch:
    """One entry that is being looked for. ``name`` is its intent's, empty when that is settled already; times are
    seconds of the real clock."""

    def __init__(self, name: str, intent: PlaceEntry, since_s: float) -> None:
        self.name = name
        self.intent = intent
        self._since_s = since_s
        self._absences = 0
        self._is_overdue_told = False

    def is_due(self, now_s: float, deadline_ms: int) -> bool:
        """True once: when the search has taken as long as a position may be without a stop."""
        due = not self._is_overdue_told and (now_s - self._since_s) * 1000 >= deadline_ms
        self._is_overdue_told = self._is_overdue_told or due
        return due

    @property
    def client_id(self) -> str:
        return self.intent.request.client_id

    def order_in(self, snapshot: SymbolSnapshot) -> Order | None:
        return next((order for order in snapshot.orders if order.client_id == self.client_id), None)

    def judge(self, snapshot: SymbolSnapshot, now_s: float) -> Finding:
        """What one more look says."""
        if self.order_in(snapshot) is not None:
            return Finding.FOUND
        self._absences += 1
        waited_s = now_s - self._since_s
        flat = snapshot.position is None or snapshot.position.quantity == ZERO
        if flat and self._absences >= ABSENCES_MIN and waited_s >= ABSENT_S_MIN:
            return Finding.ABSENT
        return Finding.OVERDUE if waited_s >= ANSWER_S_MAX else Finding.OPEN
