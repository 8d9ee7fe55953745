"""The wishes of the operator, the limits and the engine itself: pause, resume, halt, flatten, exit, quarantine."""

from __future__ import annotations

from msgspec.structs import replace

from fsm.core.by_hand import HAND_COMMANDS, by_hand
from fsm.core.leaving import begin_exit, begin_flatten
from fsm.core.model.decision import Decision, Guard, Rejected, decision
from fsm.core.model.decision_context import HANDS_EDITION, DecisionContext, Portfolio
from fsm.core.model.events import Commanded
from fsm.core.model.intents import CancelEntry, Intent, Look
from fsm.core.model.records import LIMIT_CAUSES, EntryLeg, State, SymbolRecord
from fsm.core.model.transition_table import TABLE, Cell, Trigger
from fsm.core.releasing import release


def command(record: SymbolRecord, event: Commanded, portfolio: Portfolio, context: DecisionContext) -> Decision | None:
    """Carry out a wish. Of a resume the portfolio names the account-wide halt that still holds (empty: none).

    Returns None when it is so already; raises Rejected when it must not be.
    """
    if event.command in HAND_COMMANDS:
        return by_hand(record, event, portfolio, context)
    match event.command:
        case "pause":
            return _pause(record, event)
        case "resume":
            return _resume(record, event, portfolio.blocked, context)
        case "halt":
            return _halt(record, event)
        case "flatten":
            return _flatten(record, event, context)
        case "exit":
            return _exit(record, event, context)
        case "release":
            return release(record, event, context)
        case "withdraw":
            return _withdraw(record, event)
        case "quarantine":
            if record.quarantine is not None:
                return None
            return decision(Trigger.QUARANTINE, event.cause, record.quarantined(event.cause, event.at_ms))
    raise Rejected(
        "COMMAND",
        f"there is no command {event.command!r}; use pause, resume, flatten, release, exit, halt, quarantine, reduce, "
        "move-stop or move-target",
    )


def _resume(record: SymbolRecord, event: Commanded, blocked: str, context: DecisionContext) -> Decision | None:
    """Clears pause, halt and quarantine, unless the cause still lasts. A limit's own resume clears only its halt."""
    rejects = TABLE[record.state][Trigger.RESUME] is Cell.REJECT
    if event.cause in LIMIT_CAUSES:
        ends = not rejects and record.halt is not None and record.halt.cause == event.cause
        return decision(Trigger.RESUME, event.cause, replace(record, halt=None)) if ends else None
    if rejects:
        raise Rejected("STATE", f"{record.symbol} is in {record.state}: it resumes when the emergency close is done")
    if blocked in LIMIT_CAUSES:
        raise Rejected(blocked, f"{record.symbol} stays halted: the loss limit {blocked} is still exceeded")
    if context.edition >= HANDS_EDITION:
        _refuse_unexplained(record)
    if not (record.paused or record.halt or record.quarantine):
        return None
    cleared = replace(record, paused=False, halt=None, quarantine=None, refusal=None)
    return decision(Trigger.RESUME, event.cause, cleared, guards=_cleared(record))


def _cleared(record: SymbolRecord) -> tuple[Guard, ...]:
    """What is lifted, and since when it stood."""
    flags = (("HALT", record.halt), ("QUARANTINE", record.quarantine))
    return tuple(
        Guard(f"CLEARS_{name}", True, flag.cause, str(flag.since_ms)) for name, flag in flags if flag is not None
    )


def _refuse_unexplained(record: SymbolRecord) -> None:
    """A quarantine is lifted when what it is for is understood, and not before. Raises Rejected."""
    symbol = record.symbol
    if record.foreign is not None and record.released is None:
        what = f"{record.foreign.quantity:f} {symbol} is open that is not ours"
        ways = f"close it by hand, or `release {symbol}` leaves it to you; `flatten {symbol}` closes what is ours"
        raise Rejected("FOREIGN_POSITION", f"{symbol} stays quarantined: {what}; {ways}")
    unresolved = record.quarantine is not None and record.quarantine.cause == "UNRESOLVED_ORDER"
    if unresolved and _is_entry_unknown(record):
        raise Rejected("UNRESOLVED_ORDER", f"{symbol} stays quarantined: nobody knows yet what became of its entry")


def _is_entry_unknown(record: SymbolRecord) -> bool:
    """An entry was sent and nothing of it was seen to fill: it may still open a position."""
    trade = record.trade
    return record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None


def _pause(record: SymbolRecord, event: Commanded) -> Decision | None:
    if record.paused:
        return None
    return decision(Trigger.PAUSE, event.cause, replace(record, paused=True), intents=_stop_entering(record))


def _halt(record: SymbolRecord, event: Commanded) -> Decision | None:
    """No entries from now on; a position stays managed and the symbol is in HALT once flat. The first cause stands,
    except that an operator's halt replaces a limit's, which would end by itself."""
    after = record.halted(event.cause, event.at_ms)
    if after is record:
        return None
    if record.state is State.SIGNALLED:
        after = replace(after, trade=None)
    return decision(Trigger.HALT, event.cause, after, intents=_stop_entering(record))


def _withdraw(record: SymbolRecord, event: Commanded) -> Decision | None:
    """A LIMIT entry that waits is taken back; nothing else changes."""
    intents = _stop_entering(record)
    return decision(Trigger.SWEEP, event.cause, record, intents=intents) if intents else None


def _stop_entering(record: SymbolRecord) -> tuple[Intent, ...]:
    """A LIMIT entry that still waits must not open a position after entries were forbidden."""
    trade = record.trade
    if record.state is not State.ENTERING or trade is None or not _waits(trade.entry):
        return ()
    cancel = CancelEntry(symbol=record.symbol, client_id=trade.entry.client_id)
    return cancel, Look(symbol=record.symbol)


def _waits(entry: EntryLeg) -> bool:
    """A MARKET entry has no price, and is over before anybody could cancel it."""
    return entry.price is not None and not entry.finished


def _exit(record: SymbolRecord, event: Commanded, context: DecisionContext) -> Decision | None:
    """End the trade at market, flagged with the cause; the symbol stays free to trade."""
    if record.trade is None or record.state not in (State.ENTERING, State.PROTECTED):
        return None
    flagged = replace(record, trade=replace(record.trade, flagged=event.cause))
    return begin_exit(flagged, event.cause, context)


def _flatten(record: SymbolRecord, event: Commanded, context: DecisionContext) -> Decision | None:
    """Halted first, so that nothing re-enters; then closed if there is anything to close."""
    after = record.halted(event.cause, event.at_ms)
    if record.state in (State.IDLE, State.HALT, State.FLATTEN):
        return None if after is record else decision(Trigger.HALT, event.cause, after)
    return begin_flatten(after, event.cause, context)
