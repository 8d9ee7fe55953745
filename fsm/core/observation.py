"""Compares what a look at the exchange shows with what the trade remembers."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from exchange.client_ids import Leg, parse
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
from fsm.core.forced_ends import first_forced_close, forced_close
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import ZERO, State, StopLeg, SymbolRecord, Trade, TradeSide
from fsm.core.order_requests import bridge_id, close_id, entry_id

STUCK_TRIGGER_MS = 5_000
"""How long a triggered stop may take to flatten the position before it counts as failed (R11)."""

CLOCK_SLACK_MS = 1_000
"""How far the exchange's stamps may lie before ours: fills of a trade are not older than its start by more, unless its
own entry is."""

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
    if trade.targets_sent:
        ids += [target.client_id for target in trade.targets if not target.done]
    if trade.piece_pending:
        ids.append(close_id(context, trade, trade.exit_attempt))
    return tuple(dict.fromkeys((*ids, *trade.unheard)))


def observe(trade: Trade, snapshot: SymbolSnapshot, context: DecisionContext) -> TradeView:
    """Sort everything in the snapshot by what it is to this trade."""
    position = snapshot.position.quantity * trade.side.sign if snapshot.position else ZERO
    orders = {order.client_id: order for order in snapshot.orders}
    algos = {algo.client_id: algo for algo in snapshot.algo_orders}
    stop = algos.get(trade.stop.client_id) if trade.stop else None
    own = own_open_orders(snapshot, context.database_id)
    close = orders.get(close_id(context, trade, trade.exit_attempt)) if trade.piece_pending else None
    keep = _wanted(trade) | ({close.client_id} if close else set())
    exits = [fill for fill in new_fills(trade, snapshot) if fill.side is trade.side.exit_side]
    return TradeView(
        position=position,
        entry=orders.get(trade.entry.client_id),
        stop=stop,
        stop_rests=stop is not None and trade.stop is not None and _is_as_wanted(stop, trade, trade.stop),
        bridged=_is_bridged(trade, algos, position, context),
        targets={t.index: algos[t.client_id] for t in trade.targets if t.client_id in algos},
        close=close,
        strays=tuple(cid for cid in own if cid not in keep and not _is_firing(algos.get(cid))),
        own_open=own,
        exit_filled=sum((fill.quantity for fill in exits), ZERO),
        exit_order_ids=frozenset(fill.order_id for fill in exits),
    )


def _is_firing(algo: AlgoOrder | None) -> bool:
    return algo is not None and algo.status in FIRING


def covering_stops(snapshot: SymbolSnapshot, side: TradeSide, quantity: Decimal) -> list[AlgoOrder]:
    """Stops that rest and would close so much of a position on this side, whoever placed them."""
    return [
        algo
        for algo in snapshot.algo_orders
        if algo.status is AlgoStatus.NEW
        and algo.type == ConditionalType.STOP_MARKET.value
        and algo.side is side.exit_side
        and (algo.close_position or (algo.quantity or ZERO) >= quantity)
    ]


def own_open_orders(snapshot: SymbolSnapshot, database_id: str) -> tuple[str, ...]:
    """Client ids of our open orders, both families."""
    return tuple(cid for cid, origin in _open_orders(snapshot, database_id) if origin is Origin.OURS)


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


def new_fills(trade: Trade, snapshot: SymbolSnapshot) -> list[Fill]:
    """Fills of the trade's time that it has not counted yet, oldest first."""
    last, began_ms = trade.last_fill_id, _began_ms(trade, snapshot)
    fresh = [fill for fill in snapshot.fills if last is None or fill.fill_id > last]
    own = [fill for fill in fresh if fill.time_ms >= began_ms]
    return sorted(own, key=lambda fill: fill.fill_id)


def _began_ms(trade: Trade, snapshot: SymbolSnapshot) -> int:
    """When the trade began by the exchange's clock. Ours may be ahead of it: the entry's own stamps say more (R21)."""
    began_ms = trade.opened_ms - CLOCK_SLACK_MS
    entry = next((order for order in snapshot.orders if order.client_id == trade.entry.client_id), None)
    if entry is None:
        return began_ms
    filled_ms = (fill.time_ms for fill in snapshot.fills if fill.order_id == entry.order_id)
    return min(began_ms, entry.update_time_ms, *filled_ms)


