"""The stop while a position is open: its refusals, its read-back, and what is done when it is not where it must be."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import AlgoStatus, Confirmed, Refused, Unknown
from fsm.core.leaving import begin_exit, begin_flatten
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import IntentEnded, SymbolObserved
from fsm.core.model.intents import CancelAlgo, Intent, Look
from fsm.core.model.records import SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import FIRING, STUCK_TRIGGER_MS, TradeView
from fsm.core.order_requests import bridge_id, next_stop_attempt, place_bridge, place_stop
from fsm.core.refusals import ALREADY_THERE, TEMPORARY, WRONG_TICK, refused_again
from fsm.core.rounding_anew import on_known_tick, rounded_anew

STOP_ATTEMPTS_MAX = 5
"""A venue that cancels our stop this often will not keep the next one either."""


def stop_ended(record: SymbolRecord, event: IntentEnded, client_id: str, context: DecisionContext) -> Decision | None:
    """A stop was answered; only its refusal or an unknown outcome asks for something (it may be sent twice)."""
    trade, outcome = record.trade, event.outcome
    if trade is None or trade.stop is None or isinstance(outcome, Confirmed):
        return None
    if client_id == bridge_id(context, trade, trade.stop) and isinstance(outcome, Refused):
        return _bridge_refused(record, trade, outcome, context)
    if client_id != trade.stop.client_id:
        return None
    if isinstance(outcome, Unknown):
        return place_stop_again(record, event.at_ms, "STOP_UNKNOWN", context, new_id=False)
    return _stop_refused(record, event.at_ms, outcome, context)


def _stop_refused(record: SymbolRecord, at_ms: int, refused: Refused, context: DecisionContext) -> Decision | None:
    """The market is beyond it, so the position is closed now (R4). What may pass is tried again."""
    code, reason = refused.code, refused.reason
    if reason in ALREADY_THERE:
        return None
    if reason is RefusalReason.WOULD_TRIGGER:
        return begin_flatten(record, "STOP_WOULD_TRIGGER", context)
    if reason is RefusalReason.NO_POSITION and context.edition >= 2:
        return _position_denied(record, at_ms, code)
    if reason is RefusalReason.NO_POSITION:
        return place_stop_again(record, at_ms, f"STOP_REFUSED {code}", context, new_id=True)
    if reason in TEMPORARY:
        return place_stop_again(record, at_ms, f"STOP_REFUSED {code}", context, new_id=False)
    if (
        context.edition > 1
        and reason in WRONG_TICK
        and (anew := _on_another_tick(record, at_ms, code, context)) is not None
    ):
        return anew
    return begin_flatten(refused_again(record, at_ms, refused, context), f"STOP_REFUSED {code}", context)


def _on_another_tick(record: SymbolRecord, at_ms: int, code: int | str, context: DecisionContext) -> Decision | None:
    """The tick changed while we ran: the stop goes out again on the new one (R65)."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    price = rounded_anew(trade.stop.trigger_price, trade.side, context)
    if price is None:
        return None
    moved = replace(trade, stop=replace(trade.stop, trigger_price=price))
    return place_stop_again(replace(record, trade=moved), at_ms, f"STOP_ROUNDED_ANEW {code}", context, new_id=True)


def _position_denied(record: SymbolRecord, at_ms: int, code: int | str) -> Decision:
    """The position lags behind its own fill, or is gone. A look comes first; it says what is owed (R59)."""
    trade = record.trade
    assert trade is not None
    trade = replace(trade, no_position_ms=at_ms, uncovered_ms=trade.uncovered_ms or at_ms)
    look = (Look(symbol=record.symbol),)
    return decision(Trigger.REPROTECT, f"STOP_REFUSED {code}", replace(record, trade=trade), intents=look)


