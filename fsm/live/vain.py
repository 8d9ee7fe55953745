"""Counts signals in a row that led to no position, whatever stopped them on the way (R44)."""

from __future__ import annotations

from fsm.core.deciding import Reading
from fsm.core.move import Step
from fsm.core.states import Trigger

MANY = 20
"""So many in a row are no chance any more: a setting, a limit or the exchange keeps the bot from trading."""


class SignalsInVain:
    """A signal may be blocked by a guard, dropped before its entry, or have its entry refused."""

    def __init__(self) -> None:
        self.count = 0
        self.last_reason = ""

    def read(self, reading: Reading) -> None:
        """One symbol was read at a close."""
        if reading.outcome == "SIGNAL":
            self.count += 1
        elif reading.outcome == "BLOCKED" and reading.strategy is not None:
            self.count += 1
            self.last_reason = reading.reason

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
