"""While flat (IDLE, HALT, SIGNALLED): positions and orders that a look finds and that should not be there."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.client_ids import ClientId, Leg, parse
from exchange.filters import Rounding
from exchange.types import AlgoOrder, AlgoStatus, ConditionalType, Order, Position, SymbolSnapshot
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import HANDS_EDITION, DecisionContext
from fsm.core.model.events import SymbolObserved
from fsm.core.model.intents import CancelEntry, Intent, Look, SweepOrders
from fsm.core.model.records import ZERO, EntryLeg, State, StopLeg, SymbolRecord, Trade, TradeSide
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import has_ended, own_open_orders, spent
from fsm.core.order_requests import entry_id, place_stop, stop_leg
from fsm.core.releasing import cancels_stop
from fsm.core.signals import drop, signal_age_ms

LATE_ENTRY = "LATE_ENTRY"
"""Flags a trade whose entry turned up after a later trade: the ledger's rows of that time are in the books of both."""


def look_resting(record: SymbolRecord, event: SymbolObserved, context: DecisionContext) -> Decision | None:
    """A position of ours is adopted, a foreign one reported and left alone, orders that cover nothing are cancelled."""
    position = event.snapshot.position
    open_position = position if position is not None and position.quantity != 0 else None
    if record.state is State.SIGNALLED:
        return _look_signalled(record, event, open_position, context)
    if open_position is not None:
        return _position_found(record, event, open_position, context)
    own = own_open_orders(event.snapshot, context.database_id)
    if record.foreign is not None or record.released is not None:
        return _foreign_gone(record, event, own, context)
    over = spent(event) if context.edition >= 2 else frozenset()
    return _sweep(record, tuple(client_id for client_id in own if client_id not in over))


def _foreign_gone(
    record: SymbolRecord, event: SymbolObserved, own: tuple[str, ...], context: DecisionContext
) -> Decision | None:
    """What was not ours is closed: it counts no more. Seen once it may be a lag. An entry of ours that still rests
    would open it again, so that goes first."""
    if not event.persisted:
        return None
    if context.edition >= HANDS_EDITION:
        over = spent(event)
        entries = tuple(client_id for client_id in _no_protection(own, event, context) if client_id not in over)
        if entries:
            return _sweep(record, entries)
    return decision(Trigger.RELEASE, "FOREIGN_GONE", replace(record, foreign=None, released=None))


def _look_signalled(
    record: SymbolRecord, event: SymbolObserved, position: Position | None, context: DecisionContext
) -> Decision | None:
    """The setup's answer leads on; a signal that waited too long for it, or a position in its way, is dropped."""
    trade = record.trade
    assert trade is not None
    if position is not None:
        seen = record.quarantined("FOREIGN_POSITION", event.at_ms) if event.persisted else record
        return drop(seen, "POSITION_OPEN")
    too_old = signal_age_ms(trade, event.at_ms, context) > context.policy.candle_age_ms_max
    return drop(record, "CANDLE_AGE") if too_old else None


def _sweep(record: SymbolRecord, client_ids: tuple[str, ...]) -> Decision | None:
    if not client_ids:
        return None
    intents = (SweepOrders(symbol=record.symbol, client_ids=client_ids), Look(symbol=record.symbol))
    return decision(Trigger.SWEEP, "ORPHAN_ORDERS", record, intents=intents)


