"""One row of each table that says how things stand, as readers get it; fields named as the columns."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class SymbolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's machine now; ``record_json`` is the engine's record, bit for bit as journalled."""

    symbol: str
    state: str
    trade_id: str | None
    trades_opened: int
    halt_cause: str | None
    halt_since_ms: int | None
    quarantine_cause: str | None
    quarantine_since_ms: int | None
    paused: bool
    at_ms: int
    transition_id: int
    record_json: str


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """The account now; ``record_json`` is the engine's record, bit for bit as journalled."""

    equity_high: Decimal
    transfers: Decimal
    halt_cause: str | None
    halt_since_ms: int | None
    paused: bool
    at_ms: int
    system_event_id: int
    record_json: str


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours, regular (family ORDER) or conditional (ALGO); INTENDED until the exchange has answered."""

    client_order_id: str
    symbol: str
    trade_id: str | None
    family: str
    purpose: str
    side: str
    type: str
    quantity: Decimal | None
    price: Decimal | None
    trigger_price: Decimal | None
    working_type: str | None
    reduce_only: bool
    close_position: bool
    created_ms: int
    transition_id: int
    order_id: int | None
    status: str
    executed_quantity: Decimal
    average_price: Decimal | None
    updated_ms: int | None


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """An open position; mark and what follows are None until the exchange has been asked."""

    symbol: str
    trade_id: str
    side: str
    size: Decimal
    entry: Decimal | None
    stop_price: Decimal | None
    stop_client_order_id: str | None
    opened_ms: int
    protected_ms: int | None
    transition_id: int
    mark: Decimal | None
    upnl: Decimal | None
    liquidation_price: Decimal | None
    isolated_wallet: Decimal | None
    updated_ms: int | None


class IntentRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something the engine asked for; open while ``status`` is PENDING or UNKNOWN."""

    id: str
    transition_id: int
    ordinal: int
    symbol: str
    trade_id: str | None
    kind: str
    client_id: str | None
    payload_json: str
    created_ms: int
    status: str
    outcome_json: str | None
    attempts: int
    done_ms: int | None


class CommandRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's wish and what became of it: posted, taken, done, or refused by ``guard``."""

    id: int
    kind: str
    symbol: str | None
    source: str
    state: str
    posted_ms: int
    taken_ms: int | None
    finished_ms: int | None
    guard: str | None
    detail: str | None

    @property
    def finished(self) -> bool:
        return self.state in ("done", "refused")


class CurrentDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Why a symbol did or did not trade: alike from ``candle_ms`` to ``last_ms`` (``count`` decisions).

    While the stretch is ``open``, facts, traces and guards are those of its newest candle; afterwards those
    of its first, which is what the journal keeps. ``first_facts_json`` are those of its first in either case.
    """

    symbol: str
    open: bool
    at_ms: int
    candle_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    regime: str | None
    confidence: float | None
    facts_json: str
    first_facts_json: str
    traces_json: str
    guards_json: str
    rules_hash: str
    config_hash: str
    run_id: str


class PnlSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that were closed in a range, in USDT; ``days`` are (start of the UTC day in ms, net PnL), oldest first."""

    since_ms: int
    until_ms: int
    trades: int
    wins: int
    losses: int
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    days: tuple[tuple[int, Decimal], ...]


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the equity series."""

    at_ms: int
    balance: Decimal
    equity: Decimal
