"""Compares what a look at the exchange shows with what the trade remembers."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET

from exchange.origin import Origin, origin_of
from exchange.types import (
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Fill,
    LookRequest,
    Order,
    OrderStatus,
    SymbolSnapshot,
)
from fsm.core.accounting import new_fills
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import SymbolObserved
from fsm.core.model.records import ZERO, State, StopLeg, SymbolRecord, TargetLeg, Trade, TradeSide
from fsm.core.order_requests import bridge_id, close_id, entry_id

STUCK_TRIGGER_MS = 5_000
"""How long a triggered stop may take to flatten the position before it counts as failed (R11)."""


OUR_CLOCK_AHEAD_MS = 600_000
"""So far back fills are asked for where none is known to begin after; what is older than the entry is left out."""

FIRING = (AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED, AlgoStatus.FINISHED)


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade's view of a snapshot. ``position`` is signed towards the trade: negative means the other way.

    ``stop_rests``: the stop we want rests exactly as wanted; ``bridged``: it is being replaced, and the one before or
    the bridge rests. ``strays`` are open orders of ours that the trade does not want; ``own_open`` all of ours;
    ``exit_filled`` what new fills took out of the position, ``exit_order_ids`` by which orders.
    """

    position: Decimal
    entry: Order | None
    stop: AlgoOrder | None
    stop_rests: bool
    bridged: bool
    targets: dict[int, AlgoOrder]
    close: Order | None
    strays: tuple[str, ...]
    own_open: tuple[str, ...]
    exit_filled: Decimal
    exit_order_ids: frozenset[int]

    def fired(self, algo: AlgoOrder | None) -> bool:
        """True when there is proof that this conditional order closed something."""
        return algo is not None and (algo.executed_quantity > 0 or algo.actual_order_id in self.exit_order_ids)


def look_request(record: SymbolRecord, context: DecisionContext) -> LookRequest:
    """What the next look at this symbol must include for the engine to judge its trade."""
    trade = record.trade
    if trade is None:
        return LookRequest(tracked=_entries_without_trade(record, context))
    cursor = trade.last_fill_id if trade.last_fill_id is not None else record.last_fill_id
    wants_income = trade.opened_ms if record.state in (State.EXITING, State.FLATTEN) else None
    return LookRequest(
        tracked=_tracked(trade, context),
        fills_after_id=cursor,
        fills_start_ms=trade.opened_ms - OUR_CLOCK_AHEAD_MS if cursor is None else None,
        income_start_ms=wants_income,
        side=trade.side.entry_side,
    )


def _entries_without_trade(record: SymbolRecord, context: DecisionContext) -> tuple[str, ...]:
    """Entries that could explain a position: the one whose end nobody saw, and the next, if this journal is old."""
    contexts = [context] if record.epoch_before is None else [context, context.of(record.epoch_before)]
    unseen = tuple(entry_id(each, record.symbol, record.trades_opened + 1) for each in contexts)
    return (record.abandoned.entry.client_id, *unseen) if record.abandoned else unseen


def _tracked(trade: Trade, context: DecisionContext) -> tuple[str, ...]:
    ids = [trade.entry.client_id] if not (trade.entry.finished and trade.entry.filled == 0) else []
    if trade.stop is not None:
        ids.append(trade.stop.client_id)
    if trade.stop is not None and trade.stop_before is not None:
        ids += [trade.stop_before.client_id, bridge_id(context, trade, trade.stop)]
    ids += trade.target_ids
    if trade.piece_pending:
        ids.append(close_id(context, trade, trade.exit_attempt))
    return tuple(dict.fromkeys((*ids, *trade.unheard)))


def observe(trade: Trade, snapshot: SymbolSnapshot, context: DecisionContext) -> TradeView:
    """Sort everything in the snapshot by what it is to this trade."""
    position = _towards(trade, snapshot)
    orders = {order.client_id: order for order in snapshot.orders}
    algos = {algo.client_id: algo for algo in snapshot.algo_orders}
    stop = algos.get(trade.stop.client_id) if trade.stop else None
    rests = stop is not None and trade.stop is not None and _is_as_wanted(stop, trade, trade.stop)
    own = own_open_orders(snapshot, context.database_id)
    close = orders.get(close_id(context, trade, trade.exit_attempt)) if trade.piece_pending else None
    exits = _exits(trade, snapshot)
    return TradeView(
        position=position,
        entry=orders.get(trade.entry.client_id),
        stop=stop,
        stop_rests=rests,
        bridged=_is_bridged(trade, algos, position, context),
        targets={t.index: shown for t in trade.targets if (shown := _target_shown(t, algos)) is not None},
        close=close,
        strays=_strays(trade, own, close, algos),
        own_open=own,
        exit_filled=sum((fill.quantity for fill in exits), ZERO),
        exit_order_ids=frozenset(fill.order_id for fill in exits),
    )


