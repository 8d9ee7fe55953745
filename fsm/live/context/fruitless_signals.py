"""Counts signals in a row that led to no position, whatever stopped them on the way (R44)."""

from __future__ import annotations

import msgspec

from fsm.core.candle_close import CandleVerdict
from fsm.core.model.decision import Step
from fsm.core.model.transition_table import Trigger
from fsm.journal.writer import JournalWriter
from store import queries
from store.database import Store

DOCUMENT = "signals_in_vain"

MANY = 20
"""So many in a row are no chance any more: a setting, a limit or the exchange keeps the bot from trading."""


class Kept(msgspec.Struct, frozen=True):
    """What a restart finds."""

    count: int = 0
    last_reason: str = ""


class FruitlessSignals:
    """A signal may be blocked by a guard, dropped before its entry, or have its entry refused.

    The count outlives restarts as a document, or a bot that is restarted often would never reach the number.
    """

    def __init__(self, store: Store) -> None:
        found = queries.document(store, DOCUMENT)
        kept = Kept() if found is None else msgspec.json.decode(found.body_json, type=Kept)
        self.count, self.last_reason = kept.count, kept.last_reason
        self._kept = kept

    def keep(self, journal: JournalWriter, at_ms: int) -> None:
        """Write the count down where it is another one than before. Raises JournalError."""
        now = Kept(count=self.count, last_reason=self.last_reason)
        if now != self._kept:
            journal.document(DOCUMENT, at_ms, now)
            self._kept = now

    def read(self, verdict: CandleVerdict) -> None:
        """One symbol was read at a close."""
        if verdict.outcome == "SIGNAL":
            self.count += 1
        elif verdict.outcome == "BLOCKED" and verdict.strategy is not None:
            self.count += 1
            self.last_reason = verdict.reason

    def stepped(self, step: Step) -> None:
        """Any symbol made a transition."""
        if step.trigger in (Trigger.DROP, Trigger.ABANDON):
            self.last_reason = step.reason
        elif step.trigger is Trigger.FILL:
            self.count = 0

    @property
    def is_alarming(self) -> bool:
        """True at each so-manieth."""
        return self.count > 0 and self.count % MANY == 0
