"""Answers about funding: each settlement that a closed trade paid or was paid, as the step that booked it was told."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from store import queries
from store.database import Store
from web.endpoint import Context, Endpoint, Name, When, milliseconds

TRADES_MAX = 200
BOOKED = "flat"
KINDS = ("FUNDING_FEE", "SPECIAL_FUNDING_FEE")
"""As the exchange's ledger calls them."""


class FundingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the newest ``trades`` that have ended; settlements from ``since`` to before ``until``."""

    symbol: Name
    since: When | None = None
    until: When | None = None
    trades: Annotated[int, msgspec.Meta(ge=1, le=TRADES_MAX)] = 100


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """``usdt`` is below 0 where it was paid."""

    at_ms: int
    trade_id: str
    usdt: Decimal


class Funding(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first. What an open trade pays is told by the step that ends it."""

    symbol: str
    settlements: list[Settlement]


class _Row(msgspec.Struct, frozen=True):
    income_type: str
    income: Decimal
    time_ms: int


class _Snapshot(msgspec.Struct, frozen=True):
    income: list[_Row] = []


class _Event(msgspec.Struct, frozen=True):
    snapshot: _Snapshot = _Snapshot()


def funding(store: Store, query: FundingQuery, context: Context) -> Funding:
    since_ms = milliseconds(query.since, "since") or 0
    until_ms = milliseconds(query.until, "until")
    wanted = queries.TransitionFilter(symbol=query.symbol, trigger=BOOKED)
    found = []
    for step in queries.transitions(store, wanted, limit=query.trades).rows:
        trade = queries.trade(store, step.trade_id) if step.trade_id else None
        if trade is None:
            continue
        for row in msgspec.json.decode(step.event_json, type=_Event).snapshot.income:
            if row.income_type not in KINDS or row.time_ms <= trade.opened_ms or row.time_ms < since_ms:
                continue
            if until_ms is None or row.time_ms < until_ms:
                found.append(Settlement(at_ms=row.time_ms, trade_id=trade.id, usdt=row.income))
    return Funding(symbol=query.symbol, settlements=sorted(found, key=lambda row: row.at_ms))


READS = (
    Endpoint(
        path="/api/funding/{symbol}",
        summary="Funding that closed trades of a symbol paid or were paid, settlement by settlement",
        query=FundingQuery,
        answer=Funding,
        read=funding,
    ),
)