def _towards(trade: Trade, snapshot: SymbolSnapshot) -> Decimal:
    """The position, signed towards the trade."""
    return snapshot.position.quantity * trade.side.sign if snapshot.position else ZERO


def _exits(trade: Trade, snapshot: SymbolSnapshot) -> list[Fill]:
    """New fills that took something out of the position."""
    return [fill for fill in new_fills(trade, snapshot) if fill.side is trade.side.exit_side]


def _strays(trade: Trade, own: tuple[str, ...], close: Order | None, algos: dict[str, AlgoOrder]) -> tuple[str, ...]:
    """Open orders of ours that the trade does not want, and that are not firing just now."""
    keep = _wanted(trade) | ({close.client_id} if close else set())
    return tuple(cid for cid in own if cid not in keep and not _is_firing(algos.get(cid)))


def _target_shown(target: TargetLeg, algos: dict[str, AlgoOrder]) -> AlgoOrder | None:
    """The order of a target; the one that it replaces where that was hit before it could be cancelled."""
    before = algos.get(target.before) if target.before is not None else None
    return before if _is_firing(before) else algos.get(target.client_id)


def _is_firing(algo: AlgoOrder | None) -> bool:
    return algo is not None and algo.status in FIRING


def covering_stops(snapshot: SymbolSnapshot, side: TradeSide, quantity: Decimal) -> list[AlgoOrder]:
    """Stops that rest and would close so much of a position on this side, whoever placed them."""
    return [algo for algo in snapshot.algo_orders if _covers(algo, side, quantity)]


def _covers(algo: AlgoOrder, side: TradeSide, quantity: Decimal) -> bool:
    return (
        algo.status is AlgoStatus.NEW
        and algo.type == ConditionalType.STOP_MARKET.value
        and algo.side is side.exit_side
        and (algo.close_position or (algo.quantity or ZERO) >= quantity)
    )


def own_open_orders(snapshot: SymbolSnapshot, database_id: str) -> tuple[str, ...]:
    """Client ids of our open orders, both families."""
    return tuple(cid for cid, origin in _open_orders(snapshot, database_id) if origin is Origin.OURS)


def spent(event: SymbolObserved) -> frozenset[str]:
    """Conditional orders that are shown as triggered although nothing is open, for so long that it is no lag: what they
    became is over, they cannot be cancelled, and nothing waits for an end that the exchange never tells."""
    snapshot = event.snapshot
    if not event.persisted or (snapshot.position is not None and snapshot.position.quantity != 0):
        return frozenset()
    triggered = (AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED)
    return frozenset(algo.client_id for algo in snapshot.algo_orders if algo.status in triggered)


def foreign_open_orders(snapshot: SymbolSnapshot, database_id: str) -> tuple[str, ...]:
    """Client ids of open orders that are not ours, both families."""
    return tuple(cid for cid, origin in _open_orders(snapshot, database_id) if origin is not Origin.OURS)


def _open_orders(snapshot: SymbolSnapshot, database_id: str) -> list[tuple[str, Origin]]:
    stated = {order.client_id: order.origin for order in snapshot.orders if order.status.is_open}
    conditional = {algo.client_id for algo in snapshot.algo_orders if algo.status.is_open}
    return [(cid, origin_of(stated.get(cid, UNSET), cid, database_id)) for cid in sorted(conditional | stated.keys())]


def has_ended(order: Order) -> bool:
    """True when the order can fill no further. A status we do not know proves nothing."""
    return not order.status.is_open and order.status is not OrderStatus.UNRECOGNISED


def _wanted(trade: Trade) -> set[str]:
    wanted = {target.client_id for target in trade.targets if not target.done}
    if not trade.entry.finished:
        wanted.add(trade.entry.client_id)
    if trade.stop:
        wanted.add(trade.stop.client_id)
    return wanted


def _is_as_wanted(algo: AlgoOrder, trade: Trade, stop: StopLeg) -> bool:
    """A stop counts only if the exchange itself shows every property that makes it one (R10)."""
    return (
        algo.status is AlgoStatus.NEW
        and algo.type == ConditionalType.STOP_MARKET.value
        and algo.close_position
        and algo.side is trade.side.exit_side
        and algo.trigger_price == stop.trigger_price
        and algo.working_type is stop.working_type
    )


def _is_bridged(trade: Trade, algos: dict[str, AlgoOrder], position: Decimal, context: DecisionContext) -> bool:
    if trade.stop is None or trade.stop_before is None:
        return False
    before = algos.get(trade.stop_before.client_id)
    if before is not None and _is_as_wanted(before, trade, trade.stop_before):
        return True
    bridge = algos.get(bridge_id(context, trade, trade.stop))
    return (
        bridge is not None
        and bridge.status is AlgoStatus.NEW
        and bridge.side is trade.side.exit_side
        and (bridge.quantity or ZERO) >= position
    )