def keep_covered(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """A look shows no position, and nothing else says that it is closed: it may be read stale, so a stop is owed."""
    trade, stop = record.trade, view.stop
    assert trade is not None
    is_covered = view.stop_rests or view.bridged
    if context.edition < 2 or is_covered or _is_closing(trade, event, view):
        return None
    if stop is None and (event.persisted or trade.no_position_ms is not None):
        return place_stop_again(record, event.at_ms, "POSITION_UNSEEN", context, new_id=False)
    if stop is not None and stop.status is AlgoStatus.CANCELED:
        return place_stop_again(record, event.at_ms, "VENUE_CANCELLED", context, new_id=True)
    return None


def _bridge_refused(record: SymbolRecord, trade: Trade, refused: Refused, context: DecisionContext) -> Decision | None:
    """The stop does not move, the one before still rests. Beyond the new price already: the rule's stop was hit."""
    before, stop = trade.stop_before, trade.stop
    if before is None or stop is None or refused.reason in ALREADY_THERE:
        return None
    kept = replace(record, trade=replace(trade, stop=replace(before, version=stop.version), stop_before=None))
    if refused.reason is RefusalReason.WOULD_TRIGGER:
        return begin_exit(kept, "STOP_WOULD_TRIGGER", context)
    return decision(Trigger.REPROTECT, f"STOP_MOVE_REFUSED {refused.code}", kept, facts={"message": refused.message})


def confirm(record: SymbolRecord, event: SymbolObserved) -> Decision | None:
    """The stop was read back: the deadline no longer runs, and a stop that it replaces is no longer needed."""
    trade = record.trade
    assert trade is not None
    doubts = (trade.uncovered_ms, trade.stop_before, trade.no_position_ms, trade.unseen_ms)
    if all(doubt is None for doubt in doubts):
        return None
    first_ms = trade.protected_ms or event.at_ms
    trade = replace(trade, uncovered_ms=None, stop_before=None, protected_ms=first_ms)
    trade = replace(trade, no_position_ms=None, unseen_ms=None)
    return decision(Trigger.REPROTECT, "STOP_CONFIRMED", replace(record, trade=trade))


def mend_stop(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """The position is open and its stop does not rest: place it again, or flatten when it fired in vain.

    "Not found" must persist before anything is placed on its evidence (R2); until then the time is noted (R5).
    """
    trade, stop = record.trade, view.stop
    assert trade is not None
    if stop is None or stop.status is AlgoStatus.UNRECOGNISED:
        if event.persisted or _cannot_turn_up(trade, view):
            return place_stop_again(record, event.at_ms, "STOP_NOT_FOUND", context, new_id=False)
        return unseen(record, event)
    if stop.status in FIRING:
        late = event.persisted or event.at_ms - stop.update_time_ms > STUCK_TRIGGER_MS
        return begin_flatten(record, f"STOP_{stop.status}_POSITION_OPEN", context) if late else unseen(record, event)
    if _is_closing(trade, event, view):
        return unseen(record, event)
    if stop.status is AlgoStatus.REJECTED:
        return begin_flatten(record, "STOP_REJECTED_AT_TRIGGER", context)
    if stop.status is AlgoStatus.NEW:
        return begin_flatten(record, "STOP_NOT_AS_ORDERED", context)
    return place_stop_again(record, event.at_ms, "VENUE_CANCELLED", context, new_id=True)


def _cannot_turn_up(trade: Trade, view: TradeView) -> bool:
    """The stop was refused for want of a position: that it is not found is no lag."""
    return view.stop is None and trade.no_position_ms is not None


def _is_closing(trade: Trade, event: SymbolObserved, view: TradeView) -> bool:
    """By its fills the position is gone, or the last target takes it just now: the stop ended with it (and a
    position that still shows lags)."""
    if event.persisted:
        return False
    if trade.closed_quantity + view.exit_filled >= trade.entry.filled:
        return True
    last = next((view.targets.get(target.index) for target in trade.targets if target.quantity is None), None)
    return last is not None and last.status in FIRING


def unseen(record: SymbolRecord, event: SymbolObserved) -> Decision | None:
    """Note since when no stop was seen: the deadline runs from then on."""
    trade = record.trade
    assert trade is not None
    if trade.uncovered_ms is not None:
        return None
    after = replace(record, trade=replace(trade, uncovered_ms=event.at_ms))
    return decision(Trigger.REPROTECT, "STOP_UNSEEN", after)


def place_stop_again(
    record: SymbolRecord, at_ms: int, reason: str, context: DecisionContext, *, new_id: bool
) -> Decision:
    """Send the stop again: with the same id while its fate is not known, with the next attempt after a definite end."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    stop = trade.stop
    if new_id and stop.attempt >= STOP_ATTEMPTS_MAX:
        return begin_flatten(record, "STOP_KEEPS_VANISHING", context)
    if new_id:
        stop = next_stop_attempt(trade, stop, context)
        stop = replace(stop, trigger_price=on_known_tick(stop.trigger_price, trade.side, context))
    trade = replace(trade, stop=stop, uncovered_ms=trade.uncovered_ms or at_ms, no_position_ms=None)
    intents = (place_stop(trade, stop), Look(symbol=record.symbol))
    return decision(Trigger.REPROTECT, reason, replace(record, trade=trade), intents=intents)


def exchange_stop(
    trade: Trade, older: tuple[str, ...], context: DecisionContext, *, bridged: bool
) -> tuple[Intent, ...]:
    """The bridge (unless it rests already) before the old stop goes, and it goes after the new one rests (R3)."""
    assert trade.stop is not None
    symbol, bridge = trade.symbol, place_bridge(trade, trade.stop, context)
    return (
        *(() if bridged else (bridge,)),
        *(CancelAlgo(symbol=symbol, client_id=cid) for cid in older),
        place_stop(trade, trade.stop),
        CancelAlgo(symbol=symbol, client_id=bridge.request.client_id),
        Look(symbol=symbol),
    )
