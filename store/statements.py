"""The statements that bring live columns and the desk's tables up to date: what the exchange or the operator said."""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from store.canonical import Value
from store.models import Alert, Command, Document, Fill, SeriesAnchor
from store.rows import (
    AlertRow,
    AnchorRow,
    CandleRow,
    CommandAck,
    DocumentRow,
    IntentOutcome,
    OrderUpdate,
    PositionMark,
)
from store.tables import TABLES

Values = tuple[Value, ...]


class Statement(NamedTuple):
    """SQL with its values. ``missing`` is what to say when it changes no row, None when that is fine."""

    sql: str
    values: Values
    missing: str | None = None


_ACK = (
    f"UPDATE {TABLES[Command].name} SET state = ?, guard = ?, detail = ?, finished_ms = ?"
    " WHERE id = ? AND state IN ('posted', 'taken')"
)
_ALERT_COLUMNS = TABLES[Alert].columns[1:]
_ALERT = (
    f"INSERT INTO {TABLES[Alert].name} ({', '.join(_ALERT_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_ALERT_COLUMNS))})"
    " ON CONFLICT (dedupe_key) DO UPDATE SET repeats = repeats + 1"
)
FILL_EXISTS = f"SELECT 1 FROM {TABLES[Fill].name} WHERE symbol = ? AND fill_id = ?"


def outcome_live(outcome: IntentOutcome, attempts: int) -> Values:
    """An intent's live columns; UNKNOWN leaves it open."""
    done_ms = None if outcome.status in ("UNKNOWN", "PENDING") else outcome.at_ms
    return (outcome.status, outcome.outcome_json, attempts, done_ms)


def order_live(update: OrderUpdate) -> Values:
    """An order's live columns, as the exchange has it."""
    average = None if update.average_price is None else _text(update.average_price)
    return (update.order_id, update.status, _text(update.executed_quantity), average, update.updated_ms)


def position_live(position: PositionMark) -> Values:
    """A position's live columns: what it is worth now."""
    liquidation = None if position.liquidation_price is None else _text(position.liquidation_price)
    wallet = _text(position.isolated_wallet)
    return (_text(position.mark), _text(position.upnl), liquidation, wallet, position.updated_ms)


def acknowledge(ack: CommandAck) -> Statement:
    """A command that has ended."""
    values = (ack.result, ack.guard, ack.detail, ack.at_ms, ack.command_id)
    return Statement(_ACK, values, f"there is no unfinished command {ack.command_id}")


def alert(row: AlertRow) -> Statement:
    """A message for the operator; a known key only counts."""
    values = (
        row.at_ms,
        row.kind,
        row.severity,
        row.symbol,
        row.text,
        row.dedupe_key,
        row.repeats,
        row.state,
        row.due_ms,
        row.attempts,
        row.sent_ms,
        row.last_error,
    )
    return Statement(_ALERT, values)


def document(row: DocumentRow) -> Statement:
    """The newest text under a name."""
    return Statement(TABLES[Document].upsert, (row.name, row.at_ms, row.body_json))


def anchor(row: AnchorRow) -> Statement:
    """Where a series begins."""
    return Statement(TABLES[SeriesAnchor].upsert, (row.symbol, row.timeframe, row.first_ms))


def candle(row: CandleRow) -> tuple[str, str, int, str, str, str, str, str]:
    """A candle's columns; ``repr`` of a float is the shortest text that reads back as the same float."""
    prices = (repr(float(row.open)), repr(float(row.high)), repr(float(row.low)), repr(float(row.close)))
    return (row.symbol, row.timeframe, row.open_time_ms, *prices, repr(float(row.volume)))


def _text(amount: Decimal) -> str:
    return format(amount, "f")
