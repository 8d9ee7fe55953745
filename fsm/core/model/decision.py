"""What a decision is: the trigger it pulls, why, what is true afterwards and what must be done."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from fsm.core.model.intents import Intent
from fsm.core.model.records import State, SymbolRecord, Trade
from fsm.core.model.transition_table import TABLE, Cell, Trigger


class Rejected(Exception):
    """The state, or a guard, forbids what was asked. ``guard`` names it."""

    def __init__(self, guard: str, message: str) -> None:
        super().__init__(message)
        self.guard = guard


class Guard(msgspec.Struct, frozen=True):
    """One condition that had to hold: what was found, and what it was held against."""

    name: str
    passed: bool
    value: str = ""
    limit: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision before it is committed. ``record`` is the symbol's record once it is; its state is the destination.

    ``facts`` is everything beyond the event and the record before it that the decision read; ``booked`` is the
    trade that this move closed, complete with its result.
    """

    trigger: Trigger
    reason: str
    record: SymbolRecord
    intents: tuple[Intent, ...] = ()
    guards: tuple[Guard, ...] = ()
    facts: dict[str, Any] = {}
    booked: Trade | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that is committed: its row's number, and its intents with the names they have in the outbox.

    ``booked`` is the trade whose books it closed.
    """

    transition_id: int
    at_ms: int
    symbol: str
    source: State
    dest: State
    trigger: Trigger
    reason: str
    trade_id: str | None
    intents: tuple[tuple[str, Intent], ...]
    booked: Trade | None = None


def decision(
    trigger: Trigger,
    reason: str,
    record: SymbolRecord,
    *,
    intents: tuple[Intent, ...] = (),
    guards: tuple[Guard, ...] = (),
    facts: dict[str, Any] | None = None,
    booked: Trade | None = None,
) -> Decision:
    """Build a Move whose record carries the state that the table gives for this trigger."""
    cell = TABLE[record.state][trigger]
    if isinstance(cell, State):
        record = msgspec.structs.replace(record, state=cell)
    elif cell is Cell.FLAT_HOME:
        record = msgspec.structs.replace(record, state=State.HALT if record.halt else State.IDLE)
    return Decision(
        trigger=trigger, reason=reason, record=record, intents=intents, guards=guards, facts=facts or {}, booked=booked
    )


def at_most(name: str, value: Decimal | int, limit: Decimal | int) -> Guard:
    return Guard(name, value <= limit, str(value), f"<= {limit}")


def at_least(name: str, value: Decimal | int, limit: Decimal | int) -> Guard:
    return Guard(name, value >= limit, str(value), f">= {limit}")


def failed(guards: tuple[Guard, ...]) -> Guard | None:
    """The first guard that did not hold."""
    return next((guard for guard in guards if not guard.passed), None)
