"""While flat (IDLE, HALT, SIGNALLED): positions and orders that a look finds and that should not be there."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg, is_ours, parse
from exchange.filters import Rounding
from exchange.types import Position, SymbolSnapshot
from fsm.core.events import SymbolObserved
from fsm.core.intents import Look, SweepOrders
from fsm.core.legs import leg_id, place_stop
from fsm.core.move import Move, move
from fsm.core.records import ZERO, EntryLeg, Flag, State, StopLeg, SymbolRecord, Trade, TradeSide
from fsm.core.scene import Setting
from fsm.core.states import Trigger


def look_resting(record: SymbolRecord, event: SymbolObserved, setting: Setting) -> Move | None:
    """A position of ours is adopted, a foreign one reported and left alone, orders that cover nothing are cancelled."""
    position = event.snapshot.position
    if position is not None and position.quantity != 0:
        return _position_found(record, event, position, setting)
    orphans = own_open_orders(event.snapshot, setting.database_id)
    if orphans and record.state is not State.SIGNALLED:
        intents = (SweepOrders(symbol=record.symbol, client_ids=orphans), Look(symbol=record.symbol))
        return move(Trigger.SWEEP, "ORPHAN_ORDERS", record, intents=intents)
    return None


def own_open_orders(snapshot: SymbolSnapshot, database_id: str) -> tuple[str, ...]:
    """Client ids of our open orders, both families."""
    ids = [order.client_id for order in snapshot.orders if order.status.is_open]
    ids += [algo.client_id for algo in snapshot.algo_orders if algo.status.is_open]
    return tuple(sorted(cid for cid in ids if is_ours(cid, database_id)))


def foreign_open_orders(snapshot: SymbolSnapshot, database_id: str) -> tuple[str, ...]:
    """Client ids of open orders that are not ours, both families."""
    ids = [order.client_id for order in snapshot.orders if order.status.is_open]
    ids += [algo.client_id for algo in snapshot.algo_orders if algo.status.is_open]
    return tuple(sorted(cid for cid in ids if not is_ours(cid, database_id)))


def _position_found(record: SymbolRecord, event: SymbolObserved, position: Position, setting: Setting) -> Move | None:
    number = _our_entry_number(event.snapshot, setting)
    if number is not None and record.state is not State.SIGNALLED:
        return _adopt(record, event, position, number, setting)
    if record.quarantine is not None or not event.persisted:
        return None
    flagged = replace(record, quarantine=Flag("FOREIGN_POSITION", event.at_ms))
    if record.state is State.SIGNALLED:
        return move(Trigger.DROP, "FOREIGN_POSITION", replace(flagged, trade=None))
    return move(Trigger.QUARANTINE, "FOREIGN_POSITION", flagged)


def _our_entry_number(snapshot: SymbolSnapshot, setting: Setting) -> int | None:
    """The trade number of an entry of ours that filled, if the look shows one."""
    for order in snapshot.orders:
        parts = parse(order.client_id)
        if (
            parts
            and parts.leg is Leg.ENTRY
            and parts.database_id == setting.database_id
            and order.executed_quantity > 0
        ):
            return parts.trade_number
    return None


def _adopt(record: SymbolRecord, event: SymbolObserved, position: Position, number: int, setting: Setting) -> Move:
    """Take over a position of ours that the journal did not know, with its own plan if that is remembered (R28)."""
    side = TradeSide.LONG if position.quantity > 0 else TradeSide.SHORT
    quantity = abs(position.quantity)
    planned = record.abandoned if record.abandoned and record.abandoned.number == number else None
    trade = planned if planned and planned.side is side else _unplanned(record, event, position, number, side, setting)
    entry = replace(trade.entry, filled=quantity, finished=True, average_price=position.entry_price)
    stop = StopLeg(
        client_id=leg_id(setting, record.symbol, number, Leg.STOP, 1, 1),
        trigger_price=trade.stop_price_initial,
        working_type=setting.policy.working_type,
    )
    trade = replace(
        trade,
        entry=entry,
        stop=stop,
        adopted=True,
        targets=(),
        targets_sent=True,
        open_quantity=quantity,
        entry_price=position.entry_price,
        first_fill_ms=event.at_ms,
    )
    after = replace(record, trade=trade, abandoned=None, trades_opened=max(record.trades_opened, number))
    return move(
        Trigger.ADOPT, "OWN_POSITION_FOUND", after, intents=(place_stop(trade, stop), Look(symbol=record.symbol))
    )


def _unplanned(
    record: SymbolRecord, event: SymbolObserved, position: Position, number: int, side: TradeSide, setting: Setting
) -> Trade:
    """A plan for a position whose own is lost: its stop lies at the largest distance that config allows."""
    distance = position.entry_price * setting.policy.stop_distance_pct_max / 100
    direction = Rounding.DOWN if side is TradeSide.LONG else Rounding.UP
    stop = setting.filters.round_price(position.entry_price - side.sign * distance, direction)
    quantity = abs(position.quantity)
    return Trade(
        id=f"{record.symbol}-{number}",
        number=number,
        symbol=record.symbol,
        side=side,
        strategy="adopted",
        regime="NO_TRADE",
        rules_hash=setting.rules_hash,
        config_hash=setting.config_hash,
        signal_candle_ms=setting.rules.entry_timeframe.floor(event.at_ms),
        opened_ms=event.at_ms,
        quantity=quantity,
        entry_price_planned=position.entry_price,
        stop_price_initial=max(stop, Decimal(0)),
        risk_usdt=quantity * distance,
        entry=EntryLeg(
            client_id=leg_id(setting, record.symbol, number, Leg.ENTRY, 0, 1),
            type="MARKET",
            quantity=quantity,
            price=None,
            expires_ms=None,
            filled=ZERO,
        ),
    )
