"""What the simulated exchange tells about the account, in its order; a server makes user-data messages of it.

One execution gives, as Binance does (checked 2026-11): OrderUpdated NEW → OrderUpdated TRADE (once or more) →
AccountUpdated ORDER. A conditional order that triggers gives AlgoUpdated TRIGGERING → TRIGGERED → its real order's
events as above → AlgoUpdated FINISHED; then the closePosition orders that a flat position leaves behind EXPIRE.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from exchange.sim.core.holding import Holding
from exchange.sim.core.orders import AlgoState, OrderState
from exchange.types import Fill


class Execution(StrEnum):
    """Field ``x`` of ORDER_TRADE_UPDATE; CALCULATED is a liquidation."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    CALCULATED = "CALCULATED"


class ExpiryReason(StrEnum):
    """Field ``er`` of ORDER_TRADE_UPDATE."""

    NONE = "0"
    IMMEDIATE_OR_CANCEL = "2"
    REDUCE_ONLY = "4"
    LIQUIDATED = "5"
    MARKET_REMAINDER = "9"


class OrderUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """``order`` is the order afterwards; ``fill`` is there for TRADE and CALCULATED."""

    at_ms: int
    order: OrderState
    execution: Execution
    fill: Fill | None = None
    expiry_reason: ExpiryReason = ExpiryReason.NONE


class AlgoUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """``algo`` is the conditional order afterwards."""

    at_ms: int
    algo: AlgoState


class HoldingView(msgspec.Struct, frozen=True, kw_only=True):
    """A position as ACCOUNT_UPDATE tells it."""

    holding: Holding
    unrealized: Decimal


class AccountUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """Balances afterwards, and the positions that changed. ``reason`` is field ``m`` (ORDER, FUNDING_FEE, …).

    ``balance_change`` leaves out profit and commission, as field ``bc`` does.
    """

    at_ms: int
    reason: str
    wallet_balance: Decimal
    cross_wallet: Decimal
    balance_change: Decimal
    positions: tuple[HoldingView, ...]


class LeverageChanged(msgspec.Struct, frozen=True, kw_only=True):
    """ACCOUNT_CONFIG_UPDATE."""

    at_ms: int
    symbol: str
    leverage: int


VenueEvent = OrderUpdated | AlgoUpdated | AccountUpdated | LeverageChanged
Batch = tuple[VenueEvent, ...]


def touched(batch: Batch) -> list[str]:
    """Symbols whose orders or position the events are about, in their order, each once."""
    found: dict[str, None] = {}
    for event in batch:
        if isinstance(event, OrderUpdated):
            found[event.order.symbol] = None
        elif isinstance(event, AlgoUpdated):
            found[event.algo.symbol] = None
        elif isinstance(event, AccountUpdated):
            found.update((view.holding.symbol, None) for view in event.positions)
    return list(found)
