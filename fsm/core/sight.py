"""Compares what a look at the exchange shows with what the trade remembers."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from exchange.client_ids import Leg, is_ours, parse
from exchange.types import AlgoOrder, AlgoStatus, ConditionalType, Fill, LookRequest, Order, SymbolSnapshot
from fsm.core.legs import bridge_id, close_id
from fsm.core.records import ZERO, State, SymbolRecord, Trade
from fsm.core.scene import Setting

STUCK_TRIGGER_MS = 5_000
"""How long a triggered stop may take to flatten the position before it counts as failed (R11)."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """A trade's view of a snapshot. ``position`` is signed towards the trade: negative means the other way.

    ``wanted`` are the client ids of open orders the trade wants to rest; ``strays`` are open orders of ours
    that it does not want; ``foreign`` open orders that are not ours.
    """

    position: Decimal
    entry: Order | None
    stop: AlgoOrder | None
    stop_rests: bool
    targets: dict[int, AlgoOrder]
    close: Order | None
    strays: tuple[str, ...]
    foreign: tuple[str, ...]
    own_open: tuple[str, ...]
    exit_filled: Decimal


def look_request(record: SymbolRecord, setting: Setting) -> LookRequest:
    """What the next look at this symbol must include for the engine to judge its trade."""
    trade = record.trade
    if trade is None:
        tracked = (record.abandoned.entry.client_id,) if record.abandoned else ()
        return LookRequest(tracked=tracked)
    tracked_ids = [trade.entry.client_id] if not (trade.entry.finished and trade.entry.filled == 0) else []
    if trade.stop is not None:
        tracked_ids.append(trade.stop.client_id)
    tracked_ids.extend(target.client_id for target in trade.targets if not target.done and trade.stop is not None)
    if trade.exit_attempt:
        tracked_ids.append(close_id(setting, trade, trade.exit_attempt))
    cursor = trade.last_fill_id if trade.last_fill_id is not None else record.last_fill_id
    wants_income = trade.first_fill_ms if record.state in (State.EXITING, State.FLATTEN) else None
    return LookRequest(
        tracked=tuple(tracked_ids),
        fills_after_id=cursor,
        fills_start_ms=trade.opened_ms if cursor is None else None,
        income_start_ms=wants_income,
    )


def see(trade: Trade, snapshot: SymbolSnapshot, setting: Setting) -> Sight:
    """Sort everything in the snapshot by what it is to this trade."""
    position = snapshot.position.quantity * trade.side.sign if snapshot.position else ZERO
    orders = {order.client_id: order for order in snapshot.orders}
    algos = {algo.client_id: algo for algo in snapshot.algo_orders}
    targets = {t.index: algos[t.client_id] for t in trade.targets if t.client_id in algos}
    stop = algos.get(trade.stop.client_id) if trade.stop else None
    wanted = _wanted(trade)
    is_open = {cid for cid, order in orders.items() if order.status.is_open}
    is_open |= {cid for cid, algo in algos.items() if algo.status.is_open}
    own = tuple(sorted(cid for cid in is_open if is_ours(cid, setting.database_id)))
    close = orders.get(close_id(setting, trade, trade.exit_attempt)) if trade.exit_attempt else None
    keep = wanted | ({close.client_id} if close else set())
    return Sight(
        position=position,
        entry=orders.get(trade.entry.client_id),
        stop=stop,
        stop_rests=stop is not None and _covers(stop, trade),
        targets=targets,
        close=close,
        strays=tuple(cid for cid in own if cid not in keep),
        foreign=tuple(sorted(cid for cid in is_open if not is_ours(cid, setting.database_id))),
        own_open=own,
        exit_filled=_exit_quantity(trade, snapshot.fills),
    )


def _wanted(trade: Trade) -> set[str]:
    wanted = {target.client_id for target in trade.targets if not target.done}
    if not trade.entry.finished:
        wanted.add(trade.entry.client_id)
    if trade.stop:
        wanted.add(trade.stop.client_id)
    return wanted


def _covers(stop: AlgoOrder, trade: Trade) -> bool:
    """A stop counts only if the exchange itself shows every property that makes it one (R10)."""
    assert trade.stop is not None
    return (
        stop.status is AlgoStatus.NEW
        and stop.type == ConditionalType.STOP_MARKET.value
        and stop.close_position
        and stop.side is trade.side.exit_side
        and stop.trigger_price == trade.stop.trigger_price
        and stop.working_type is trade.stop.working_type
    )


def _exit_quantity(trade: Trade, fills: tuple[Fill, ...]) -> Decimal:
    """Quantity closed by the fills that the trade has not counted yet."""
    exits = (fill.quantity for fill in fills if fill.side is trade.side.exit_side and is_new(trade, fill))
    return sum(exits, ZERO)


def is_new(trade: Trade, fill: Fill) -> bool:
    return trade.last_fill_id is None or fill.fill_id > trade.last_fill_id


def count_fills(trade: Trade, fills: tuple[Fill, ...]) -> Trade:
    """Add the fills not counted yet: average prices, quantities, realised PnL and fees."""
    for fill in fills:
        if not is_new(trade, fill):
            continue
        trade = replace(
            trade,
            last_fill_id=fill.fill_id,
            fees=trade.fees + fill.commission,
            realized_pnl=trade.realized_pnl + fill.realized_pnl,
        )
        if fill.side is trade.side.exit_side:
            closed = trade.closed_quantity + fill.quantity
            paid = (trade.exit_price or ZERO) * trade.closed_quantity + fill.price * fill.quantity
            trade = replace(trade, closed_quantity=closed, exit_price=paid / closed)
    return trade


def exit_reason(trade: Trade, sight: Sight, snapshot: SymbolSnapshot) -> str:
    """Why the position is gone, by the evidence of the orders that were filled."""
    if trade.exit_reason:
        return trade.exit_reason
    if sight.stop is not None and sight.stop.executed_quantity > 0:
        return "STOP_HIT"
    if any(algo.executed_quantity > 0 for algo in sight.targets.values()):
        return "TARGET_HIT"
    bridge_fired = any(
        algo.executed_quantity > 0 and (parts := parse(algo.client_id)) is not None and parts.leg is Leg.BRIDGE
        for algo in snapshot.algo_orders
    )
    if bridge_fired:
        return "STOP_HIT"
    forced = " ".join(order.client_id for order in snapshot.orders)
    if "autoclose-" in forced and "adl_autoclose" not in forced:
        return "LIQUIDATED"
    if "adl_autoclose" in forced:
        return "ADL"
    if any(row.income_type == "INSURANCE_CLEAR" for row in snapshot.income):
        return "LIQUIDATED"
    return "EXTERNAL_CLOSE"


def converge(trade: Trade, sight: Sight, setting: Setting) -> tuple[str, ...]:
    """Client ids of our open closePosition stops and bridges that are not the wanted one, oldest first."""
    assert trade.stop is not None
    bridge = bridge_id(setting, trade, trade.stop)
    return tuple(cid for cid in sight.strays if cid != bridge)
