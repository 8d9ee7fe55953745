"""What the streams tell: every one of these is a nudge to look at the exchange, none of them is the truth.

So a lost, repeated, late or reordered event does no harm by design; REST answers decide.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from exchange.types import AlgoOrder, Fill, Order
from indicators.candle import Candle, Timeframe


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """ORDER_TRADE_UPDATE: a regular order, and the execution that changed it if there was one."""

    order: Order
    execution: str
    fill: Fill | None
    expiry_reason: str
    time_ms: int


class AlgoChanged(msgspec.Struct, frozen=True, kw_only=True):
    """ALGO_UPDATE: a conditional order. Its fill may have been told before it (nautilus PR 3665, R32)."""

    algo_order: AlgoOrder
    time_ms: int


class BalanceChange(msgspec.Struct, frozen=True, kw_only=True):
    asset: str
    wallet_balance: Decimal


class PositionChange(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    position_side: str
    quantity: Decimal
    entry_price: Decimal


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """ACCOUNT_UPDATE: only what changed, and why (``reason`` is Binance's word: ORDER, FUNDING_FEE, …)."""

    reason: str
    balances: tuple[BalanceChange, ...]
    positions: tuple[PositionChange, ...]
    symbol: str
    time_ms: int


class TradeTold(msgspec.Struct, frozen=True, kw_only=True):
    """TRADE_LITE: a fill, told early; it comes again in OrderChanged (same symbol and ``fill_id``)."""

    symbol: str
    client_id: str
    order_id: int
    fill_id: int
    time_ms: int


class SettingsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """ACCOUNT_CONFIG_UPDATE: somebody changed leverage (``symbol`` set) or the assets mode (empty)."""

    symbol: str
    leverage: int
    time_ms: int


class MarginCalled(msgspec.Struct, frozen=True, kw_only=True):
    """MARGIN_CALL for these symbols; it may come late."""

    symbols: tuple[str, ...]
    time_ms: int


class ListenKeyExpired(msgspec.Struct, frozen=True, kw_only=True):
    """The socket stays open and says nothing more after this (R31)."""

    time_ms: int


class OtherEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that needs nothing done: UI bots, deprecated kinds, and kinds not invented yet."""

    kind: str


class CandleClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A candle whose closing the market stream announced, once for each symbol, timeframe and open time."""

    symbol: str
    timeframe: Timeframe
    candle: Candle


class Resync(msgspec.Struct, frozen=True, kw_only=True):
    """Something may have been missed: read everything again over REST. ``reason`` says what happened."""

    stream: str
    reason: str


class StreamAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that looks alive is not: worth telling a human. It reconnects by itself."""

    stream: str
    reason: str


UserEvent = (
    OrderChanged
    | AlgoChanged
    | AccountChanged
    | TradeTold
    | SettingsChanged
    | MarginCalled
    | ListenKeyExpired
    | OtherEvent
)
StreamEvent = UserEvent | CandleClosed | Resync | StreamAlarm
Sink = Callable[[StreamEvent], None]


def nudged_symbols(event: StreamEvent) -> tuple[str, ...]:
    """The symbols worth a look after this event; for a Resync that is all of them, which only the caller knows."""
    match event:
        case OrderChanged():
            return (event.order.symbol,)
        case AlgoChanged():
            return (event.algo_order.symbol,)
        case AccountChanged():
            named = {change.symbol for change in event.positions} | ({event.symbol} if event.symbol else set())
            return tuple(sorted(named))
        case TradeTold() | CandleClosed():
            return (event.symbol,)
        case SettingsChanged():
            return (event.symbol,) if event.symbol else ()
        case MarginCalled():
            return event.symbols
        case _:
            return ()


def told_client_id(event: StreamEvent) -> str | None:
    """The client id of the order that the event is about, if it is about one."""
    match event:
        case OrderChanged():
            return event.order.client_id
        case AlgoChanged():
            return event.algo_order.client_id
        case TradeTold():
            return event.client_id
        case _:
            return None


def filled_client_id(event: StreamEvent) -> str | None:
    """The client id of the order of which the event tells that something has filled."""
    match event:
        case OrderChanged():
            return event.order.client_id if event.order.executed_quantity > 0 else None
        case TradeTold():
            return event.client_id
        case _:
            return None
