"""One pure function from (record, event, portfolio, setting) to a decision; replay calls it with what was recorded."""

from __future__ import annotations

from msgspec.structs import replace

from fsm.core.closing import begin_flatten, close_ended, look_closing
from fsm.core.commands import command
from fsm.core.deciding import read_candle
from fsm.core.entering import entry_absent, entry_ended, look_entering, setup_ended, stop_ended
from fsm.core.events import (
    CandleClosed,
    Commanded,
    DeadlinePassed,
    EntryShownAbsent,
    IntentEnded,
    SetupEnded,
    SymbolEvent,
    SymbolObserved,
)
from fsm.core.holding import look_holding, target_ended
from fsm.core.intents import ClosePosition, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.move import Move, move
from fsm.core.records import Flag, State, SymbolRecord
from fsm.core.resting import foreign_open_orders, look_resting
from fsm.core.scene import Portfolio, Setting
from fsm.core.sight import see
from fsm.core.states import Trigger


def judge(record: SymbolRecord, event: SymbolEvent, portfolio: Portfolio, setting: Setting) -> Move | None:
    """What this event means to this symbol: a move, or None when it changes nothing."""
    match event:
        case CandleClosed():
            return read_candle(record, event, portfolio, setting).move
        case SymbolObserved():
            return judge_look(record, event, setting)
        case IntentEnded():
            return _judge_outcome(record, event, setting)
        case SetupEnded():
            return setup_ended(record, event, portfolio, setting) if record.state is State.SIGNALLED else None
        case EntryShownAbsent():
            return entry_absent(record, event) if record.state is State.ENTERING else None
        case DeadlinePassed():
            return _judge_deadline(record, event, setting)
        case Commanded():
            return command(record, event, portfolio.blocked, setting)


def _judge_outcome(record: SymbolRecord, event: IntentEnded, setting: Setting) -> Move | None:
    """An answer counts only in the states that asked for it; a late one is harmless, the next look tells the truth."""
    match event.intent:
        case PlaceEntry() if record.state is State.ENTERING:
            return entry_ended(record, event, setting)
        case PlaceStop() if record.state in (State.ENTERING, State.PROTECTED):
            return stop_ended(record, event, setting)
        case PlaceTarget(index=index) if record.state is State.PROTECTED:
            return target_ended(record, event, index, setting)
        case ClosePosition() if record.state in (State.EXITING, State.FLATTEN):
            return close_ended(record, event, setting)
    return None


def _judge_deadline(record: SymbolRecord, event: DeadlinePassed, setting: Setting) -> Move | None:
    if record.state not in (State.ENTERING, State.PROTECTED) or record.trade is None:
        return None
    if record.trade.first_fill_ms is None:
        return None
    return begin_flatten(record, event.at_ms, "PROTECTION_DEADLINE", setting)


def judge_look(record: SymbolRecord, event: SymbolObserved, setting: Setting) -> Move | None:
    """Foreign orders first, since they are only remarked upon; then what the state makes of the look."""
    foreign = foreign_open_orders(event.snapshot, setting.database_id)
    if foreign and record.quarantine is None:
        flagged = replace(record, quarantine=Flag("FOREIGN_ORDER", event.at_ms))
        return move(Trigger.QUARANTINE, "FOREIGN_ORDER", flagged, facts={"orders": list(foreign)})
    if record.trade is None or record.state in (State.IDLE, State.HALT, State.SIGNALLED):
        if record.state in (State.EXITING, State.FLATTEN):
            return move(Trigger.FLAT, "NOTHING_OPEN", record)
        return look_resting(record, event, setting)
    sight = see(record.trade, event.snapshot, setting)
    if record.state is State.ENTERING:
        return look_entering(record, event, sight, setting)
    if record.state is State.PROTECTED:
        return look_holding(record, event, sight, setting)
    return look_closing(record, event, sight, setting)
