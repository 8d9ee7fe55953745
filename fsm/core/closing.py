"""The way out: exits, the emergency close that repeats until the exchange says flat, and what is swept when it does."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.types import AlgoStatus, OrderStatus, Refused, Unknown
from fsm.core import first_edition
from fsm.core.booking import book, plan_kept
from fsm.core.events import IntentEnded, SymbolObserved, real_ms
from fsm.core.forced import forced_close
from fsm.core.forms import FORMS, failed, got_through, next_piece, piece
from fsm.core.intents import CancelAlgo, CancelEntry, ClosePosition, Intent, Look, SweepOrders
from fsm.core.legs import bridge_id, close_id
from fsm.core.move import Move, move
from fsm.core.records import ZERO, State, SymbolRecord, Trade
from fsm.core.refusals import DUPLICATE_ID, FORM_REFUSED, refused_for_good
from fsm.core.scene import HANDS_EDITION, Setting
from fsm.core.sight import Sight, count_fills, exit_reason, has_ended
from fsm.core.states import Trigger

UNSEEN_MS_MAX = 30_000
"""So long (real time) no look has shown a position, and nothing else says anything of it: it is taken for gone."""


def begin_flatten(record: SymbolRecord, reason: str, setting: Setting) -> Move:
    """Into FLATTEN: the entry and the partial targets go, the stop stays, a reduce-only piece closes."""
    return _begin(Trigger.FLATTEN, record, reason, setting)


def begin_exit(record: SymbolRecord, reason: str, setting: Setting) -> Move:
    """A rule or the operator ends the trade: the same orders as an emergency close, but no emergency."""
    return _begin(Trigger.EXIT, record, reason, setting)


def _begin(trigger: Trigger, record: SymbolRecord, reason: str, setting: Setting) -> Move:
    trade = record.trade
    assert trade is not None
    if record.state is State.SIGNALLED:  # its entry was never sent, so it cannot fill
        trade = replace(trade, entry=replace(trade.entry, finished=True))
    trade = replace(trade, exit_reason=trade.exit_reason or reason)
    intents: list[Intent] = []
    if not trade.entry.finished:
        intents.append(CancelEntry(symbol=record.symbol, client_id=trade.entry.client_id))
    if trade.targets_sent:
        intents.extend(_cancel_partial_targets(trade))
    if trade.open_quantity > 0 and not trade.piece_pending:
        trade, order = next_piece(trade, trade.open_quantity, None, setting)
        intents.append(order)
    intents.append(Look(symbol=record.symbol))
    return move(trigger, reason, replace(record, trade=trade), intents=tuple(intents))


def _cancel_partial_targets(trade: Trade) -> list[Intent]:
    """Reduce-only targets compete with a close (-2022, -4118) and outlive the position: they go first (R14)."""
    return [
        CancelAlgo(symbol=trade.symbol, client_id=target.client_id)
        for target in trade.targets
        if target.quantity is not None and not target.done
    ]


def leave(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """The position is gone. With the fills that closed it, or on other evidence that has lasted, the trade is exiting.

    Without it the zero may be a lag of the exchange's answer. While our stop still rests, the exchange contradicts
    itself (closePosition stops end with their position): the symbol is quarantined, and the stop left in place. And
    nothing is swept on the word of empty answers alone before they have lasted once more.
    """
    trade = record.trade
    assert trade is not None
    complete = trade.closed_quantity + sight.exit_filled >= trade.entry.filled > 0
    if not complete and not _is_gone(trade, event, sight, setting):
        return _unseen(record, event, setting)
    if not complete and sight.stop_rests:
        if record.quarantine is not None:
            return None
        return move(Trigger.QUARANTINE, "POSITION_UNCLEAR", record.quarantined("POSITION_UNCLEAR", event.at_ms))
    reason = exit_reason(trade, sight, event.snapshot, setting)
    trade = count_fills(replace(trade, exit_reason=reason), event.snapshot, setting)
    trade = replace(trade, open_quantity=ZERO, swept=complete)
    record = replace(record, trade=trade)
    if sight.position < 0:
        record = record.quarantined("FOREIGN_POSITION", event.at_ms)
    # Another look even when nothing is left to sweep: the books are closed with the ledger's rows, asked for from here.
    sweep = _sweep(trade, sight, setting) if complete else ()
    return move(Trigger.EXIT, reason, record, intents=(*sweep, Look(symbol=record.symbol)))


def _is_gone(trade: Trade, event: SymbolObserved, sight: Sight, setting: Setting) -> bool:
    """Looks show no position for so long that it is no lag, and a second source agrees: the exchange ended the
    closePosition stop with it, an order of ours has closed it, or a stop was refused for want of one (R59).

    Positions alone can be read stale: on their word nothing ends before half a minute is over.
    """
    if not event.persisted:
        return False
    if setting.edition < 2 or trade.no_position_ms is not None:
        return True
    stop, close = sight.stop, sight.close
    ended = stop is not None and (stop.status is AlgoStatus.EXPIRED or sight.fired(stop))
    closed = close is not None and close.executed_quantity >= trade.open_quantity > 0
    if ended or closed or any(map(sight.fired, sight.targets.values())) or forced_close(trade, event.snapshot):
        return True
    return trade.unseen_ms is not None and real_ms(event) - trade.unseen_ms >= UNSEEN_MS_MAX


def _unseen(record: SymbolRecord, event: SymbolObserved, setting: Setting) -> Move | None:
    """Note since when looks show no position that nothing else says to be closed."""
    trade = record.trade
    assert trade is not None
    if setting.edition < 2 or not event.persisted or trade.unseen_ms is not None:
        return None
    after = replace(record, trade=replace(trade, unseen_ms=real_ms(event)))
    return move(Trigger.REPROTECT, "POSITION_UNSEEN", after)


def _covers_the_rest(trade: Trade, sight: Sight, setting: Setting) -> frozenset[str]:
    """Our stops close whatever is open on the trade's side: while something is that is not ours, they stay (R80)."""
    if sight.position <= 0 or setting.edition < HANDS_EDITION:
        return frozenset()
    return frozenset(stop.client_id for stop in (trade.stop, trade.stop_before) if stop is not None)


