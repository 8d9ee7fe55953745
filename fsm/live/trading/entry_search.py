"""Finds out what became of an entry of unknown outcome: there, shown absent, or nobody can say (R16, R20)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from exchange.types import Order, SymbolSnapshot
from fsm.core.model.intents import PlaceEntry
from fsm.core.model.records import ZERO

ABSENCES_MIN = 4
ABSENT_S_MIN = 7.5
"""Absent needs so many looks over so long that do not show it, and no position: time alone proves nothing."""

ANSWER_S_MAX = 30.0
"""Without an answer for so long the symbol is quarantined; the search goes on. So long it takes as well where a
position lies in the way that cannot be the entry's."""


class Finding(StrEnum):
    FOUND = "FOUND"
    ABSENT = "ABSENT"
    OVERDUE = "OVERDUE"
    OPEN = "OPEN"


class EntrySearch:
    """One entry that is being looked for. ``name`` is its intent's, empty when that is settled elsewhere; times are
    seconds of the real clock. While its own call is ``under_way`` nothing shows that it is absent."""

    def __init__(self, name: str, intent: PlaceEntry, since_s: float, *, under_way: bool = False) -> None:
        self.name = name
        self.intent = intent
        self.under_way = under_way
        self._since_s = since_s
        self._unheard_s = since_s
        self._absences = 0
        self._is_overdue_told = False

    def ended_unheard(self, name: str, now_s: float) -> None:
        """Its call has ended, and nobody knows how: from now on absences count."""
        self.name, self.under_way = name, False
        self._unheard_s, self._absences = now_s, 0

    def is_due(self, now_s: float, deadline_ms: int) -> bool:
        """True once: when the search has taken as long as a position may be without a stop."""
        left_s = self.due_in_s(now_s, deadline_ms)
        due = left_s is not None and left_s <= 0
        self._is_overdue_told = self._is_overdue_told or due
        return due

    def due_in_s(self, now_s: float, deadline_ms: int) -> float | None:
        """Seconds until it is due, or None when that was said."""
        return None if self._is_overdue_told else self._since_s + deadline_ms / 1000 - now_s

    @property
    def client_id(self) -> str:
        return self.intent.request.client_id

    def order_in(self, snapshot: SymbolSnapshot) -> Order | None:
        return next((order for order in snapshot.orders if order.client_id == self.client_id), None)

    def judge(self, snapshot: SymbolSnapshot, now_s: float) -> Finding:
        """What one more look says."""
        if self.order_in(snapshot) is not None:
            return Finding.FOUND
        if self.under_way:
            return Finding.OPEN
        self._absences += 1
        waited_s = now_s - self._unheard_s
        held = ZERO if snapshot.position is None else snapshot.position.quantity
        needed_s = ABSENT_S_MIN if held == ZERO else ANSWER_S_MAX
        if self._absences >= ABSENCES_MIN and waited_s >= needed_s and not self._may_show(snapshot, held):
            return Finding.ABSENT
        return Finding.OVERDUE if waited_s >= ANSWER_S_MAX else Finding.OPEN

    def _may_show(self, snapshot: SymbolSnapshot, held: Decimal) -> bool:
        """Something is open towards the entry's side, or was filled on it by an order that the look does not name:
        that may be the entry. A position the other way is somebody else's, and no reason to wait for ever."""
        side = self.intent.request.side
        named = {order.order_id for order in snapshot.orders}
        named |= {algo.actual_order_id for algo in snapshot.algo_orders if algo.actual_order_id is not None}
        unnamed = any(fill.side is side and fill.order_id not in named for fill in snapshot.fills)
        return held * side.sign > 0 or (held != ZERO and unnamed)
