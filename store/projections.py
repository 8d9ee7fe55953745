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

from store.amounts import Amount, text_of, text_or_none
from store.canonical import Value
from store.models import AccountState, Intent, Order, Position, SymbolState, Trade
from store.rows import SystemEventRow, TransitionRow
from store.tables import TABLES
from store.trade_rows import ToldTrade, trade_columns


class Change(NamedTuple):
    """One row to be put: its derived columns in order, or None when the row goes."""

    model: type[Model]
    key: str | int
    values: tuple[Value, ...] | None


def change(model: type[Model], key: str | int, columns: dict[str, Value] | None) -> Change:
    """One row by the names of its columns, which are exactly those that come from the journal; None: the row goes."""
    if columns is None:
        return Change(model, key, None)
    derived = TABLES[model].derived
    if len(columns) != len(derived):
        raise TypeError(f"{sorted(set(columns) ^ set(derived))}: the columns of {TABLES[model].name} are others")
    return Change(model, key, tuple(columns[name] for name in derived))


class _Flag(msgspec.Struct, frozen=True):
    cause: str
    since_ms: int


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    state: str
    trade: ToldTrade | None = None
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
    trade: ToldTrade | None = None


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
    changes = [change(SymbolState, record.symbol, _symbol(row, record, bytes(effect.record).decode()))]
    if effect.trade is not None:
        changes.append(change(Trade, effect.trade.id, trade_columns(effect.trade, row.id, ended=True)))
    if record.trade is not None:
        changes.append(change(Trade, record.trade.id, trade_columns(record.trade, row.id, ended=False)))
    elif effect.trade is None and row.trade_id is not None:
        raise ValueError(f'a transition that ends trade {row.trade_id} must carry it under "trade" in its effect')
    changes.append(change(Position, record.symbol, _position(row, record.trade)))
    changes.extend(_intents(row, effect.intents))
    return changes


def project_account(row: SystemEventRow) -> list[Change]:
    """The account's row, when the event carries the account's record."""
    raw = _decode_facts(row.facts_json).account
    if not bytes(raw):
        return []
    account = _decode_account(raw)
    values: dict[str, Value] = {
        "id": 1,
        "equity_high": text_of(account.equity_high),
        "transfers": text_of(account.transfers),
        "halt_cause": account.halt.cause if account.halt else None,
        "halt_since_ms": account.halt.since_ms if account.halt else None,
        "paused": int(account.paused),
        "at_ms": row.at_ms,
        "system_event_id": row.id,
        "record_json": bytes(raw).decode(),
    }
    return [change(AccountState, 1, values)]


def _symbol(row: TransitionRow, record: _Record, text: str) -> dict[str, Value]:
    halt, quarantine = record.halt, record.quarantine
    return {
        "symbol": record.symbol,
        "state": record.state,
        "trade_id": record.trade.id if record.trade else None,
        "trades_opened": record.trades_opened,
        "halt_cause": halt.cause if halt else None,
        "halt_since_ms": halt.since_ms if halt else None,
        "quarantine_cause": quarantine.cause if quarantine else None,
        "quarantine_since_ms": quarantine.since_ms if quarantine else None,
        "paused": int(record.paused),
        "at_ms": row.at_ms,
        "transition_id": row.id,
        "record_json": text,
    }


def _position(row: TransitionRow, trade: ToldTrade | None) -> dict[str, Value] | None:
    if trade is None or Decimal(trade.open_quantity) == 0:
        return None
    return {
        "symbol": trade.symbol,
        "trade_id": trade.id,
        "side": trade.side,
        "size": text_of(trade.open_quantity),
        "entry": text_or_none(trade.entry_price),
        "stop_price": text_of(trade.stop.trigger_price) if trade.stop else None,
        "stop_client_order_id": trade.stop.client_id if trade.stop else None,
        "opened_ms": trade.first_fill_ms if trade.first_fill_ms is not None else trade.opened_ms,
        "protected_ms": trade.protected_ms,
        "transition_id": row.id,
    }


def _intents(row: TransitionRow, raws: tuple[msgspec.Raw, ...]) -> Iterator[Change]:
    for ordinal, raw in enumerate(raws):
        intent = _decode_intent(raw)
        request = intent.request
        # An engine that numbers its intents itself may do so; otherwise place in the journal names them.
        key = intent.id or f"{row.id}.{ordinal}"
        client_id = request.client_id if request else intent.client_id
        values: dict[str, Value] = {
            "id": key,
            "transition_id": row.id,
            "ordinal": ordinal,
            "symbol": row.symbol,
            "trade_id": row.trade_id,
            "kind": intent.kind,
            "client_id": client_id,
            "payload_json": bytes(raw).decode(),
            "created_ms": row.at_ms,
        }
        yield change(Intent, key, values)
        if request is not None:
            yield change(Order, request.client_id, _order(row, intent.kind, request))


def _order(row: TransitionRow, purpose: str, request: _Request) -> dict[str, Value]:
    return {
        "client_order_id": request.client_id,
        "symbol": row.symbol,
        "trade_id": row.trade_id,
        "family": "ORDER" if request.trigger_price is None else "ALGO",
        "purpose": purpose,
        "side": request.side,
        "type": request.type,
        "quantity": text_or_none(request.quantity),
        "price": text_or_none(request.price),
        "trigger_price": text_or_none(request.trigger_price),
        "working_type": request.working_type,
        "reduce_only": int(request.reduce_only),
        "close_position": int(request.close_position),
        "created_ms": row.at_ms,
        "transition_id": row.id,
    }
