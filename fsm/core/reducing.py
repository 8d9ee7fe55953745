"""A part of a protected position is being closed by hand: the answer to its order, and what looks show of it.

It is sent once: a second one might close twice as much. Where nobody knows its fate it is looked for, for as long as it
might still arrive.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import Order, OrderStatus, Refused, Unknown
from fsm.core.accounting import count_fills
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import IntentEnded, SymbolObserved, real_ms
from fsm.core.model.intents import CancelAlgo, Intent, Look
from fsm.core.model.records import Part, SymbolRecord, TargetLeg, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView, has_ended
from fsm.core.order_requests import close_id, place_target
from fsm.core.refusals import refused_for_good
from fsm.core.targets import next_target

ARRIVES_MS_MAX = 60_000
"""So long an order that no look shows might still arrive (real time): many times recvWindow."""


def reduce_ended(record: SymbolRecord, event: IntentEnded, client_id: str, context: DecisionContext) -> Decision | None:
    """The order was answered, or nobody heard how. A refusal is the end of it; of everything else looks tell."""
    trade, outcome = record.trade, event.outcome
    if trade is None or trade.part is None or client_id != close_id(context, trade, trade.exit_attempt):
        return None
    if isinstance(outcome, Unknown) and client_id not in trade.unheard:
        heard_not = replace(trade, unheard=(*trade.unheard, client_id))
        return decision(Trigger.REPROTECT, "REDUCE_UNHEARD", replace(record, trade=heard_not))
    if not isinstance(outcome, Refused) or outcome.reason is RefusalReason.DUPLICATE_ID:
        return None
    refused = refused_for_good(replace(record, trade=_settled(trade, client_id)), event.at_ms, outcome, context)
    facts = {"message": outcome.message}
    return decision(Trigger.REPROTECT, f"REDUCE_REFUSED {outcome.code}", refused, facts=facts)


def look_reducing(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """What became of the part; None while that is not known."""
    trade = record.trade
    if trade is None or trade.part is None:
        return None
    close = view.close
    if close is None:
        return _never_arrived(record, trade, trade.part, event)
    if not has_ended(close) and not (close.status is OrderStatus.UNRECOGNISED and event.persisted):
        return None
    if close.executed_quantity == 0:
        unfilled = replace(record, trade=_settled(trade, close.client_id))
        return decision(Trigger.REPROTECT, "REDUCE_UNFILLED", unfilled)
    left = trade.open_quantity - close.executed_quantity
    if view.position > left and not event.persisted:
        return None  # the position lags
    return _reduced(record, trade, close, left if left > 0 else view.position, event, context)


def _never_arrived(record: SymbolRecord, trade: Trade, part: Part, event: SymbolObserved) -> Decision | None:
    """No look shows it, for longer than an order may be on its way. Its number is free for the next close."""
    if not event.persisted:
        return None
    now_ms = real_ms(event)
    if part.unseen_ms is None:
        noted = replace(record, trade=replace(trade, part=replace(part, unseen_ms=now_ms)))
        return decision(Trigger.REPROTECT, "REDUCE_UNSEEN", noted)
    if now_ms - part.unseen_ms < ARRIVES_MS_MAX:
        return None
    freed = replace(record, trade=replace(trade, part=None, exit_attempt=trade.exit_attempt - 1))
    return decision(Trigger.REPROTECT, "REDUCE_NOT_FOUND", freed)


def _reduced(
    record: SymbolRecord, trade: Trade, close: Order, left: Decimal, event: SymbolObserved, context: DecisionContext
) -> Decision:
    """So much is closed. Targets for a part of the position become smaller with it."""
    share = left / trade.open_quantity
    trade = replace(
        count_fills(_settled(trade, close.client_id), event.snapshot, context),
        open_quantity=left,
        closed_by_us=trade.closed_by_us + close.executed_quantity,
    )
    smaller = [_smaller(target, share, trade, context) for target in trade.targets if _shrinks(target, trade)]
    by_index = {target.index: target for target in smaller}
    intents: list[Intent] = []
    for target in trade.targets:
        if target.index in by_index:
            intents += [CancelAlgo(symbol=record.symbol, client_id=cid) for cid in target.order_ids]
    intents += [place_target(trade, target, context) for target in smaller if not target.done]
    intents += [Look(symbol=record.symbol)] if intents else []
    trade = replace(trade, targets=tuple(by_index.get(target.index, target) for target in trade.targets))
    return decision(Trigger.REDUCE, "REDUCED_BY_HAND", replace(record, trade=trade), intents=tuple(intents))


def _shrinks(target: TargetLeg, trade: Trade) -> bool:
    return trade.targets_sent and target.quantity is not None and not target.done


def _smaller(target: TargetLeg, share: Decimal, trade: Trade, context: DecisionContext) -> TargetLeg:
    """Its share of what is left; less than the smallest lot is left to the last one."""
    assert target.quantity is not None
    lots = context.filters.floor_quantity(target.quantity * share, market=True)
    if lots == 0:
        return replace(target, done=True)
    return replace(next_target(target, trade, context), quantity=lots, sent=1, before=target.client_id)


def _settled(trade: Trade, client_id: str) -> Trade:
    """Its order is over."""
    left = tuple(other for other in trade.unheard if other != client_id)
    return replace(trade, part=None, exit_refused=trade.exit_attempt, unheard=left)
