"""Keeps retries from becoming a loop: without progress, each waits longer than the one before, in real time."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from fsm.core.close_forms import FORMS
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import ZERO, State, SymbolRecord, Tried
from fsm.core.model.transition_table import Trigger

RETRIES = (Trigger.REPROTECT, Trigger.SWEEP)
PAUSE_FIRST_MS = 500
PAUSE_NAKED_MS = 450
"""While a position has no stop it is tried every half second: a look half a second later must not come too early."""

PAUSE_OPEN_MS_MAX = 4_000
"""While a position is open nothing waits longer than this: shorter than the shipped protection deadline."""
PAUSE_FLAT_MS_MAX = 60_000
NAKED_TRIES = 10
"""So often what protects is tried at one pace while nothing does, then ever more slowly: as long as a deadline is."""

PAUSE_CLOSING_MS_MAX = 700
"""What is to be closed and has no stop is tried at least once a second for as long as it takes: one order and one look
a second are far within every budget."""

FORGET_MS = 600_000
"""After so long without a retry the next one is a first one again."""


def backed_off(
    record: SymbolRecord, made: Decision | None, real_ms: int, context: DecisionContext, *, closes_naked: bool = False
) -> Decision | None:
    """The move, or None where it would repeat a retry too soon. Progress is another state or another open quantity.

    ``closes_naked``: a look shows a position that is to be closed, and no stop. A missing stop waits only for earlier
    attempts at a stop, and that it is missing is noted also while it waits.
    A clock that was set back makes no retry wait.
    """
    if made is None or not _is_retry(record, made):
        return made
    uncovered_ms = made.record.trade.uncovered_ms if made.record.trade else None
    tried, at = record.tried, _where(record, made, uncovered_ms)
    elapsed = FORGET_MS if tried is None or tried.at != at else real_ms - tried.real_ms
    tries = tried.count if tried is not None and elapsed < FORGET_MS else 0
    if 0 <= elapsed < _pause_of(record, made, tries, context, closes_naked=closes_naked):
        return _noted(record, uncovered_ms)
    return replace(made, record=replace(made.record, tried=Tried(at, real_ms, tries + 1)))


def _is_retry(record: SymbolRecord, made: Decision) -> bool:
    return made.trigger in RETRIES and bool(made.intents) and not _is_news(record, made)


def _pause_of(record: SymbolRecord, made: Decision, tries: int, context: DecisionContext, *, closes_naked: bool) -> int:
    uncovered = made.record.trade is not None and made.record.trade.uncovered_ms is not None
    if context.edition < 2:
        return _pause_ms(tries, _longest_ms(record, closes_naked=False), naked=False)
    if _is_clearing_up(record, made):
        return _pause_ms(tries, PAUSE_FLAT_MS_MAX, naked=False)
    return _pause_ms(tries, _longest_ms(record, closes_naked=closes_naked), naked=uncovered)


def _is_clearing_up(record: SymbolRecord, made: Decision) -> bool:
    """On the way out orders are swept only once nothing is open any more, whatever the books still say."""
    return made.trigger is Trigger.SWEEP and record.state in (State.EXITING, State.FLATTEN)


def _where(record: SymbolRecord, made: Decision, uncovered_ms: int | None) -> str:
    """Where things stand: what is tried from somewhere else is not the same retry."""
    trade = made.record.trade
    at = f"{record.state} {_open(record).normalize():f}"
    if uncovered_ms is not None:
        at += " without a stop"
    if trade is not None and trade.close_failed <= FORMS:  # each other form and size of a close is tried at once, once
        at += f" {trade.close_failed}" if trade.close_failed else ""
        at += f" of {trade.close_lot:f}" if trade.close_lot else ""
    return at


def _open(record: SymbolRecord) -> Decimal:
    return record.trade.open_quantity if record.trade else ZERO


def _longest_ms(record: SymbolRecord, *, closes_naked: bool) -> int:
    if closes_naked:
        return PAUSE_CLOSING_MS_MAX
    return PAUSE_OPEN_MS_MAX if _open(record) else PAUSE_FLAT_MS_MAX


def _pause_ms(tries: int, longest: int, *, naked: bool) -> int:
    """Before the next try, after so many; doubling, but at one pace while nothing protects."""
    count, first = tries, PAUSE_FIRST_MS
    if naked:
        first = PAUSE_NAKED_MS if count <= NAKED_TRIES else first
        count = max(count - NAKED_TRIES, min(count, 1))
    return min(first << min(count - 1, 10), longest) if count else 0


def _is_news(record: SymbolRecord, made: Decision) -> bool:
    """A refusal that is noted, with the look that it asks for (R59), repeats nothing."""
    before, after = record.trade, made.record.trade
    return (
        before is not None and after is not None and before.no_position_ms is None and after.no_position_ms is not None
    )


def _noted(record: SymbolRecord, uncovered_ms: int | None) -> Decision | None:
    """The deadline runs from the first look that shows no stop, whatever is tried when (R5)."""
    trade = record.trade
    if trade is None or uncovered_ms is None or trade.uncovered_ms is not None:
        return None
    after = replace(record, trade=replace(trade, uncovered_ms=uncovered_ms))
    return decision(Trigger.REPROTECT, "STOP_UNSEEN", after)
