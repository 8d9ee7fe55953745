"""Why a position is gone: by the fills of orders, by what the exchange says it did itself, or by states."""

from __future__ import annotations

from exchange.client_ids import Leg, parse
from exchange.types import AlgoOrder, SymbolSnapshot
from fsm.core.forced_ends import first_forced_close, forced_close
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import Trade
from fsm.core.observation import FIRING, TradeView

STOP_HIT, TARGET_HIT = "STOP_HIT", "TARGET_HIT"

LOST_JOURNAL = "LOST_JOURNAL"
"""An order of ours closed it, and the journal that knew why is lost; also flags the books of such a trade."""


def exit_reason(trade: Trade, view: TradeView, snapshot: SymbolSnapshot, context: DecisionContext) -> str:
    """The best evidence counts: orders that were filled before the exchange's word, and that before orders' states."""
    forced = forced_close(trade, snapshot) if context.edition > 1 else first_forced_close(snapshot)
    return _by_fills(trade, view, snapshot) or forced or _by_states(view) or "EXTERNAL_CLOSE"


def _by_fills(trade: Trade, view: TradeView, snapshot: SymbolSnapshot) -> str | None:
    """A conditional order may have been read a moment before it fired: then the order behind the fill has its name."""
    if any(view.fired(algo) for algo in snapshot.algo_orders if _is_stop_of(trade, algo)):
        return STOP_HIT
    if any(view.fired(algo) for algo in view.targets.values()):
        return TARGET_HIT
    legs = _filled_legs(trade, snapshot)
    if legs & {Leg.STOP, Leg.BRIDGE}:
        return STOP_HIT
    return TARGET_HIT if Leg.TARGET in legs else None


def _filled_legs(trade: Trade, snapshot: SymbolSnapshot) -> set[Leg]:
    filled = [order.client_id for order in snapshot.orders if order.executed_quantity > 0]
    return {parts.leg for parts in map(parse, filled) if parts is not None and parts.trade_number == trade.number}


def _by_states(view: TradeView) -> str | None:
    if view.stop is not None and view.stop.status in FIRING:
        return STOP_HIT
    return TARGET_HIT if any(algo.status in FIRING for algo in view.targets.values()) else None


def _is_stop_of(trade: Trade, algo: AlgoOrder) -> bool:
    """The stop of any version, or a bridge between two."""
    parts = parse(algo.client_id)
    return parts is not None and parts.trade_number == trade.number and parts.leg in (Leg.STOP, Leg.BRIDGE)