def _position_found(
    record: SymbolRecord, event: SymbolObserved, position: Position, context: DecisionContext
) -> Decision | None:
    """Ours if an order of a trade that is not booked explains it. Otherwise only what protects nobody is cancelled
    beside it: a stop may be what protects it."""
    side = TradeSide.LONG if position.quantity > 0 else TradeSide.SHORT
    evidence = _Evidence(record, event.snapshot, side, context)
    if evidence.number is not None:
        return _adopt(record, event, position, evidence, context)
    own = own_open_orders(event.snapshot, context.database_id)
    unwanted = own if cancels_stop(record) else _no_protection(own, event, context)
    if unwanted:
        return _sweep(record, unwanted)
    if not event.persisted:
        return None
    if context.edition < HANDS_EDITION:
        seen = record.quarantined("FOREIGN_POSITION", event.at_ms)
        return None if record.quarantine is not None else decision(Trigger.QUARANTINE, "FOREIGN_POSITION", seen)
    if record.foreign is not None and record.foreign.quantity == position.quantity:
        return None
    reason = "FOREIGN_POSITION" if record.foreign is None else "FOREIGN_CHANGED"
    return decision(Trigger.QUARANTINE, reason, record.beside(position.quantity, position.mark_price, event.at_ms))


def _no_protection(own: tuple[str, ...], event: SymbolObserved, context: DecisionContext) -> tuple[str, ...]:
    """What protects nobody: entries, and what is still there of targets, parts and probes, which would close some of it
    one day."""
    lasts = event.persisted and context.edition >= HANDS_EDITION
    legs = (Leg.ENTRY, Leg.PROBE, Leg.TARGET, Leg.CLOSE) if lasts else (Leg.ENTRY,)
    return tuple(cid for cid in own if (parts := parse(cid)) is not None and parts.leg in legs)


class _Evidence:
    """What the look shows of a trade that is under way although the record knows of none."""

    def __init__(
        self, record: SymbolRecord, snapshot: SymbolSnapshot, side: TradeSide, context: DecisionContext
    ) -> None:
        self.side = side
        entries = [order for order in snapshot.orders if self._is_entry(order, record, context)]
        stops = [algo for algo in snapshot.algo_orders if self._is_stop(algo, record, context)]
        self.entry: Order | None = entries[-1] if entries else None
        self.stop: AlgoOrder | None = stops[-1] if stops else None
        found = self.entry or self.stop
        parts = parse(found.client_id) if found is not None else None
        self.number = parts.trade_number if parts is not None else None

    def _is_entry(self, order: Order, record: SymbolRecord, context: DecisionContext) -> bool:
        parts = _unbooked(order.client_id, record, context)
        of_side = parts is not None and parts.leg is Leg.ENTRY and order.side is self.side.entry_side
        return of_side and order.executed_quantity > 0

    def _is_stop(self, algo: AlgoOrder, record: SymbolRecord, context: DecisionContext) -> bool:
        parts = _unbooked(algo.client_id, record, context)
        return parts is not None and parts.leg is Leg.STOP and _closes(algo, self.side)


def _unbooked(client_id: str, record: SymbolRecord, context: DecisionContext) -> ClientId | None:
    """The parts of an id of a trade that this journal does not know, or knows as unfinished. A booked one is over:
    a look that shows it open was taken before."""
    parts = parse(client_id)
    if parts is None or parts.database_id != context.database_id:
        return None
    remembered = record.abandoned is not None and record.abandoned.number == parts.trade_number
    return parts if remembered or parts.trade_number > record.trades_opened else None


def _closes(algo: AlgoOrder, side: TradeSide) -> bool:
    resting = algo.status is AlgoStatus.NEW and algo.close_position
    return resting and algo.type == ConditionalType.STOP_MARKET.value and algo.side is side.exit_side


