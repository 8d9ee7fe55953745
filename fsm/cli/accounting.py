"""Trades and fills as CSV for a tax adviser's or an accountant's program; docs/accounting.md describes each field."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.database import Store
    from store.rows import FillRow
    from store.views import TradeRow

ALL = 2**62

TRADE_FIELDS = (
    "trade", "symbol", "side", "status", "opened_utc", "closed_utc", "quantity", "entry_price", "exit_price",
    "pnl_usdt", "fees_usdt", "funding_usdt", "net_pnl_usdt", "risk_usdt", "r", "strategy", "regime", "exit_reason",
    "flagged", "opened_ms", "closed_ms",
)  # fmt: skip
FILL_FIELDS = (
    "fill", "symbol", "trade", "at_utc", "side", "price", "quantity", "value_usdt", "realized_pnl_usdt", "fee",
    "fee_asset", "maker", "order", "client_order_id", "at_ms",
)  # fmt: skip


def trade_lines(store: Store, symbol: str | None, status: str | None, since_ms: int | None) -> Iterator[str]:
    """One line a trade, the oldest first, after a line with the names of the fields."""
    from store import queries

    rows = queries.trades(store, symbol=symbol, status=status, since_ms=since_ms, limit=ALL)
    return _csv(TRADE_FIELDS, (_of_trade(row) for row in reversed(rows)))


def fill_lines(store: Store, symbol: str | None, since_ms: int | None) -> Iterator[str]:
    """One line a fill, the oldest first, after a line with the names of the fields."""
    from store import queries

    rows = queries.fills(store, symbol=symbol, since_ms=since_ms, limit=ALL)
    return _csv(FILL_FIELDS, (_of_fill(row) for row in reversed(rows)))


def _of_trade(row: TradeRow) -> tuple[object, ...]:
    return (
        row.id, row.symbol, row.side, row.status, _utc(row.opened_ms), _utc(row.closed_ms),
        row.closed_quantity or row.open_quantity or row.quantity, row.entry_price, row.exit_price,
        row.pnl, row.fees, row.funding, row.net_pnl, row.risk_usdt, row.r and round(row.r, 6),
        row.strategy_used, row.regime_at_entry, row.exit_reason, row.flagged, row.opened_ms, row.closed_ms,
    )  # fmt: skip


def _of_fill(row: FillRow) -> tuple[object, ...]:
    return (
        row.fill_id, row.symbol, row.trade_id, _utc(row.at_ms), row.side, row.price, row.quantity,
        row.price * row.quantity, row.realized_pnl, row.commission, row.commission_asset,
        "yes" if row.maker else "no", row.order_id, row.client_order_id, row.at_ms,
    )  # fmt: skip


def _utc(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03d}Z"


def _csv(fields: Sequence[str], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in itertools.chain((fields,), rows):
        writer.writerow([_plain(value) for value in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _plain(value: object) -> str:
    """Numbers in full, never as 1E-7; text that a spreadsheet would run as a formula is set off."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