def _sweep(trade: Trade, sight: Sight, setting: Setting, *, kept: frozenset[str] = frozenset()) -> tuple[Intent, ...]:
    """Cancel every order of the trade that was not seen to have ended, whether the lists show it or not (R2)."""
    ids = [target.client_id for target in trade.targets if trade.targets_sent and not target.done]
    if trade.stop is not None:
        ids.append(trade.stop.client_id)
    if trade.stop is not None and trade.stop_before is not None:
        ids += [trade.stop_before.client_id, bridge_id(setting, trade, trade.stop)]
    if not trade.entry.finished:
        ids.append(trade.entry.client_id)
    seen = [sight.stop, sight.entry, *sight.targets.values()]
    ended = {order.client_id for order in seen if order is not None and not order.status.is_open}
    left = sorted(((set(ids) - ended) | set(sight.own_open)) - kept)
    return (SweepOrders(symbol=trade.symbol, client_ids=tuple(left)),) if left else ()


def look_closing(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """Judge one look while EXITING or in FLATTEN."""
    trade = record.trade
    assert trade is not None
    late = _late_entry(record, trade, event, sight)
    if late is not None:
        return late
    ours = _ours_left(trade, sight)
    if sight.position > 0 and ours > 0:
        return _close_more(record, trade, event, sight, min(sight.position, ours), setting)
    if sight.position > 0 and not event.persisted:
        return None  # our part is closed: the position lags, or the rest is somebody else's
    return _wind_up(record, trade, event, sight, setting)


def _ours_left(trade: Trade, sight: Sight) -> Decimal:
    """The most of the position that can be ours: what our entry brought, less what our own orders closed.

    What others closed is not subtracted: of a position that is smaller everything may be ours. An entry that is not
    seen and did not end may have filled wholly.
    """
    seen = trade.entry.finished or (sight.entry is not None and sight.entry.status is not OrderStatus.UNRECOGNISED)
    entered = trade.entry.filled if seen else trade.entry.quantity
    working = sight.close.executed_quantity if sight.close is not None else ZERO
    return entered - trade.closed_by_us - working


def _late_entry(record: SymbolRecord, trade: Trade, event: SymbolObserved, sight: Sight) -> Move | None:
    """The entry went on filling, or ended, while we were on the way out."""
    if sight.entry is None:
        return None
    filled, finished = sight.entry.executed_quantity, has_ended(sight.entry)
    if filled <= trade.entry.filled and (trade.entry.finished or not finished):
        return None
    entry = replace(
        trade.entry,
        filled=max(filled, trade.entry.filled),
        finished=finished or trade.entry.finished,
        average_price=sight.entry.average_price or trade.entry.average_price,
    )
    trade = replace(
        trade,
        entry=entry,
        entry_price=entry.average_price or trade.entry_price or trade.entry_price_planned,
        open_quantity=max(sight.position, ZERO),
        first_fill_ms=trade.first_fill_ms or (event.at_ms if filled > 0 else None),
    )
    reason = "LATE_FILL" if filled > record.trade.entry.filled else "ENTRY_ENDED"  # type: ignore[union-attr]
    return move(Trigger.FILL, reason, replace(record, trade=trade))


def _close_more(
    record: SymbolRecord, trade: Trade, event: SymbolObserved, sight: Sight, quantity: Decimal, setting: Setting
) -> Move | None:
    """Something is still open: wait for a closing order that works or whose fate is open, else send the next piece,
    in another form where the one before got nothing done."""
    competing = _competing(trade, sight)
    if setting.edition < 2:
        return first_edition.close_more(record, event, sight, quantity, competing, setting)
    close = sight.close
    if close is not None and (close.status.is_open or (_is_riddle(close.status) and not event.persisted)):
        return None
    mark = event.snapshot.position.mark_price if event.snapshot.position else None
    if trade.piece_pending and close is None:
        if not (event.persisted or _may_repeat(trade, sight, quantity, setting)):
            return None
        again = (*competing, piece(trade, quantity, mark, setting), Look(symbol=record.symbol))
        return move(Trigger.REPROTECT, "CLOSE_NOT_FOUND", record, intents=again)
    done = close.executed_quantity if close is not None else ZERO
    if done >= trade.open_quantity > 0 and not event.persisted:
        return None  # it closed everything we knew of; the position lags
    trade = count_fills(trade, event.snapshot, setting)
    trade = replace(trade, open_quantity=quantity, closed_by_us=trade.closed_by_us + done)
    if close is not None:
        trade = got_through(trade) if done > 0 else failed(trade, None, close.quantity)
    trade, order = next_piece(trade, quantity, mark, setting)
    intents = (*competing, order, Look(symbol=record.symbol))
    return move(Trigger.REPROTECT, "CLOSE_AGAIN", replace(record, trade=trade), intents=intents)


def _may_repeat(trade: Trade, sight: Sight, quantity: Decimal, setting: Setting) -> bool:
    """A close that nobody heard of, not found by one look, leaves again at once under its id only where nothing
    protects, the whole position is ours and all of it is to be closed: a second one could do no harm."""
    unheard = close_id(setting, trade, trade.exit_attempt) in trade.unheard
    return unheard and not sight.stop_rests and quantity == sight.position


def _is_riddle(status: OrderStatus) -> bool:
    return status is OrderStatus.UNRECOGNISED


def _competing(trade: Trade, sight: Sight) -> tuple[Intent, ...]:
    """What rests and would enlarge the position or take the close's place: the entry, and partial targets."""
    cancels = [order for order in _cancel_partial_targets(trade) if _client_id(order) in sight.own_open]
    if trade.entry.client_id in sight.own_open:
        cancels.append(CancelEntry(symbol=trade.symbol, client_id=trade.entry.client_id))
    return tuple(cancels)


def _client_id(intent: Intent) -> str | None:
    return intent.client_id if isinstance(intent, CancelAlgo | CancelEntry) else None


def _wind_up(record: SymbolRecord, trade: Trade, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """Nothing of ours is open: sweep, and close the books when their evidence is complete or will not come.

    A zero that no fills explain may be a lag, and then the stop that would be swept is all that protects.
    """
    symbol, patient = record.symbol, event.persisted
    complete = trade.closed_quantity + sight.exit_filled >= trade.entry.filled
    if not complete and not _is_gone(trade, event, sight, setting):
        return _unseen(record, event, setting)
    kept = _covers_the_rest(trade, sight, setting)
    left = _sweep(trade, sight, setting, kept=kept)
    if set(sight.own_open) - kept or (left and not trade.swept):
        swept = replace(record, trade=replace(trade, swept=True))
        return move(Trigger.SWEEP, "ORDERS_LEFT", swept, intents=(*left, Look(symbol=symbol)))
    if not trade.entry.finished and not patient:
        return None
    if not trade.entry.finished:  # nobody saw its end: should it fill after all, its plan is remembered
        record = replace(record, abandoned=plan_kept(trade, record))
    if sight.position != 0 and patient:
        record = record.quarantined("FOREIGN_POSITION", event.at_ms)
    if trade.first_fill_ms is None:
        return move(Trigger.FLAT, trade.exit_reason or "NEVER_FILLED", replace(record, trade=None, tried=None))
    if not (complete and event.snapshot.income) and not patient:
        return None
    if not complete:
        record = replace(record, abandoned=plan_kept(trade, record)).quarantined("FILLS_MISSING", event.at_ms)
    if setting.edition >= 2:
        record = replace(record, close_unheard_ms=event.at_ms if _may_arrive(trade, event, setting) else None)
    return book(record, trade, event, complete=complete, setting=setting)


def _may_arrive(trade: Trade, event: SymbolObserved, setting: Setting) -> bool:
    """A closing order of this trade is neither refused nor seen to have ended: it could meet the next position."""
    pending = {close_id(setting, trade, trade.exit_attempt)} if trade.piece_pending else set()
    return not pending.union(trade.unheard) <= {order.client_id for order in event.snapshot.orders if has_ended(order)}


def close_ended(record: SymbolRecord, event: IntentEnded, client_id: str, setting: Setting) -> Move | None:
    """A closing order was answered, or nobody heard how. Refused for its size, precision or price, it leaves again at
    once in the form that the refusal asks for; otherwise the look that follows decides, knowing that this piece does
    not exist. No refusal proves that the position is gone."""
    trade, outcome = record.trade, event.outcome
    if trade is None or client_id != close_id(setting, trade, trade.exit_attempt) or not trade.piece_pending:
        return None
    if isinstance(outcome, Unknown) and setting.edition >= 2 and client_id not in trade.unheard:
        heard_not = replace(record, trade=replace(trade, unheard=(*trade.unheard, client_id)))
        return move(Trigger.REPROTECT, "CLOSE_UNHEARD", heard_not)
    if not isinstance(outcome, Refused) or outcome.code == DUPLICATE_ID:
        return None
    if setting.edition < 2:
        return first_edition.close_refused(record, trade, event, outcome, setting)
    return _close_refused(record, trade, event, outcome, setting)


def _close_refused(
    record: SymbolRecord, trade: Trade, event: IntentEnded, refused: Refused, setting: Setting
) -> Move | None:
    assert isinstance(event.intent, ClosePosition)
    facts, reason = {"message": refused.message}, f"CLOSE_REFUSED {refused.code}"
    smallest = max(setting.filters.market_quantity_min, setting.filters.market_step_size)
    refused_piece = replace(trade, exit_refused=trade.exit_attempt)
    trade = failed(refused_piece, refused.code, event.intent.request.quantity, smallest)
    record = refused_for_good(replace(record, trade=trade), event.at_ms, refused.code, setting)
    at_once = refused.code in FORM_REFUSED and trade.close_failed <= FORMS
    if not at_once or event.prices is None or trade.open_quantity == 0:
        return move(Trigger.REPROTECT, reason, record, facts=facts)
    trade, order = next_piece(trade, trade.open_quantity, event.prices.mark_price, setting)
    intents = (order, Look(symbol=record.symbol))
    return move(Trigger.REPROTECT, reason, replace(record, trade=trade), intents=intents, facts=facts)