def count_fills(trade: Trade, snapshot: SymbolSnapshot, context: DecisionContext) -> Trade:
    """Add the fills not counted yet: average prices, quantities, realised PnL and fees."""
    for fill in new_fills(trade, snapshot):
        fee, estimated = _fee(fill, context)
        trade = replace(
            trade,
            last_fill_id=fill.fill_id,
            fees=trade.fees + fee,
            realized_pnl=trade.realized_pnl + fill.realized_pnl,
            flagged=trade.flagged or ("FEES_ESTIMATED" if estimated else None),
        )
        if fill.side is trade.side.exit_side and fill.quantity > 0:
            closed = trade.closed_quantity + fill.quantity
            paid = (trade.exit_price or ZERO) * trade.closed_quantity + fill.price * fill.quantity
            trade = replace(trade, closed_quantity=closed, exit_price=paid / closed)
    return trade


def _fee(fill: Fill, context: DecisionContext) -> tuple[Decimal, bool]:
    """The commission in USDT; one that was paid in another coin (BNB) is converted, or else estimated."""
    if fill.commission == 0 or fill.commission_asset == context.filters.margin_asset:
        return fill.commission, False
    if fill.commission_price is not None:
        return fill.commission * fill.commission_price, False
    return fill.price * fill.quantity * context.policy.risk.taker_fee_pct / 100, True


def exit_reason(trade: Trade, view: TradeView, snapshot: SymbolSnapshot, context: DecisionContext) -> str:
    """Why the position is gone, by the evidence of the orders that were filled, or failing that of their states.

    A conditional order may have been read a moment before it fired: then the order behind the fill still has its name.
    """
    filled = [order.client_id for order in snapshot.orders if order.executed_quantity > 0]
    legs = {parts.leg for parts in map(parse, filled) if parts is not None and parts.trade_number == trade.number}
    if any(view.fired(algo) for algo in snapshot.algo_orders if _is_stop_of(trade, algo)):
        return "STOP_HIT"
    if any(view.fired(algo) for algo in view.targets.values()):
        return "TARGET_HIT"
    if legs & {Leg.STOP, Leg.BRIDGE}:
        return "STOP_HIT"
    if Leg.TARGET in legs:
        return "TARGET_HIT"
    forced = forced_close(trade, snapshot) if context.edition > 1 else first_forced_close(snapshot)
    if forced is not None:
        return forced
    if view.stop is not None and view.stop.status in FIRING:
        return "STOP_HIT"
    if any(algo.status in FIRING for algo in view.targets.values()):
        return "TARGET_HIT"
    return "EXTERNAL_CLOSE"


def _is_stop_of(trade: Trade, algo: AlgoOrder) -> bool:
    """The stop of any version, or a bridge between two."""
    parts = parse(algo.client_id)
    return parts is not None and parts.trade_number == trade.number and parts.leg in (Leg.STOP, Leg.BRIDGE)


def average_learned(trade: Trade, view: TradeView, snapshot: SymbolSnapshot, context: DecisionContext) -> Trade:
    """With the price that the entry was filled at: the answer to placing it may not say, a look at it does, and where
    the order cannot be found its fills do (R68)."""
    if trade.entry.average_price is not None:
        return trade
    average = view.entry.average_price if view.entry is not None else None
    if average is None and context.edition > 1:
        average = _average_by_fills(trade, snapshot)
    if average is None:
        return trade
    return replace(trade, entry=replace(trade.entry, average_price=average), entry_price=average)


def _average_by_fills(trade: Trade, snapshot: SymbolSnapshot) -> Decimal | None:
    """Of the fills that opened it, where the look shows all of them."""
    began_ms, side = _began_ms(trade, snapshot), trade.side.entry_side
    fills = [fill for fill in snapshot.fills if fill.side is side and fill.time_ms >= began_ms]
    quantity = sum((fill.quantity for fill in fills), ZERO)
    if quantity == 0 or quantity != trade.entry.filled:
        return None
    return sum((fill.price * fill.quantity for fill in fills), ZERO) / quantity
