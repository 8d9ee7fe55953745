"""What it means to one symbol that its journal is older than the exchange (R78, R75): new ids, the tighter stop, and
the end of a trade that nobody here saw.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.types import AlgoOrder, AlgoStatus, ConditionalType, Order
from fsm.core.booking import book
from fsm.core.exit_reasons import LOST_JOURNAL
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import JournalFoundOld
from fsm.core.model.records import ZERO, State, StopLeg, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.signals import drop


def restored(record: SymbolRecord, event: JournalFoundOld, context: DecisionContext) -> Decision | None:
    """First the new epoch and what is kept; then, where the trade of the record is over, its end, as far as its orders
    tell. Nothing is asked of the exchange: looks go on from here."""
    if record.epoch != event.epoch:
        return decision(Trigger.RESTORE, "OLDER_THAN_EXCHANGE", _in_new_epoch(record, event))
    trade = record.trade
    if trade is None or not event.is_over:
        return None
    if record.state is State.SIGNALLED:
        return drop(record, LOST_JOURNAL)
    if record.state in (State.EXITING, State.FLATTEN):
        return _booked(record, trade, event, context)
    trade = _as_entered(trade, event)
    if trade.entry.filled == 0 and record.state is State.ENTERING:
        return decision(Trigger.ABANDON, LOST_JOURNAL, replace(record, trade=None))
    trade = replace(trade, exit_reason=None, open_quantity=ZERO, swept=True)
    return decision(Trigger.EXIT, LOST_JOURNAL, replace(record, trade=trade))


def _in_new_epoch(record: SymbolRecord, event: JournalFoundOld) -> SymbolRecord:
    """A closing order of the old epoch is not waited for any more: what is open decides. Nothing of what the record
    counted is counted again."""
    record = replace(record, epoch=event.epoch, epoch_before=record.epoch, trades_opened=event.newest)
    if event.last_fill_id is not None:
        record = replace(record, last_fill_id=event.last_fill_id or None)
    trade = record.trade
    if trade is None or event.is_over:
        return record
    stop = _tightest(trade, event.snapshot.algo_orders)
    kept = trade if stop is None else replace(trade, stop=stop, stop_before=None)
    return replace(record, trade=replace(kept, exit_refused=kept.exit_attempt, part=None))


def _tightest(trade: Trade, algos: tuple[AlgoOrder, ...]) -> StopLeg | None:
    """The stop of this trade that rests there, where it is at least as tight as the one that is remembered, or of a
    later version: a journal that is lost has moved it, away from safety only where the operator said so."""
    resting = [algo for algo in algos if _is_its_stop(trade, algo)]
    best = max(resting, key=lambda algo: trade.side.sign * algo.trigger_price, default=None)
    if best is None:
        return None
    remembered = trade.stop.trigger_price if trade.stop else trade.stop_price_initial
    parts = parse(best.client_id)
    assert parts is not None
    is_older = trade.stop is None or parts.index <= trade.stop.version
    if trade.side.sign * (best.trigger_price - remembered) < 0 and is_older:
        return None
    return StopLeg(
        client_id=best.client_id,
        trigger_price=best.trigger_price,
        working_type=best.working_type,
        version=parts.index,
        attempt=parts.attempt,
    )


def _is_its_stop(trade: Trade, algo: AlgoOrder) -> bool:
    parts = parse(algo.client_id)
    if parts is None or parts.leg is not Leg.STOP or parts.trade_number != trade.number:
        return False
    is_stop = algo.type == ConditionalType.STOP_MARKET.value and algo.side is trade.side.exit_side
    return is_stop and algo.close_position and algo.status is AlgoStatus.NEW


def _as_entered(trade: Trade, event: JournalFoundOld) -> Trade:
    """With all that its entry brought in the end."""
    order = _entry(trade, event)
    filled = max(trade.entry.filled, order.executed_quantity if order else ZERO)
    average = (order.average_price if order else None) or trade.entry.average_price
    entry = replace(trade.entry, filled=filled, average_price=average, finished=True)
    price = average or trade.entry_price or trade.entry_price_planned
    first_ms = trade.first_fill_ms or (event.at_ms if filled else None)
    return replace(trade, entry=entry, entry_price=price, first_fill_ms=first_ms)


def _entry(trade: Trade, event: JournalFoundOld) -> Order | None:
    orders = event.snapshot.orders
    return next((order for order in orders if order.client_id == trade.entry.client_id), None)


def _booked(record: SymbolRecord, trade: Trade, event: JournalFoundOld, context: DecisionContext) -> Decision:
    """Its books are closed with its own fills alone; where they do not account for all of it, they are flagged."""
    trade = _as_entered(trade, event)
    if trade.first_fill_ms is None:
        return decision(Trigger.FLAT, LOST_JOURNAL, replace(record, trade=None, tried=None))
    newest = record.last_fill_id
    reason = trade.exit_reason or (LOST_JOURNAL if _closed_by_us(trade, event) else "EXTERNAL_CLOSE")
    trade = replace(trade, exit_reason=reason, flagged=trade.flagged or LOST_JOURNAL)
    complete = trade.closed_quantity + _exits(trade, event) >= trade.entry.filled
    made = book(record, trade, event, complete=complete, context=context)
    ended_ms = max((fill.time_ms for fill in event.snapshot.fills), default=event.at_ms)
    booked = None if made.booked is None else replace(made.booked, closed_ms=ended_ms)
    return replace(made, record=replace(made.record, last_fill_id=newest), booked=booked)


def _closed_by_us(trade: Trade, event: JournalFoundOld) -> bool:
    """A close of this trade's own was executed; its stop and targets have names of their own."""
    filled = (parse(order.client_id) for order in event.snapshot.orders if order.executed_quantity > 0)
    return any(parts is not None and (parts.trade_number, parts.leg) == (trade.number, Leg.CLOSE) for parts in filled)


def _exits(trade: Trade, event: JournalFoundOld) -> Decimal:
    last = trade.last_fill_id or 0
    fresh = (fill for fill in event.snapshot.fills if fill.side is trade.side.exit_side and fill.fill_id > last)
    return sum((fill.quantity for fill in fresh), ZERO)
