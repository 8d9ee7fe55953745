"""One row of each append-only table, and of what else a writer hands to the journal.

``id``, ``run_id``, ``prev_hash`` and ``hash`` are the journal's to fill: leave them alone when writing. Fields
stand in the order of the table's columns. ``*_json`` fields hold JSON text; money, prices and quantities are
Decimal here and decimal text in the table; times are milliseconds UTC and always come from the caller.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

EMPTY_OBJECT = "{}"
EMPTY_LIST = "[]"


class TransitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a symbol's machine.

    ``effect_json`` is ``{"record": SymbolRecord after it, "intents": [{"kind", …}], "trade": Trade}``; the
    record has the trade under way, so ``trade`` is there only when this step ended the trade (it is then
    the trade as it was booked, dropped or abandoned, and the record has none).
    """

    id: int = 0
    at_ms: int
    symbol: str
    trade_id: str | None = None
    trigger: str
    source: str
    dest: str
    reason: str
    facts_json: str = EMPTY_OBJECT
    guards_json: str = EMPTY_LIST
    event_json: str = EMPTY_OBJECT
    rules_hash: str
    config_hash: str
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""
    effect_json: str


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided at the close of ``candle_ms``, or alike from there to ``last_ms`` (``count`` candles).

    A single decision leaves ``last_ms`` None and ``count`` 1; the journal joins equal ones into stretches.
    """

    id: int = 0
    at_ms: int
    symbol: str
    candle_ms: int
    last_ms: int | None = None
    count: int = 1
    outcome: str
    reason: str
    regime: str | None = None
    confidence: float | None = None
    facts_json: str = EMPTY_OBJECT
    traces_json: str = EMPTY_LIST
    guards_json: str = EMPTY_LIST
    rules_hash: str
    config_hash: str
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class RegimeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A new stable regime."""

    id: int = 0
    at_ms: int
    symbol: str
    candle_ms: int
    regime: str
    previous: str | None = None
    confidence: float
    features_json: str = EMPTY_OBJECT
    counters_json: str = EMPTY_OBJECT
    rules_hash: str
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. The same (symbol, fill_id) again is the same fact and is written once."""

    id: int = 0
    at_ms: int
    symbol: str
    fill_id: int
    order_id: int
    client_order_id: str | None = None
    trade_id: str | None = None
    side: str
    price: Decimal
    quantity: Decimal
    realized_pnl: Decimal
    commission: Decimal
    commission_asset: str
    maker: bool
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class EquityRow(msgspec.Struct, frozen=True, kw_only=True):
    """The account at one instant, in USDT."""

    id: int = 0
    at_ms: int
    balance: Decimal
    equity: Decimal
    unrealized_pnl: Decimal
    available_balance: Decimal
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class SystemEventRow(msgspec.Struct, frozen=True, kw_only=True):
    """Start, stop, pause, halt, reload…; when the account's record changed, ``facts_json`` has it under "account"."""

    id: int = 0
    at_ms: int
    kind: str
    symbol: str | None = None
    reason: str = ""
    facts_json: str = EMPTY_OBJECT
    rules_hash: str | None = None
    config_hash: str | None = None
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong."""

    id: int = 0
    at_ms: int
    component: str
    symbol: str | None = None
    error: str
    details_json: str = EMPTY_OBJECT
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class RuleVersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A rules file's full text; a hash that is already there is not written again."""

    id: int = 0
    at_ms: int
    rules_hash: str
    text: str
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class ConfigVersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A config file's full text; a hash that is already there is not written again."""

    id: int = 0
    at_ms: int
    config_hash: str
    text: str
    run_id: str = ""
    prev_hash: str = ""
    hash: str = ""


class CandleRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A closed candle that was used; written once, the first one stands."""

    symbol: str
    timeframe: str
    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class CandleColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Many closed candles of one series, oldest first, each once: a column a field."""

    symbol: str
    timeframe: str
    open_time_ms: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class AnchorRow(msgspec.Struct, frozen=True, kw_only=True):
    """The first candle that a symbol's indicators of one timeframe were fed."""

    symbol: str
    timeframe: str
    first_ms: int


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message to deliver. The same ``dedupe_key`` again only counts up ``repeats``."""

    id: int = 0
    at_ms: int
    kind: str
    severity: str
    symbol: str | None = None
    text: str
    dedupe_key: str
    repeats: int = 0
    state: Literal["PENDING", "SENT", "DROPPED"] = "PENDING"
    due_ms: int
    attempts: int = 0
    sent_ms: int | None = None
    last_error: str | None = None


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon leaves for readers under a name; the newest replaces the one before."""

    name: str
    at_ms: int
    body_json: str


IntentStatus = Literal["PENDING", "CONFIRMED", "REFUSED", "UNKNOWN", "DROPPED"]
"""PENDING and UNKNOWN are open; DROPPED was never sent (recovery never sends an old entry)."""


class IntentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an intent. UNKNOWN leaves it open, to be settled again."""

    intent_id: str
    status: IntentStatus
    outcome_json: str | None = None
    at_ms: int


OPEN_ORDER_STATUSES = ("INTENDED", "NEW", "PARTIALLY_FILLED", "TRIGGERING", "TRIGGERED")
"""Statuses in which an order may still rest or fill (Binance's words, beside our INTENDED; checked 2026-11)."""


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours as the exchange tells it now; an order that is not ours is passed over."""

    client_order_id: str
    order_id: int
    status: str
    executed_quantity: Decimal
    average_price: Decimal | None
    updated_ms: int


class OrderEnd(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours that is known to be over though the exchange told no status: cancelled, refused, never sent.

    One that has ended already keeps the status with which it ended.
    """

    client_order_id: str
    status: Literal["CANCELED", "REJECTED", "DROPPED"]
    updated_ms: int


class PositionMark(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange says a position of ours is worth now; passed over when we have none."""

    symbol: str
    mark: Decimal
    upnl: Decimal
    liquidation_price: Decimal | None
    isolated_wallet: Decimal
    updated_ms: int


class CommandAck(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: done, or refused by the named guard."""

    command_id: int
    result: Literal["done", "refused"]
    guard: str | None = None
    detail: str | None = None
    at_ms: int
