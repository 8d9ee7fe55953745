"""While EXITING or in FLATTEN: the close repeats until the exchange says flat, and what is left is swept."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import Order, OrderStatus, Refused, Unknown
from fsm.core import first_edition
from fsm.core.accounting import count_fills, owes_ledger
from fsm.core.booking import book, plan_kept
from fsm.core.close_forms import FORMS, failed, got_through, next_piece, piece
from fsm.core.leaving import cancel_partial_targets, is_gone, note_unseen, sweep_of
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import HANDS_EDITION, DecisionContext
from fsm.core.model.events import IntentEnded, SymbolObserved
from fsm.core.model.intents import CancelAlgo, CancelEntry, ClosePosition, Intent, Look
from fsm.core.model.records import ZERO, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView, has_ended, spent
from fsm.core.order_requests import close_id
from fsm.core.refusals import FORM_REFUSED, refused_for_good


def _covers_the_rest(trade: Trade, view: TradeView, context: DecisionContext) -> frozenset[str]:
    """Our stops close whatever is open on the trade's side: while something is that is not ours, they stay (R80)."""
    if view.position <= 0 or context.edition < HANDS_EDITION:
        return frozenset()
    return frozenset(stop.client_id for stop in (trade.stop, trade.stop_before) if stop is not None)


