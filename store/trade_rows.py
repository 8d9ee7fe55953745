"""A round trip in its three shapes: as the journal tells it, as its table keeps it, and as readers get it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from peewee import IntegerField, Model, TextField

from store.amounts import Amount, text_of, text_or_none
from store.canonical import Value


class ToldStop(msgspec.Struct, frozen=True):
    """The stop that covers it."""

    client_id: str
    trigger_price: Amount


class ToldTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal tells of it: those parts of the engine's record (fsm/core/model/records.py) that are read."""

    id: str
    number: int
    symbol: str
    side: str
    strategy: str
    regime: str
    rules_hash: str
    config_hash: str
    signal_candle_ms: int
    opened_ms: int
    quantity: Amount
    entry_price_planned: Amount
    stop_price_initial: Amount
    risk_usdt: Amount
    stop: ToldStop | None = None
    adopted: bool = False
    first_fill_ms: int | None = None
    protected_ms: int | None = None
    open_quantity: Amount = "0"
    entry_price: Amount | None = None
    exit_price: Amount | None = None
    closed_quantity: Amount = "0"
    realized_pnl: Amount = "0"
    fees: Amount = "0"
    funding: Amount = "0"
    exit_reason: str | None = None
    closed_ms: int | None = None
    net_pnl: Amount | None = None
    r: Amount | None = None
    flagged: str | None = None


class Trade(Model):
    """One round trip. ``status``: PENDING (no fill yet), OPEN, CLOSED (booked), ABANDONED (ended without a fill)."""

    id = TextField(primary_key=True)
    number = IntegerField()
    symbol = TextField()
    side = TextField()
    status = TextField()
    strategy_used = TextField()
    regime_at_entry = TextField()
    signal_candle_ms = IntegerField()
    opened_ms = IntegerField()
    first_fill_ms = IntegerField(null=True)
    protected_ms = IntegerField(null=True)
    closed_ms = IntegerField(null=True)
    quantity = TextField()
    open_quantity = TextField()
    closed_quantity = TextField()
    entry_price_planned = TextField()
    entry_price = TextField(null=True)
    exit_price = TextField(null=True)
    stop_price_initial = TextField()
    risk_usdt = TextField()
    pnl = TextField()
    fees = TextField()
    funding = TextField()
    net_pnl = TextField(null=True)
    r = TextField(null=True)
    exit_reason = TextField(null=True)
    flagged = TextField(null=True)
    adopted = IntegerField()
    rules_hash = TextField()
    config_hash = TextField()
    transition_id = IntegerField()
    row_hash = TextField()

    class Meta:
        table_name = "trades"


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip; ``status``: PENDING, OPEN, CLOSED or ABANDONED. Amounts in USDT, ``r`` = net_pnl / risk_usdt."""

    id: str
    number: int
    symbol: str
    side: str
    status: str
    strategy_used: str
    regime_at_entry: str
    signal_candle_ms: int
    opened_ms: int
    first_fill_ms: int | None
    protected_ms: int | None
    closed_ms: int | None
    quantity: Decimal
    open_quantity: Decimal
    closed_quantity: Decimal
    entry_price_planned: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    stop_price_initial: Decimal
    risk_usdt: Decimal
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal | None
    r: Decimal | None
    exit_reason: str | None
    flagged: str | None
    adopted: bool
    rules_hash: str
    config_hash: str
    transition_id: int


def trade_columns(trade: ToldTrade, transition_id: int, *, ended: bool) -> dict[str, Value]:
    """What the table keeps of a trade after a transition; ``ended`` is one that this transition has ended."""
    filled = trade.first_fill_ms is not None
    status = ("CLOSED" if filled else "ABANDONED") if ended else ("OPEN" if filled else "PENDING")
    return {
        "id": trade.id,
        "number": trade.number,
        "symbol": trade.symbol,
        "side": trade.side,
        "status": status,
        "strategy_used": trade.strategy,
        "regime_at_entry": trade.regime,
        "signal_candle_ms": trade.signal_candle_ms,
        "opened_ms": trade.opened_ms,
        "first_fill_ms": trade.first_fill_ms,
        "protected_ms": trade.protected_ms,
        "closed_ms": trade.closed_ms,
        "quantity": text_of(trade.quantity),
        "open_quantity": text_of(trade.open_quantity),
        "closed_quantity": text_of(trade.closed_quantity),
        "entry_price_planned": text_of(trade.entry_price_planned),
        "entry_price": text_or_none(trade.entry_price),
        "exit_price": text_or_none(trade.exit_price),
        "stop_price_initial": text_of(trade.stop_price_initial),
        "risk_usdt": text_of(trade.risk_usdt),
        "pnl": text_of(trade.realized_pnl),
        "fees": text_of(trade.fees),
        "funding": text_of(trade.funding),
        "net_pnl": text_or_none(trade.net_pnl),
        "r": text_or_none(trade.r),
        "exit_reason": trade.exit_reason,
        "flagged": trade.flagged,
        "adopted": int(trade.adopted),
        "rules_hash": trade.rules_hash,
        "config_hash": trade.config_hash,
        "transition_id": transition_id,
    }
