"""How a trade begins to end: the orders of an exit or an emergency close, and the signs that its position is gone."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.types import AlgoStatus
from fsm.core.accounting import count_fills
from fsm.core.close_forms import next_piece
from fsm.core.exit_reasons import exit_reason
from fsm.core.forced_ends import forced_close
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import SymbolObserved, real_ms
from fsm.core.model.intents import CancelAlgo, CancelEntry, Intent, Look, SweepOrders
from fsm.core.model.records import ZERO, State, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView
from fsm.core.order_requests import bridge_id

UNSEEN_MS_MAX = 30_000
"""So long (real time) no look has shown a position, and nothing else says anything of it: it is taken for gone."""


def begin_flatten(record: SymbolRecord, reason: str, context: DecisionContext) -> Decision:
    """Into FLATTEN: the entry and the partial targets go, the stop stays, a reduce-only piece closes."""
    return _begin(Trigger.FLATTEN, record, reason, context)


def begin_exit(record: SymbolRecord, reason: str, context: DecisionContext) -> Decision:
    """A rule or the operator ends the trade: the same orders as an emergency close, but no emergency."""
    return _begin(Trigger.EXIT, record, reason, context)


def _begin(trigger: Trigger, record: SymbolRecord, reason: str, context: DecisionContext) -> Decision:
    trade = record.trade
    assert trade is not None
    if record.state is State.SIGNALLED:  # its entry was never sent, so it cannot fill
        trade = replace(trade, entry=replace(trade.entry, finished=True))
    trade = replace(trade, exit_reason=trade.exit_reason or reason, part=None)
    intents: list[Intent] = []
    if not trade.entry.finished:
        intents.append(CancelEntry(symbol=record.symbol, client_id=trade.entry.client_id))
    if trade.targets_sent:
        intents.extend(cancel_partial_targets(trade))
    if trade.open_quantity > 0 and not trade.piece_pending:
        trade, order = next_piece(trade, trade.open_quantity, None, context)
        intents.append(order)
    intents.append(Look(symbol=record.symbol))
    return decision(trigger, reason, replace(record, trade=trade), intents=tuple(intents))


def cancel_partial_targets(trade: Trade) -> list[Intent]:
    """Reduce-only targets compete with a close and outlive the position: they go first (R14)."""
    return [
        CancelAlgo(symbol=trade.symbol, client_id=client_id)
        for target in trade.targets
        if target.quantity is not None and not target.done
        for client_id in target.order_ids
    ]


def leave(record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext) -> Decision | None:
    """The position is gone. With the fills that closed it, or on other evidence that has lasted, the trade is exiting.

    Without it the zero may be a lag of the exchange's answer. While our stop still rests, the exchange contradicts
    itself (closePosition stops end with their position): the symbol is quarantined, and the stop left in place. And
    nothing is swept on the word of empty answers alone before they have lasted once more.
    """
    trade = record.trade
    assert trade is not None
    complete = trade.closed_quantity + view.exit_filled >= trade.entry.filled > 0
    if not complete and not is_gone(trade, event, view, context):
        return note_unseen(record, event, context)
    if not complete and view.stop_rests:
        if record.quarantine is not None:
            return None
        return decision(Trigger.QUARANTINE, "POSITION_UNCLEAR", record.quarantined("POSITION_UNCLEAR", event.at_ms))
    reason = exit_reason(trade, view, event.snapshot, context)
    trade = count_fills(replace(trade, exit_reason=reason, part=None), event.snapshot, context)
    trade = replace(trade, open_quantity=ZERO, swept=complete)
    record = replace(record, trade=trade)
    if view.position < 0:
        record = record.quarantined("FOREIGN_POSITION", event.at_ms)
    # Another look even when nothing is left to sweep: the books are closed with the ledger's rows, asked for from here.
    sweep = sweep_of(trade, view, context) if complete else ()
    return decision(Trigger.EXIT, reason, record, intents=(*sweep, Look(symbol=record.symbol)))


def is_gone(trade: Trade, event: SymbolObserved, view: TradeView, context: DecisionContext) -> bool:
    """Looks show no position for so long that it is no lag, and a second source agrees: the exchange ended the
    closePosition stop with it, an order of ours has closed it, or a stop was refused for want of one (R59).

    Positions alone can be read stale: on their word nothing ends before half a minute is over.
    """
    if not event.persisted:
        return False
    if context.edition < 2 or trade.no_position_ms is not None:
        return True
    if _is_end_shown(trade, event, view):
        return True
    return trade.unseen_ms is not None and real_ms(event) - trade.unseen_ms >= UNSEEN_MS_MAX


def _is_end_shown(trade: Trade, event: SymbolObserved, view: TradeView) -> bool:
    """An order shows how the position ended: its stop, our close, a target, or the exchange's own."""
    stop, close = view.stop, view.close
    ended = stop is not None and (stop.status is AlgoStatus.EXPIRED or view.fired(stop))
    closed = close is not None and close.executed_quantity >= trade.open_quantity > 0
    hit = any(map(view.fired, view.targets.values()))
    return ended or closed or hit or bool(forced_close(trade, event.snapshot))


def note_unseen(record: SymbolRecord, event: SymbolObserved, context: DecisionContext) -> Decision | None:
    """Note since when looks show no position that nothing else says to be closed."""
    trade = record.trade
    assert trade is not None
    if context.edition < 2 or not event.persisted or trade.unseen_ms is not None:
        return None
    after = replace(record, trade=replace(trade, unseen_ms=real_ms(event)))
    return decision(Trigger.REPROTECT, "POSITION_UNSEEN", after)


def sweep_of(
    trade: Trade, view: TradeView, context: DecisionContext, *, kept: frozenset[str] = frozenset()
) -> tuple[Intent, ...]:
    """Cancel every order of the trade that was not seen to have ended, whether the lists show it or not (R2)."""
    ids = trade.target_ids
    if trade.stop is not None:
        ids.append(trade.stop.client_id)
    if trade.stop is not None and trade.stop_before is not None:
        ids += [trade.stop_before.client_id, bridge_id(context, trade, trade.stop)]
    if not trade.entry.finished:
        ids.append(trade.entry.client_id)
    seen = [view.stop, view.entry, *view.targets.values()]
    ended = {order.client_id for order in seen if order is not None and not order.status.is_open}
    left = sorted(((set(ids) - ended) | set(view.own_open)) - kept)
    return (SweepOrders(symbol=trade.symbol, client_ids=tuple(left)),) if left else ()
