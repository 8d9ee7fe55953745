"""What a journal row means for the tables that say how things stand now.

``project`` and ``project_account`` are pure functions of a row's JSON. The journal applies what they return
in the row's own transaction; ``audit verify`` applies it to empty tables and compares. The store does not
import the engine: the shapes below are the parts of its records (fsm/core/model/records.py, intents.py) that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import msgspec
from peewee import Model

from store.canonical import Value
from store.models import AccountState, Intent, Order, Position, SymbolState, Trade
from store.rows import SystemEventRow, TransitionRow

Amount = str
"""A decimal number as the records' JSON spells it; it goes into a column without becoming a number on the way."""


class Change(NamedTuple):
    """One row to be put: its derived columns in order, or None when the row goes."""

    model: type[Model]
    key: str | int
    values: tuple[Value, ...] | None


class _Flag(msgspec.Struct, frozen=True):
    cause: str
    since_ms: int


class _Stop(msgspec.Struct, frozen=True):
    client_id: str
    trigger_price: Amount


class _Trade(msgspec.Struct, frozen=True, kw_only=True):
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
    stop: _Stop | None = None
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


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    state: str
    trade: _Trade | None = None
    trades_opened: int = 0
    halt: _Flag | None = None
    quarantine: _Flag | None = None
    paused: bool = False


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A regular or a conditional order request; only the latter has a trigger price."""

    client_id: str
    side: str
    type: str
    quantity: Amount | None = None
    price: Amount | None = None
    trigger_price: Amount | None = None
    working_type: str | None = None
    reduce_only: bool = False
    close_position: bool = False


class _Intent(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    id: str | None = None
    client_id: str | None = None
    request: _Request | None = None


class _Effect(msgspec.Struct, frozen=True, kw_only=True):
    record: msgspec.Raw
    intents: tuple[msgspec.Raw, ...] = ()
    trade: _Trade | None = None


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    equity_high: Amount = "0"
    transfers: Amount = "0"
    halt: _Flag | None = None
    paused: bool = False


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    account: msgspec.Raw = msgspec.Raw()  # a union with None would not take an object


_decode_effect = msgspec.json.Decoder(_Effect).decode
_decode_record = msgspec.json.Decoder(_Record).decode
_decode_intent = msgspec.json.Decoder(_Intent).decode
_decode_facts = msgspec.json.Decoder(_Facts).decode
_decode_account = msgspec.json.Decoder(_Account).decode

PROJECTED: tuple[type[Model], ...] = (SymbolState, Trade, Position, Order, Intent, AccountState)
"""The tables that the journal alone can rebuild."""


def project(row: TransitionRow) -> list[Change]:
    """Every row of the projections that a transition changes. Raises ValueError for an effect it cannot read."""
    effect = _decode_effect(row.effect_json)
    record = _decode_record(effect.record)
    if record.symbol != row.symbol:
        raise ValueError(f"the transition is of {row.symbol}, its record of {record.symbol}")
    changes = [Change(SymbolState, record.symbol, _symbol(row, record, bytes(effect.record).decode()))]
    if effect.trade is not None:
        changes.append(Change(Trade, effect.trade.id, _trade(row, effect.trade, ended=True)))
    if record.trade is not None:
        changes.append(Change(Trade, record.trade.id, _trade(row, record.trade, ended=False)))
    elif effect.trade is None and row.trade_id is not None:
        raise ValueError(f'a transition that ends trade {row.trade_id} must carry it under "trade" in its effect')
    changes.append(Change(Position, record.symbol, _position(row, record.trade)))
    changes.extend(_intents(row, effect.intents))
    return changes


def project_account(row: SystemEventRow) -> list[Change]:
    """The account's row, when the event carries the account's record."""
    raw = _decode_facts(row.facts_json).account
    if not bytes(raw):
        return []
    account = _decode_account(raw)
    values: tuple[Value, ...] = (
        1,
        _text(account.equity_high),
        _text(account.transfers),
        account.halt.cause if account.halt else None,
        account.halt.since_ms if account.halt else None,
        int(account.paused),
        row.at_ms,
        row.id,
        bytes(raw).decode(),
    )
    return [Change(AccountState, 1, values)]


def _symbol(row: TransitionRow, record: _Record, text: str) -> tuple[Value, ...]:
    halt, quarantine = record.halt, record.quarantine
    return (
        record.symbol,
        record.state,
        record.trade.id if record.trade else None,
        record.trades_opened,
        halt.cause if halt else None,
        halt.since_ms if halt else None,
        quarantine.cause if quarantine else None,
        quarantine.since_ms if quarantine else None,
        int(record.paused),
        row.at_ms,
        row.id,
        text,
    )


def _trade(row: TransitionRow, trade: _Trade, *, ended: bool) -> tuple[Value, ...]:
    filled = trade.first_fill_ms is not None
    status = ("CLOSED" if filled else "ABANDONED") if ended else ("OPEN" if filled else "PENDING")
    return (
        trade.id,
        trade.number,
        trade.symbol,
        trade.side,
        status,
        trade.strategy,
        trade.regime,
        trade.signal_candle_ms,
        trade.opened_ms,
        trade.first_fill_ms,
        trade.protected_ms,
        trade.closed_ms,
        _text(trade.quantity),
        _text(trade.open_quantity),
        _text(trade.closed_quantity),
        _text(trade.entry_price_planned),
        _optional(trade.entry_price),
        _optional(trade.exit_price),
        _text(trade.stop_price_initial),
        _text(trade.risk_usdt),
        _text(trade.realized_pnl),
        _text(trade.fees),
        _text(trade.funding),
        _optional(trade.net_pnl),
        _optional(trade.r),
        trade.exit_reason,
        trade.flagged,
        int(trade.adopted),
        trade.rules_hash,
        trade.config_hash,
        row.id,
    )


def _position(row: TransitionRow, trade: _Trade | None) -> tuple[Value, ...] | None:
    if trade is None or Decimal(trade.open_quantity) == 0:
        return None
    return (
        trade.symbol,
        trade.id,
        trade.side,
        _text(trade.open_quantity),
        _optional(trade.entry_price),
        _text(trade.stop.trigger_price) if trade.stop else None,
        trade.stop.client_id if trade.stop else None,
        trade.first_fill_ms if trade.first_fill_ms is not None else trade.opened_ms,
        trade.protected_ms,
        row.id,
    )


def _intents(row: TransitionRow, raws: tuple[msgspec.Raw, ...]) -> Iterator[Change]:
    for ordinal, raw in enumerate(raws):
        intent = _decode_intent(raw)
        request = intent.request
        # An engine that numbers its intents itself may do so; otherwise place in the journal names them.
        key = intent.id or f"{row.id}.{ordinal}"
        client_id = request.client_id if request else intent.client_id
        payload = bytes(raw).decode()
        values = (key, row.id, ordinal, row.symbol, row.trade_id, intent.kind, client_id, payload, row.at_ms)
        yield Change(Intent, key, values)
        if request is not None:
            yield Change(Order, request.client_id, _order(row, intent.kind, request))


def _order(row: TransitionRow, purpose: str, request: _Request) -> tuple[Value, ...]:
    return (
        request.client_id,
        row.symbol,
        row.trade_id,
        "ORDER" if request.trigger_price is None else "ALGO",
        purpose,
        request.side,
        request.type,
        _optional(request.quantity),
        _optional(request.price),
        _optional(request.trigger_price),
        request.working_type,
        int(request.reduce_only),
        int(request.close_position),
        row.at_ms,
        row.id,
    )


def _text(amount: Amount) -> str:
    return format(Decimal(amount), "f") if "E" in amount else amount


def _optional(amount: Amount | None) -> str | None:
    return None if amount is None else _text(amount)
