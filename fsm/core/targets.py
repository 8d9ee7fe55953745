"""Targets while PROTECTED: what their refusal means, and placing again what vanished. The stop protects meanwhile."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.refusals import RefusalReason
from exchange.types import AlgoOrder, AlgoStatus, Refused
from fsm.core.leaving import begin_exit
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import IntentEnded, SymbolObserved
from fsm.core.model.intents import Intent, Look, PlaceTarget
from fsm.core.model.records import ZERO, SymbolRecord, TargetLeg, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView
from fsm.core.order_requests import leg_id, place_target
from fsm.core.refusals import ALREADY_THERE, TEMPORARY, WRONG_TICK, refused_for_good
from fsm.core.rounding_anew import is_crumb, on_known_lot, on_known_tick, rounded_anew

TARGET_SENT_MAX = 3
"""A target that will not rest is given up: the stop and the rules still end the trade."""


def next_target(target: TargetLeg, trade: Trade, context: DecisionContext) -> TargetLeg:
    """The same target under a new id, on the tick and in the lots known now: the one before has definitely ended."""
    attempt = target.attempt + 1
    cid = leg_id(context, trade.symbol, trade.number, Leg.TARGET, target.index, attempt)
    price = on_known_tick(target.trigger_price, trade.side, context)
    lots = on_known_lot(target.quantity, context)
    return replace(target, client_id=cid, attempt=attempt, trigger_price=price, quantity=lots)


def target_ended(
    record: SymbolRecord, event: IntentEnded, intent: PlaceTarget, context: DecisionContext
) -> Decision | None:
    """A target was refused. Already beyond the last one: take the profit at market. Otherwise try again."""
    trade, outcome = record.trade, event.outcome
    if trade is None or not isinstance(outcome, Refused) or outcome.reason in ALREADY_THERE:
        return None
    target = next((t for t in trade.targets if t.client_id == intent.request.client_id and not t.done), None)
    if target is None:
        return None
    if outcome.reason is RefusalReason.WOULD_TRIGGER and target.quantity is None:
        return begin_exit(record, "TARGET_REACHED", context)
    if outcome.reason in TEMPORARY:  # it does not count: a look that does not find it asks again
        uncounted = replace(target, sent=target.sent - 1)
        after = replace(record, trade=_with_targets(trade, (uncounted,)))
        return decision(Trigger.REPROTECT, f"TARGET_REFUSED {outcome.code}", after)
    record = refused_for_good(record, event.at_ms, outcome, context)
    if _is_given_up(target, context):
        return None
    again = _again(target, outcome, trade, context)
    return _send_again(record, trade, (again,), f"TARGET_REFUSED {outcome.code}", context)


def _again(target: TargetLeg, refused: Refused, trade: Trade, context: DecisionContext) -> TargetLeg:
    """The same target anew. Where its tick was refused and is none that we know of, it is rounded as a coarser one."""
    again = next_target(target, trade, context)
    another_tick = context.edition >= 2 and refused.reason in WRONG_TICK
    if not another_tick or again.trigger_price != target.trigger_price:
        return again
    price = rounded_anew(target.trigger_price, trade.side, context)
    return again if price is None else replace(again, trigger_price=price)


def _targets_moved(record: SymbolRecord, event: SymbolObserved) -> Decision | None:
    """The orders that targets replace were seen to have ended, or are not found any more.

    One that was hit after all is done. Its fill is looked for in the position first; where somebody else has traded as
    much the other way, only its order tells of it.
    """
    trade = record.trade
    assert trade is not None
    algos = {algo.client_id: algo for algo in event.snapshot.algo_orders}
    changed: list[TargetLeg] = []
    for target in trade.targets:
        before = algos.get(target.before or "")
        over = _replaced(target, before, persisted=event.persisted) if target.is_moving else None
        if over is not None:
            changed.append(over)
            hit = before.executed_quantity if before is not None else ZERO
            trade = replace(trade, closed_by_us=trade.closed_by_us + hit)
    if not changed:
        return None
    trade = _with_targets(trade, tuple(changed))
    return decision(Trigger.REPROTECT, "TARGET_MOVED", replace(record, trade=trade))


def _replaced(target: TargetLeg, before: AlgoOrder | None, *, persisted: bool) -> TargetLeg | None:
    """The target once the order that it replaces is over; None while that is not known."""
    if before is None:
        return replace(target, before=None) if persisted else None
    if _ended_in_vain(before, persisted=persisted):
        return replace(target, before=None)
    return replace(target, before=None, done=True) if persisted and not before.status.is_open else None


def mend_targets(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """Targets that ended without being hit are placed again under a new id, those not found under their own (R2); one
    that is less than a lot by now is given up.

    First what is known of those that are being moved.
    """
    moved = _targets_moved(record, event)
    if moved is not None:
        return moved
    trade = record.trade
    assert trade is not None
    again: list[TargetLeg] = []
    for target in trade.targets:
        algo = view.targets.get(target.index)
        if target.done or _is_given_up(target, context):
            continue
        if algo is None and event.persisted:
            anew = next_target(target, trade, context)
            fits = (anew.trigger_price, anew.quantity) == (target.trigger_price, target.quantity)
            again.append(target if fits else anew)
        elif algo is not None and _ended_in_vain(algo, persisted=event.persisted):
            again.append(next_target(target, trade, context))
    return _send_again(record, trade, tuple(again), "TARGET_MISSING", context) if again else None


def _is_given_up(target: TargetLeg, context: DecisionContext) -> bool:
    """It will not rest, or is less than a lot by now."""
    return target.sent >= TARGET_SENT_MAX or is_crumb(target.quantity, context)


def _ended_in_vain(algo: AlgoOrder, *, persisted: bool) -> bool:
    """It closed nothing. FINISHED says only that its order is over; how much that filled may take a moment to show."""
    if algo.executed_quantity > 0:
        return False
    if algo.status is AlgoStatus.FINISHED:
        return persisted
    return algo.status in (AlgoStatus.CANCELED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED)


def _send_again(
    record: SymbolRecord, trade: Trade, again: tuple[TargetLeg, ...], reason: str, context: DecisionContext
) -> Decision:
    renewed = tuple(replace(target, sent=target.sent + 1) for target in again)
    trade = _with_targets(trade, renewed)
    intents: tuple[Intent, ...] = tuple(place_target(trade, target, context) for target in renewed)
    intents += (Look(symbol=record.symbol),)
    return decision(Trigger.REPROTECT, reason, replace(record, trade=trade), intents=intents)


def _with_targets(trade: Trade, changed: tuple[TargetLeg, ...]) -> Trade:
    by_index = {target.index: target for target in changed}
    return replace(trade, targets=tuple(by_index.get(target.index, target) for target in trade.targets))
