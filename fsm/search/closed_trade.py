"""A trade of a variant that is over, as records of a backtest have it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fsm.core.model.records import Trade


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip, with the fields and units of the engine's ``Trade``.

    ``stop_price`` is where the stop was at the end; ``stop_price_initial`` where it was planned.
    """

    id: str
    symbol: str
    side: str
    strategy: str
    regime: str
    signal_candle_ms: int
    opened_ms: int
    first_fill_ms: int | None
    closed_ms: int | None
    quantity: Decimal
    entry_price_planned: Decimal
    entry_price: Decimal | None
    stop_price_initial: Decimal
    stop_price: Decimal | None
    exit_price: Decimal | None
    closed_quantity: Decimal
    risk_usdt: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal | None
    r: Decimal | None
    exit_reason: str | None
    flagged: str | None = None


def closed(trade: Trade) -> ClosedTrade:
    return ClosedTrade(
        id=trade.id,
        symbol=trade.symbol,
        side=trade.side.value,
        strategy=trade.strategy,
        regime=trade.regime,
        signal_candle_ms=trade.signal_candle_ms,
        opened_ms=trade.opened_ms,
        first_fill_ms=trade.first_fill_ms,
        closed_ms=trade.closed_ms,
        quantity=trade.quantity,
        entry_price_planned=trade.entry_price_planned,
        entry_price=trade.entry_price,
        stop_price_initial=trade.stop_price_initial,
        stop_price=None if trade.stop is None else trade.stop.trigger_price,
        exit_price=trade.exit_price,
        closed_quantity=trade.closed_quantity,
        risk_usdt=trade.risk_usdt,
        realized_pnl=trade.realized_pnl,
        fees=trade.fees,
        funding=trade.funding,
        net_pnl=trade.net_pnl,
        r=trade.r,
        exit_reason=trade.exit_reason,
        flagged=trade.flagged,
    )
