"""The columns of a trade by name: what `trades` shows of it, and what `trades --export` writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fsm.cli import output
from fsm.cli.times import to_the_minute
from fsm.live.operator.wording import because

if TYPE_CHECKING:
    from store.trade_rows import TradeRow

Columns = dict[str, Callable[["TradeRow"], object]]

SHOWN: Columns = {
    "trade": lambda row: row.id,
    "opened UTC": lambda row: to_the_minute(row.opened_ms),
    "closed UTC": lambda row: row.status.lower() if row.closed_ms is None else to_the_minute(row.closed_ms),
    "side": lambda row: row.side,
    "strategy": lambda row: row.strategy_used,
    "regime": lambda row: row.regime_at_entry,
    "quantity": lambda row: min(row.closed_quantity or row.open_quantity or row.quantity, row.quantity),
    "entry": lambda row: output.price(row.entry_price),
    "exit": lambda row: output.price(row.exit_price),
    "fees": lambda row: f"{row.fees:.2f}",
    "funding": lambda row: f"{row.funding:.2f}",
    "net PnL": lambda row: None if row.net_pnl is None else f"{row.net_pnl:+.2f}",
    "R": lambda row: None if row.r is None else f"{row.r:+.2f}",
    "ended by": lambda row: because(row.exit_reason or ""),
    "flagged": lambda row: row.flagged,
}
NUMBERS = ("quantity", "entry", "exit", "fees", "funding", "net PnL", "R")
"""Of those that are shown, the ones that stand at the right."""

EXPORTED: Columns = {
    "trade": lambda row: row.id,
    "symbol": lambda row: row.symbol,
    "side": lambda row: row.side,
    "status": lambda row: row.status,
    "opened_utc": lambda row: to_the_millisecond(row.opened_ms),
    "closed_utc": lambda row: to_the_millisecond(row.closed_ms),
    "quantity": lambda row: row.closed_quantity or row.open_quantity or row.quantity,
    "entry_price": lambda row: row.entry_price,
    "exit_price": lambda row: row.exit_price,
    "pnl_usdt": lambda row: row.pnl,
    "fees_usdt": lambda row: row.fees,
    "funding_usdt": lambda row: row.funding,
    "net_pnl_usdt": lambda row: row.net_pnl,
    "risk_usdt": lambda row: row.risk_usdt,
    "r": lambda row: row.r and round(row.r, 6),
    "strategy": lambda row: row.strategy_used,
    "regime": lambda row: row.regime_at_entry,
    "exit_reason": lambda row: row.exit_reason,
    "flagged": lambda row: row.flagged,
    "opened_ms": lambda row: row.opened_ms,
    "closed_ms": lambda row: row.closed_ms,
}
"""docs/accounting.md describes each."""


def cells(row: TradeRow, columns: Columns) -> tuple[object, ...]:
    """One trade in these columns."""
    return tuple(value(row) for value in columns.values())


def to_the_millisecond(at_ms: int | None) -> str:
    """A time in UTC as programs read it; empty where there is none."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03d}Z"