def _adopt(
    record: SymbolRecord, event: SymbolObserved, position: Position, evidence: _Evidence, context: DecisionContext
) -> Decision:
    """Take over a position of ours that the journal did not know, with its own plan if that is remembered (R28)."""
    number = evidence.number
    assert number is not None
    trade = _plan_of(record, event, position, evidence, context)
    ended = evidence.entry is None or has_ended(evidence.entry)
    filled = abs(position.quantity)
    if evidence.entry is not None:  # more than it brought is somebody else's
        filled = min(filled, evidence.entry.executed_quantity)
    entry = replace(trade.entry, filled=filled, finished=True, average_price=position.entry_price)
    stop = _resting_stop(evidence.stop) if evidence.stop else _new_stop(trade, context)
    trade = replace(
        trade,
        last_fill_id=_last_fill(trade, record),
        entry=entry,
        stop=stop,
        adopted=True,
        targets_sent=not trade.targets,
        open_quantity=filled,
        entry_price=position.entry_price,
        first_fill_ms=event.at_ms,
        uncovered_ms=event.at_ms,
        flagged=trade.flagged or (LATE_ENTRY if number < record.trades_opened else None),
    )
    after = replace(record, trade=trade, abandoned=None, trades_opened=max(record.trades_opened, number))
    intents: list[Intent] = [] if evidence.stop else [place_stop(trade, stop)]
    if not ended:
        intents.append(CancelEntry(symbol=record.symbol, client_id=trade.entry.client_id))
    intents.append(Look(symbol=record.symbol))
    return decision(Trigger.ADOPT, "OWN_POSITION_FOUND", after, intents=tuple(intents))


def _plan_of(
    record: SymbolRecord, event: SymbolObserved, position: Position, evidence: _Evidence, context: DecisionContext
) -> Trade:
    """The plan that the journal remembers for a trade of this number and side, or one made up for it."""
    kept = record.abandoned
    if kept is not None and kept.number == evidence.number and kept.side is evidence.side:
        return kept
    return _unplanned(record, event, position, evidence, context)


def _last_fill(trade: Trade, record: SymbolRecord) -> int | None:
    seen = [fill_id for fill_id in (trade.last_fill_id, record.last_fill_id) if fill_id is not None]
    return max(seen, default=None)


def _resting_stop(algo: AlgoOrder) -> StopLeg:
    """The stop of ours that rests there is as good as any: it becomes the one we want."""
    parts = parse(algo.client_id)
    assert parts is not None
    return StopLeg(
        client_id=algo.client_id,
        trigger_price=algo.trigger_price,
        working_type=algo.working_type,
        version=parts.index,
        attempt=parts.attempt,
    )


def _new_stop(trade: Trade, context: DecisionContext) -> StopLeg:
    """At the planned price, under an id that no earlier stop of the trade had."""
    version = trade.stop.version + 1 if trade.stop else 1
    price = trade.stop.trigger_price if trade.stop else trade.stop_price_initial
    return stop_leg(trade, price, version, context)


def _unplanned(
    record: SymbolRecord, event: SymbolObserved, position: Position, evidence: _Evidence, context: DecisionContext
) -> Trade:
    """A plan for a position whose own is lost: its stop lies at the largest distance that config allows."""
    side, number = evidence.side, evidence.number
    assert number is not None
    distance = position.entry_price * context.policy.risk.stop_distance_pct_max / 100
    direction = Rounding.DOWN if side is TradeSide.LONG else Rounding.UP
    stop = context.filters.round_price(position.entry_price - side.sign * distance, direction)
    quantity = abs(position.quantity)
    return Trade(
        id=f"{record.symbol}-{number}",
        number=number,
        symbol=record.symbol,
        side=side,
        strategy="adopted",
        regime="NO_TRADE",
        rules_hash=context.rules_hash,
        config_hash=context.config_hash,
        signal_candle_ms=context.rules.entry_timeframe.floor(event.at_ms),
        opened_ms=evidence.entry.update_time_ms if evidence.entry else event.at_ms,
        quantity=quantity,
        entry_price_planned=position.entry_price,
        stop_price_initial=max(stop, context.filters.price_min, context.filters.tick_size),
        risk_usdt=quantity * distance,
        last_fill_id=record.last_fill_id,
        entry=EntryLeg(
            client_id=entry_id(context, record.symbol, number),
            type="MARKET",
            quantity=quantity,
            price=None,
            expires_ms=None,
            filled=ZERO,
        ),
    )
