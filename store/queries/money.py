"""Equity over time and what closed trades earned. Sums are made in Decimal, never by SQLite in floats."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from store.database import Store
from store.models import EquitySnapshot, Trade
from store.queries.fetching import fetch_each, fetch_one
from store.rows import EquityRow
from store.sqlite import reading
from store.views import EquityPoint, PnlSummary

_DAY_MS = 86_400_000
_ZERO = Decimal(0)
_LAST_BETWEEN = (
    "SELECT at_ms, balance, equity FROM equity_snapshots WHERE at_ms >= ? AND at_ms < ?"
    " ORDER BY at_ms DESC, id DESC LIMIT 1"
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
    """The equity in a range, oldest first, thinned to at most ``points`` by keeping the last of equal spans of time.

    The cost goes with the points and not with the snapshots: one look into the index for each span.
    """
    snapshot = EquitySnapshot
    inside = snapshot.at_ms >= since_ms
    if until_ms is not None:
        inside &= snapshot.at_ms < until_ms
    oldest = fetch_one(store, snapshot.select().where(inside).order_by(snapshot.at_ms), EquityRow)
    newest = fetch_one(store, snapshot.select().where(inside).order_by(snapshot.at_ms.desc()), EquityRow)
    if oldest is None or newest is None:
        return []
    span_ms = (newest.at_ms - oldest.at_ms) // max(1, points) + 1
    end_ms = newest.at_ms + 1
    with reading(store.path):
        found = [
            store.connection.execute(_LAST_BETWEEN, (start_ms, min(start_ms + span_ms, end_ms))).fetchone()
            for start_ms in range(oldest.at_ms, end_ms, span_ms)
        ]
    return [
        EquityPoint(at_ms=row[0], balance=Decimal(row[1]), equity=Decimal(row[2])) for row in found if row is not None
    ]


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
