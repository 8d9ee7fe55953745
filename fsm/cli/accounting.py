"""Trades and fills as CSV for a tax adviser's or an accountant's program; docs/accounting.md describes each field."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from fsm.cli.trade_columns import EXPORTED, cells, to_the_millisecond

if TYPE_CHECKING:
    from store.database import Store
    from store.rows import FillRow

ALL = 2**62

FILL_FIELDS = (
    "fill", "symbol", "trade", "at_utc", "side", "price", "quantity", "value_usdt", "realized_pnl_usdt", "fee",
    "fee_asset", "maker", "order", "client_order_id", "at_ms",
)  # fmt: skip


def trade_lines(store: Store, symbol: str | None, status: str | None, since_ms: int | None) -> Iterator[str]:
    """One line a trade, the oldest first, after a line with the names of the fields."""
    from store import queries

    rows = queries.trades(store, symbol=symbol, status=status, since_ms=since_ms, limit=ALL)
    return _csv(tuple(EXPORTED), (cells(row, EXPORTED) for row in reversed(rows)))


def fill_lines(store: Store, symbol: str | None, since_ms: int | None) -> Iterator[str]:
    """One line a fill, the oldest first, after a line with the names of the fields."""
    from store import queries

    rows = queries.fills(store, symbol=symbol, since_ms=since_ms, limit=ALL)
    return _csv(FILL_FIELDS, (_of_fill(row) for row in reversed(rows)))


def _of_fill(row: FillRow) -> tuple[object, ...]:
    return (
        row.fill_id, row.symbol, row.trade_id, to_the_millisecond(row.at_ms), row.side, row.price, row.quantity,
        row.price * row.quantity, row.realized_pnl, row.commission, row.commission_asset,
        "yes" if row.maker else "no", row.order_id, row.client_order_id, row.at_ms,
    )  # fmt: skip


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
