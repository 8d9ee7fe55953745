"""One pure function from (record, event, portfolio, setting) to a decision; replay calls it with what was recorded."""

from __future__ import annotations

from exchange.types import SymbolSnapshot
from fsm.core.candle_close import decide_candle
from fsm.core.commands import command
from fsm.core.forced_ends import closed_by_ledger
from fsm.core.leaving import begin_flatten
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import (
    CandleClosed,
    Commanded,
    DeadlinePassed,
    EntryShownAbsent,
    IntentEnded,
    JournalFoundOld,
    SetupEnded,
    SymbolEvent,
    SymbolObserved,
    real_ms,
)
from fsm.core.model.intents import ClosePosition, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.records import State, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import covering_stops, foreign_open_orders, observe
from fsm.core.order_requests import planned_stop
from fsm.core.reducing import reduce_ended
from fsm.core.restoring import restored
from fsm.core.retry_backoff import backed_off
from fsm.core.states.closing import close_ended, look_closing
from fsm.core.states.entering import entry_absent, entry_ended, look_entering, setup_ended
from fsm.core.states.protected import look_holding
from fsm.core.states.resting import look_resting
from fsm.core.stops import stop_ended
from fsm.core.targets import target_ended


def decide(record: SymbolRecord, event: SymbolEvent, portfolio: Portfolio, context: DecisionContext) -> Decision | None:
    """What this event means to this symbol: a move, or None when it changes nothing."""
    match event:
        case CandleClosed():
            return decide_candle(record, event, portfolio, context).decision
        case SymbolObserved():
            made = _decide_look(record, event, context)
            return backed_off(record, made, real_ms(event), context, closes_naked=_closes_naked(record, event))
        case IntentEnded():
            return backed_off(record, _decide_outcome(record, event, context), real_ms(event), context)
        case SetupEnded():
            return setup_ended(record, event, portfolio, context) if record.state is State.SIGNALLED else None
        case EntryShownAbsent():
            return entry_absent(record, event) if record.state is State.ENTERING else None
        case DeadlinePassed():
            return _decide_deadline(record, context)
        case JournalFoundOld():
            return restored(record, event, context)
        case Commanded():
            return command(record, event, portfolio, context)


def _closes_naked(record: SymbolRecord, event: SymbolObserved) -> bool:
    """A position is on its way out, and the look shows no stop that would close it."""
    trade, position = record.trade, event.snapshot.position
    if trade is None or position is None or record.state not in (State.EXITING, State.FLATTEN):
        return False
    held = position.quantity * trade.side.sign
    return held > 0 and not covering_stops(event.snapshot, trade.side, held)


def _decide_outcome(record: SymbolRecord, event: IntentEnded, context: DecisionContext) -> Decision | None:
    """An answer counts only in the states that asked for it and for the order that is wanted now; a late one is
    harmless, the next look tells the truth."""
    open_states = (State.ENTERING, State.PROTECTED)
    match event.intent:
        case PlaceEntry(request=request) if record.state is State.ENTERING:
            return entry_ended(record, event, request.client_id, context)
        case PlaceStop(request=request) if record.state in open_states:
            return stop_ended(record, event, request.client_id, context)
        case PlaceTarget() if record.state in open_states:
            return target_ended(record, event, event.intent, context)
        case ClosePosition(request=request) if record.state in (State.EXITING, State.FLATTEN):
            return close_ended(record, event, request.client_id, context)
        case ClosePosition(request=request) if record.state is State.PROTECTED:
            return reduce_ended(record, event, request.client_id, context)
    return None


def _decide_deadline(record: SymbolRecord, context: DecisionContext) -> Decision | None:
    """The deadline counts while the position is open and no stop was read back since it began to run (R5).

    It also runs for an entry of unknown fate: what may be open gets its stop, which is refused where nothing is (R20).
    """
    trade = record.trade
    if record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None:
        return decision(Trigger.REPROTECT, "ENTRY_UNRESOLVED", record, intents=(planned_stop(trade, context),))
    if record.state not in (State.ENTERING, State.PROTECTED) or trade is None or trade.uncovered_ms is None:
        return None
    return begin_flatten(record, "PROTECTION_DEADLINE", context)


def _decide_look(record: SymbolRecord, event: SymbolObserved, context: DecisionContext) -> Decision | None:
    """Foreign orders first, since they are only remarked upon; then what the state makes of the look."""
    foreign = foreign_open_orders(event.snapshot, context.database_id)
    if foreign and record.quarantine is None:
        flagged = record.quarantined("FOREIGN_ORDER", event.at_ms)
        return decision(Trigger.QUARANTINE, "FOREIGN_ORDER", flagged, facts={"orders": list(foreign)})
    if record.trade is None or record.state is State.SIGNALLED:
        return look_resting(record, event, context)
    if _proves_nothing(record.trade, event.snapshot):
        return _unlisted(record, event)
    view = observe(record.trade, event.snapshot, context)
    if record.state is State.ENTERING:
        return look_entering(record, event, view, context)
    if record.state is State.PROTECTED:
        return look_holding(record, event, view, context)
    return look_closing(record, event, view, context)


def _proves_nothing(trade: Trade, snapshot: SymbolSnapshot) -> bool:
    shown = snapshot.position is not None and snapshot.position.quantity != 0
    return snapshot.unlisted and not shown and not closed_by_ledger(trade, snapshot)


def _unlisted(record: SymbolRecord, event: SymbolObserved) -> Decision | None:
    """The exchange says that there is no such symbol, and its ledger does not show the position closed: what is absent
    proves nothing, and no order of this symbol would be taken (R63)."""
    if record.quarantine is not None:
        return None
    return decision(Trigger.QUARANTINE, "SYMBOL_GONE", record.quarantined("SYMBOL_GONE", event.at_ms))
