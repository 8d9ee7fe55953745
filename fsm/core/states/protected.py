"""While PROTECTED: every look checks the protection again, and at every candle the rules may move the stop or leave."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.filters import Rounding, decimal_of
from fsm.core.accounting import count_fills
from fsm.core.filling import fill
from fsm.core.leaving import begin_exit, begin_flatten, leave
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import CandleClosed, SymbolObserved
from fsm.core.model.intents import CancelAlgo, CancelEntry, Intent, Look
from fsm.core.model.policy import MissingProtection
from fsm.core.model.records import ZERO, SymbolRecord, TargetLeg, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import FIRING, TradeView, has_ended
from fsm.core.order_requests import bridge_id, place_stop, place_target, stop_leg
from fsm.core.planning import sized_targets
from fsm.core.reducing import look_reducing
from fsm.core.stops import confirm, exchange_stop, keep_covered, mend_stop
from fsm.core.targets import mend_targets, next_target
from rules.strategy import Management


def look_holding(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """Judge one look at a protected position: first its size, then its stop, then the rest."""
    trade = record.trade
    assert trade is not None
    if view.entry is not None and view.entry.executed_quantity > trade.entry.filled:
        return _late_fill(record, event, view, context)
    if view.position <= 0:
        return leave(record, event, view, context) or keep_covered(record, event, view, context)
    changed = look_reducing(record, event, view, context) or _resized(record, event, view, context)
    if changed is not None:
        return changed
    if not view.stop_rests:
        return _stop_missing(record, event, view, context)
    confirmed = confirm(record, event)
    if confirmed is not None:
        return confirmed
    if view.strays:
        intents = (*(_cancel(record.symbol, cid) for cid in view.strays), Look(symbol=record.symbol))
        return decision(Trigger.SWEEP, "STRAY_ORDERS", record, intents=intents)
    return mend_targets(record, event, view, context)


def _late_fill(record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext) -> Decision:
    """More of the entry filled after protection: the closePosition stop covers it, the partial targets are re-sized."""
    before, order = record.trade, view.entry
    assert before is not None
    assert order is not None
    grown = fill(record, event.at_ms, order.executed_quantity, order.average_price, has_ended(order), context)
    trade = grown.record.trade
    assert trade is not None
    old = [target for target in before.targets if _is_partial(target)]
    renewed = tuple(next_target(t, trade, context) if _is_partial(t) else t for t in trade.targets)
    trade = replace(trade, targets=renewed)
    trade = replace(trade, targets=sized_targets(trade, trade.open_quantity, context))
    cancels = [CancelAlgo(symbol=record.symbol, client_id=target.client_id) for target in old]
    placed = [place_target(trade, target, context) for target in trade.targets if _is_partial(target)]
    intents: tuple[Intent, ...] = (*cancels, *placed, Look(symbol=record.symbol)) if old else ()
    return decision(Trigger.FILL, "LATE_FILL", replace(record, trade=trade), intents=intents)


def _is_partial(target: TargetLeg) -> bool:
    """It is for a part of the position, and still to be hit: the last one closes whatever is left."""
    return target.quantity is not None and not target.done


def _resized(record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext) -> Decision | None:
    """The position is not as large as remembered: a target or the stop is at work, or somebody else was."""
    trade = record.trade
    assert trade is not None
    if view.position > trade.open_quantity and event.persisted:
        # larger than what we opened: close our part and leave the rest to its owner
        foreign = record.quarantined("FOREIGN_POSITION", event.at_ms)
        return begin_flatten(foreign, "POSITION_NOT_AS_REMEMBERED", context)
    # while a part is being closed by hand, nobody can say what else made it smaller
    return None if view.position >= trade.open_quantity or trade.part else _smaller(record, trade, event, view, context)


def _smaller(
    record: SymbolRecord, trade: Trade, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    hit = frozenset(target.index for target in trade.targets if _is_partial(target) and _was_hit(target.index, view))
    by_stop = _stop_fires(view)
    if not _is_certain(event, view, explained=bool(hit) or by_stop):
        return None
    after = replace(record, trade=_less(trade, event, view, hit, context))
    if hit:
        return decision(Trigger.REDUCE, "TARGET_HIT", after)
    if by_stop:
        return decision(Trigger.REDUCE, "STOP_FILLING", after)
    return decision(Trigger.REDUCE, "EXTERNAL_REDUCE", after.quarantined("EXTERNAL_REDUCE", event.at_ms))


def _is_certain(event: SymbolObserved, view: TradeView, *, explained: bool) -> bool:
    """A smaller position is believed at once where orders and fills of ours explain it; else it may be a lag."""
    return event.persisted or (explained and view.exit_filled > 0)


def _less(trade: Trade, event: SymbolObserved, view: TradeView, hit: frozenset[int], context: DecisionContext) -> Trade:
    """The trade with what is left of its position; targets that were hit and have ended are done."""
    ended = {index for index in hit if not view.targets[index].status.is_open}
    ours = sum((view.targets[index].executed_quantity for index in ended), ZERO)
    counted = count_fills(trade, event.snapshot, context)
    return replace(
        counted,
        open_quantity=view.position,
        closed_by_us=trade.closed_by_us + ours,
        targets=tuple(replace(t, done=True) if t.index in ended else t for t in trade.targets),
    )


def _stop_fires(view: TradeView) -> bool:
    return view.fired(view.stop) or (view.stop is not None and view.stop.status in FIRING)


def _was_hit(index: int, view: TradeView) -> bool:
    target = view.targets.get(index)
    return target is not None and (view.fired(target) or target.status in FIRING)


def _stop_missing(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """No stop where one must be. A stop move that broke off half way is finished; otherwise config decides."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    if view.bridged and view.stop is None:
        certain = event.persisted or trade.no_position_ms is not None
        return _finish_stop_move(record, trade, view, context) if certain else None
    mended = mend_stop(record, event, view, context)
    if mended is None or not mended.intents or mended.trigger is Trigger.FLATTEN:
        return mended
    if context.policy.protection.on_missing is MissingProtection.REPROTECT:
        return mended
    return begin_flatten(record, f"PROTECTION_MISSING {mended.reason}", context)


