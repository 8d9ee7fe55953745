"""What a look's fills make of a trade: quantities, prices, fees, and what the entry was filled at."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.types import Fill, Order, SymbolSnapshot
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import ZERO, Trade

CLOCK_SLACK_MS = 1_000
"""How far the exchange's stamps may lie before ours: fills of a trade are not older than its start by more, unless its
own entry is."""


def new_fills(trade: Trade, snapshot: SymbolSnapshot) -> list[Fill]:
    """Fills of the trade's time that it has not counted yet, oldest first."""
    last = trade.last_fill_id
    own = [fill for fill in fills_of_its_time(trade, snapshot) if last is None or fill.fill_id > last]
    return sorted(own, key=lambda fill: fill.fill_id)


def fills_of_its_time(trade: Trade, snapshot: SymbolSnapshot) -> list[Fill]:
    """Without those from before the trade: of a position that was the user's, by another hand."""
    began_ms = _began_ms(trade, snapshot)
    return [fill for fill in snapshot.fills if fill.time_ms >= began_ms]


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


def owes_ledger(trade: Trade, snapshot: SymbolSnapshot) -> bool:
    """Whether the exchange's ledger has rows of this trade to come: some fill of it made, lost or cost something."""
    fresh = (part for fill in new_fills(trade, snapshot) for part in (fill.commission, fill.realized_pnl))
    return any(part != 0 for part in (trade.fees, trade.realized_pnl, *fresh))


def _fee(fill: Fill, context: DecisionContext) -> tuple[Decimal, bool]:
    """The commission in USDT; one that was paid in another coin (BNB) is converted, or else estimated."""
    if fill.commission == 0 or fill.commission_asset == context.filters.margin_asset:
        return fill.commission, False
    if fill.commission_price is not None:
        return fill.commission * fill.commission_price, False
    return fill.price * fill.quantity * context.policy.risk.taker_fee_pct / 100, True


def average_learned(trade: Trade, seen: Order | None, snapshot: SymbolSnapshot, context: DecisionContext) -> Trade:
    """With the price that the entry was filled at: the answer to placing it may not say, a look at it does, and where
    the order cannot be found its fills do (R68)."""
    if trade.entry.average_price is not None:
        return trade
    average = seen.average_price if seen is not None else None
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