def look_closing(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """Judge one look while EXITING or in FLATTEN."""
    trade = record.trade
    assert trade is not None
    late = _late_entry(record, trade, event, view)
    if late is not None:
        return late
    ours = _ours_left(trade, view)
    if view.position > 0 and ours > 0:
        return _close_more(record, trade, event, view, min(view.position, ours), context)
    if view.position > 0 and not event.persisted:
        return None  # our part is closed: the position lags, or the rest is somebody else's
    return _wind_up(record, trade, event, view, context)


def _ours_left(trade: Trade, view: TradeView) -> Decimal:
    """The most of the position that can be ours: what our entry brought, less what our own orders closed.

    What others closed is not subtracted: of a position that is smaller everything may be ours. An entry that is not
    seen and did not end may have filled wholly.
    """
    seen = trade.entry.finished or (view.entry is not None and view.entry.status is not OrderStatus.UNRECOGNISED)
    entered = trade.entry.filled if seen else trade.entry.quantity
    working = view.close.executed_quantity if view.close is not None else ZERO
    return entered - trade.closed_by_us - working


def _late_entry(record: SymbolRecord, trade: Trade, event: SymbolObserved, view: TradeView) -> Decision | None:
    """The entry went on filling, or ended, while we were on the way out."""
    if view.entry is None:
        return None
    filled, finished = view.entry.executed_quantity, has_ended(view.entry)
    if filled <= trade.entry.filled and (trade.entry.finished or not finished):
        return None
    entry = replace(
        trade.entry,
        filled=max(filled, trade.entry.filled),
        finished=finished or trade.entry.finished,
        average_price=view.entry.average_price or trade.entry.average_price,
    )
    trade = replace(
        trade,
        entry=entry,
        entry_price=entry.average_price or trade.entry_price or trade.entry_price_planned,
        open_quantity=max(view.position, ZERO),
        first_fill_ms=trade.first_fill_ms or (event.at_ms if filled > 0 else None),
    )
    reason = "LATE_FILL" if filled > record.trade.entry.filled else "ENTRY_ENDED"  # type: ignore[union-attr]
    return decision(Trigger.FILL, reason, replace(record, trade=trade))


def _close_more(
    record: SymbolRecord,
    trade: Trade,
    event: SymbolObserved,
    view: TradeView,
    quantity: Decimal,
    context: DecisionContext,
) -> Decision | None:
    """Something is still open: wait for a closing order that works or whose fate is open, else send the next piece,
    in another form where the one before got nothing done."""
    competing = _competing(trade, view)
    if context.edition < 2:
        return first_edition.close_more(record, event, view, quantity, competing, context)
    close = view.close
    if close is not None and _may_work(close, event):
        return None
    mark = _mark(event)
    if trade.piece_pending and close is None:
        if not (event.persisted or _may_repeat(trade, view, quantity, context)):
            return None
        again = (*competing, piece(trade, quantity, mark, context), Look(symbol=record.symbol))
        return decision(Trigger.REPROTECT, "CLOSE_NOT_FOUND", record, intents=again)
    done = close.executed_quantity if close is not None else ZERO
    if done >= trade.open_quantity > 0 and not event.persisted:
        return None  # it closed everything we knew of; the position lags
    trade = count_fills(trade, event.snapshot, context)
    trade = replace(trade, open_quantity=quantity, closed_by_us=trade.closed_by_us + done)
    trade = trade if close is None else _judged(trade, close)
    trade, order = next_piece(trade, quantity, mark, context)
    intents = (*competing, order, Look(symbol=record.symbol))
    return decision(Trigger.REPROTECT, "CLOSE_AGAIN", replace(record, trade=trade), intents=intents)


def _may_repeat(trade: Trade, view: TradeView, quantity: Decimal, context: DecisionContext) -> bool:
    """A close that nobody heard of, not found by one look, leaves again at once under its id only where nothing
    protects, the whole position is ours and all of it is to be closed: a second one could do no harm."""
    unheard = close_id(context, trade, trade.exit_attempt) in trade.unheard
    return unheard and not view.stop_rests and quantity == view.position


def _mark(event: SymbolObserved) -> Decimal | None:
    position = event.snapshot.position
    return position.mark_price if position else None


def _may_work(close: Order, event: SymbolObserved) -> bool:
    """The closing order is open, or has a status that nobody knows and that may pass."""
    return close.status.is_open or (close.status is OrderStatus.UNRECOGNISED and not event.persisted)


def _judged(trade: Trade, close: Order) -> Trade:
    """The form of a close is kept where it got something done, and changed where it did not."""
    return got_through(trade) if close.executed_quantity > 0 else failed(trade, None, close.quantity)


def _competing(trade: Trade, view: TradeView) -> tuple[Intent, ...]:
    """What rests and would enlarge the position or take the close's place: the entry, and partial targets."""
    cancels = [order for order in cancel_partial_targets(trade) if _client_id(order) in view.own_open]
    if trade.entry.client_id in view.own_open:
        cancels.append(CancelEntry(symbol=trade.symbol, client_id=trade.entry.client_id))
    return tuple(cancels)


def _client_id(intent: Intent) -> str | None:
    return intent.client_id if isinstance(intent, CancelAlgo | CancelEntry) else None


def _wind_up(
    record: SymbolRecord, trade: Trade, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """Nothing of ours is open: sweep, and close the books when their evidence is complete or will not come.

    A zero that no fills explain may be a lag, and then the stop that would be swept is all that protects.
    """
    complete = trade.closed_quantity + view.exit_filled >= trade.entry.filled
    if not complete and not is_gone(trade, event, view, context):
        return note_unseen(record, event, context)
    swept = _sweep_left(record, trade, event, view, context)
    if swept is not None:
        return swept
    if not event.persisted and _more_may_come(trade, event, context, complete=complete):
        return None
    record = _with_doubts(record, trade, event, view)
    if trade.first_fill_ms is None:
        return decision(Trigger.FLAT, trade.exit_reason or "NEVER_FILLED", replace(record, trade=None, tried=None))
    if not complete:
        record = replace(record, abandoned=plan_kept(trade, record)).quarantined("FILLS_MISSING", event.at_ms)
    if context.edition >= 2:
        record = replace(record, close_unheard_ms=event.at_ms if _may_arrive(trade, event, context) else None)
    return book(record, trade, event, complete=complete, context=context)


def _with_doubts(record: SymbolRecord, trade: Trade, event: SymbolObserved, view: TradeView) -> SymbolRecord:
    if not trade.entry.finished:  # nobody saw its end: should it fill after all, its plan is remembered
        record = replace(record, abandoned=plan_kept(trade, record))
    if view.position != 0 and event.persisted:
        record = record.quarantined("FOREIGN_POSITION", event.at_ms)
    return record


def _sweep_left(
    record: SymbolRecord, trade: Trade, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """What still rests is cancelled; once also what no list shows."""
    kept = _covers_the_rest(trade, view, context) | (spent(event) if context.edition >= 2 else frozenset())
    left = sweep_of(trade, view, context, kept=kept)
    if not (set(view.own_open) - kept or (left and not trade.swept)):
        return None
    swept = replace(record, trade=replace(trade, swept=True))
    return decision(Trigger.SWEEP, "ORDERS_LEFT", swept, intents=(*left, Look(symbol=record.symbol)))


def _more_may_come(trade: Trade, event: SymbolObserved, context: DecisionContext, *, complete: bool) -> bool:
    """The entry's end is not told yet, or fills and the ledger's rows of a position that was there are not.

    Fills that made and cost nothing, as one that ends where it began without a fee, have no rows to wait for.
    """
    if not trade.entry.finished:
        return True
    told = event.snapshot.income or (context.edition >= 2 and not owes_ledger(trade, event.snapshot))
    return trade.first_fill_ms is not None and not (complete and told)


def _may_arrive(trade: Trade, event: SymbolObserved, context: DecisionContext) -> bool:
    """A closing order of this trade is neither refused nor seen to have ended: it could meet the next position."""
    pending = {close_id(context, trade, trade.exit_attempt)} if trade.piece_pending else set()
    return not pending.union(trade.unheard) <= {order.client_id for order in event.snapshot.orders if has_ended(order)}


def close_ended(record: SymbolRecord, event: IntentEnded, client_id: str, context: DecisionContext) -> Decision | None:
    """A closing order was answered, or nobody heard how. Refused for its size, precision or price, it leaves again at
    once in the form that the refusal asks for; otherwise the look that follows decides, knowing that this piece does
    not exist. No refusal proves that the position is gone."""
    trade, outcome = record.trade, event.outcome
    if trade is None or client_id != close_id(context, trade, trade.exit_attempt) or not trade.piece_pending:
        return None
    if isinstance(outcome, Unknown) and context.edition >= 2 and client_id not in trade.unheard:
        heard_not = replace(record, trade=replace(trade, unheard=(*trade.unheard, client_id)))
        return decision(Trigger.REPROTECT, "CLOSE_UNHEARD", heard_not)
    if not isinstance(outcome, Refused) or outcome.reason is RefusalReason.DUPLICATE_ID:
        return None
    if context.edition < 2:
        return first_edition.close_refused(record, trade, event, outcome, context)
    return _close_refused(record, trade, event, outcome, context)


def _close_refused(
    record: SymbolRecord, trade: Trade, event: IntentEnded, refused: Refused, context: DecisionContext
) -> Decision | None:
    assert isinstance(event.intent, ClosePosition)
    facts, reason = {"message": refused.message}, f"CLOSE_REFUSED {refused.code}"
    smallest = max(context.filters.market_quantity_min, context.filters.market_step_size)
    refused_piece = replace(trade, exit_refused=trade.exit_attempt)
    trade = failed(refused_piece, refused.reason, event.intent.request.quantity, smallest)
    record = refused_for_good(replace(record, trade=trade), event.at_ms, refused, context)
    at_once = refused.reason in FORM_REFUSED and trade.close_failed <= FORMS
    if not at_once or event.prices is None or trade.open_quantity == 0:
        return decision(Trigger.REPROTECT, reason, record, facts=facts)
    trade, order = next_piece(trade, trade.open_quantity, event.prices.mark_price, context)
    intents = (order, Look(symbol=record.symbol))
    return decision(Trigger.REPROTECT, reason, replace(record, trade=trade), intents=intents, facts=facts)