def _finish_stop_move(record: SymbolRecord, trade: Trade, view: TradeView, context: DecisionContext) -> Decision:
    """The bridge or the stop before still rests: go on from there."""
    assert trade.stop is not None
    bridge = bridge_id(context, trade, trade.stop)
    older = tuple(cid for cid in view.strays if _is_stop(cid) and cid != bridge)
    intents = exchange_stop(trade, older, context, bridged=bridge in view.own_open)
    return decision(Trigger.REPROTECT, "STOP_MOVE_UNFINISHED", record, intents=intents)


def _is_stop(client_id: str) -> bool:
    parts = parse(client_id)
    return parts is not None and parts.leg in (Leg.STOP, Leg.BRIDGE)


def _cancel(symbol: str, client_id: str) -> Intent:
    """The leg in the id tells the family."""
    parts = parse(client_id)
    if parts is not None and parts.leg in (Leg.ENTRY, Leg.CLOSE):
        return CancelEntry(symbol=symbol, client_id=client_id)
    return CancelAlgo(symbol=symbol, client_id=client_id)


def manage_trade(
    record: SymbolRecord, event: CandleClosed, managed: Management, context: DecisionContext
) -> Decision | None:
    """What the rules want at a candle's close: end the trade, or move its stop in its favour."""
    if managed.exit_reason is not None:
        return begin_exit(record, managed.exit_reason, context)
    if managed.stop is None:
        return None
    return restop(record, decimal_of(managed.stop), event, context)


def restop(record: SymbolRecord, wanted: Decimal, event: CandleClosed, context: DecisionContext) -> Decision | None:
    """Move the stop if that is worth an order and the market is not already beyond the new price.

    While a stop is not confirmed or is being moved, the next candle is early enough.
    """
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    if trade.uncovered_ms is not None or trade.stop_before is not None:
        return None
    sign, old = trade.side.sign, trade.stop
    price = context.filters.round_price(wanted, Rounding.DOWN if sign > 0 else Rounding.UP)
    nearest = min(event.prices.mark_price, event.prices.last_price, key=lambda p: sign * p)
    worth = sign * (price - old.trigger_price) * 100 >= old.trigger_price * context.policy.orders.stop_move_pct_min
    if not worth or sign * (nearest - price) <= context.filters.tick_size:
        return None
    trade = replace(trade, stop=stop_leg(trade, price, old.version + 1, context), stop_before=old)
    assert trade.stop is not None
    if context.filters.check_algo(place_stop(trade, trade.stop).request, event.prices.mark_price) is not None:
        return None
    intents = exchange_stop(trade, (old.client_id,), context, bridged=False)
    return decision(Trigger.RESTOP, "STOP_MOVED", replace(record, trade=trade), intents=intents)
