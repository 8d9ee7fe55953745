"""Equity over time and what closed trades earned. Sums are made in Decimal, never by SQLite in floats."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from store.database import Store
from store.models import EquitySnapshot, Trade
from store.queries.fetching import fetch_each, fetch_one
from store.rows import EquityRow
from store.sqlite import reading
from store.views import EquityPoint, PnlSummary

_DAY_MS = 86_400_000
_ZERO = Decimal(0)
# Extremes are found by the number that the text means; with a single MAX, SQLite takes the other columns from its row.
_LOWEST = (
    "SELECT MAX(-CAST(equity AS REAL)), id, at_ms, balance, equity FROM equity_snapshots"
    " WHERE at_ms >= ? AND at_ms < ? GROUP BY (at_ms - ?) / ?"
)
_HIGHEST = (
    "SELECT MAX(CAST(equity AS REAL)), id, at_ms, balance, equity FROM equity_snapshots"
    " WHERE at_ms >= ? AND at_ms < ? GROUP BY (at_ms - ?) / ?"
)
_NEWEST = (
    "SELECT MAX(at_ms), id, at_ms, balance, equity FROM equity_snapshots"
    " WHERE at_ms >= ? AND at_ms < ? GROUP BY (at_ms - ?) / ?"
)
_KEPT = (_LOWEST, _HIGHEST, _NEWEST)
_COUNT = "SELECT COUNT(*) FROM equity_snapshots WHERE at_ms >= ? AND at_ms < ?"
_WORST = (
    "SELECT MAX(1 - value / high) FROM"
    " (SELECT value, MAX(value) OVER (ORDER BY at_ms, id) AS high FROM"
    " (SELECT id, at_ms, CAST(equity AS REAL) AS value FROM equity_snapshots WHERE at_ms >= ?)) WHERE high > 0"
)


class _Closed(msgspec.Struct, frozen=True):
    closed_ms: int
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal | None


def latest_equity(store: Store) -> EquityRow | None:
    """The newest snapshot of the account."""
    return fetch_one(store, EquitySnapshot.select().order_by(EquitySnapshot.id.desc()), EquityRow)


def equity(store: Store, *, since_ms: int = 0, until_ms: int | None = None, points: int = 500) -> list[EquityPoint]:
    """The equity in a range, oldest first, thinned to at most ``points``, but one.

    The lowest, the highest and the newest of equal spans of time are kept, so that no fall looks smaller than it was.
    """
    snapshot = EquitySnapshot
    inside = snapshot.at_ms >= since_ms
    if until_ms is not None:
        inside &= snapshot.at_ms < until_ms
    oldest = fetch_one(store, snapshot.select().where(inside).order_by(snapshot.at_ms), EquityRow)
    newest = fetch_one(store, snapshot.select().where(inside).order_by(snapshot.at_ms.desc()), EquityRow)
    if oldest is None or newest is None:
        return []
    with reading(store.path):
        count = _one(store, _COUNT, (oldest.at_ms, newest.at_ms + 1))
        spans = count if count <= points else max(1, points // len(_KEPT))
        span_ms = 1 if count <= points else (newest.at_ms - oldest.at_ms) // spans + 1
        asked = (oldest.at_ms, newest.at_ms + 1, oldest.at_ms, span_ms)
        found: dict[Any, Any] = {
            row[1]: row[2:] for kept in _KEPT for row in store.connection.execute(kept, asked).fetchall()
        }
    ordered = sorted((row[0], number, *row[1:]) for number, row in found.items())
    return [
        EquityPoint(at_ms=at_ms, balance=Decimal(balance), equity=Decimal(equity))
        for at_ms, _, balance, equity in ordered
    ]


def worst_fall(store: Store, *, since_ms: int = 0) -> float:
    """The largest fall of equity from a high of the range, as a fraction of that high, of all that was read."""
    with reading(store.path):
        return float(_one(store, _WORST, (since_ms,)) or 0.0)


def _one(store: Store, asked: str, values: tuple[int, ...]) -> Any:
    """The only value of the only row."""
    row = store.connection.execute(asked, values).fetchone()
    return None if row is None else row[0]


def pnl(store: Store, *, since_ms: int, until_ms: int) -> PnlSummary:
    """What the trades closed in [since_ms, until_ms) came to."""
    closed = Trade.select(Trade.closed_ms, Trade.pnl, Trade.fees, Trade.funding, Trade.net_pnl).where(
        Trade.closed_ms.is_null(False)
        & (Trade.closed_ms >= since_ms)
        & (Trade.closed_ms < until_ms)
        & (Trade.status == "CLOSED")
    )
    days: dict[int, Decimal] = {}
    count = wins = losses = 0
    gross = fees = funding = net = _ZERO
    for trade in fetch_each(store, closed.order_by(Trade.closed_ms, Trade.id), _Closed):
        result = trade.net_pnl if trade.net_pnl is not None else _ZERO
        count, wins, losses = count + 1, wins + (result > 0), losses + (result < 0)
        gross, fees, funding, net = gross + trade.pnl, fees + trade.fees, funding + trade.funding, net + result
        day_ms = trade.closed_ms // _DAY_MS * _DAY_MS
        days[day_ms] = days.get(day_ms, _ZERO) + result
    return PnlSummary(
        since_ms=since_ms,
        until_ms=until_ms,
        trades=count,
        wins=wins,
        losses=losses,
        pnl=gross,
        fees=fees,
        funding=funding,
        net_pnl=net,
        days=tuple(days.items()),
    )
