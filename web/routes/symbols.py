"""Answers about all symbols at a glance: state, regime and its age, how far the next trade is, what was earned."""

from __future__ import annotations

import threading
from decimal import Decimal

import msgspec

from rules.condition_tree import Candidate, candidates
from store import queries
from store.database import Store
from store.queries.groups import trade_groups
from store.views import CurrentDecision, PositionRow
from web.endpoint import Context, Endpoint, NoQuery
from web.routes.machine import SymbolView, machine
from web.routes.reasons import nearness, reasons_of, summary_of
from web.stored_facts import seen_in

KEPT = 2_000
"""Reasons of so many decisions are kept in words: putting them into words takes longer than reading them."""


class SymbolRow(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol. ``nearest`` is the side whose setup lacks the least; None where none is asked. ``summary``: the last
    decision, alike since ``since_ms``; ``net_pnl`` is of its closed trades, ``upnl`` of the open one."""

    machine: SymbolView
    regime: str | None
    regime_since_ms: int | None
    confidence: float | None
    nearest: Candidate | None
    outcome: str | None
    reason: str | None
    summary: str | None
    since_ms: int | None
    last_ms: int | None
    trades: int
    net_pnl: Decimal
    r: Decimal
    upnl: Decimal | None
    position_r: float | None


class Symbols(msgspec.Struct, frozen=True):
    """Those with an open trade first, then the nearest to one."""

    symbols: list[SymbolRow]


class _Words:
    """What was said of decisions, for several threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], tuple[Candidate | None, str]] = {}
        self._turn = threading.Lock()

    def of(self, store: Store, decided: CurrentDecision) -> tuple[Candidate | None, str]:
        said_of = (decided.outcome, decided.reason, decided.facts_json, decided.guards_json)
        key = (decided.symbol, decided.rules_hash, *said_of)
        with self._turn:
            found = self._kept.get(key)
        if found is None:
            found = _said(store, decided)
            with self._turn:
                while len(self._kept) >= KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = found
        return found


_WORDS = _Words()


def _said(store: Store, decided: CurrentDecision) -> tuple[Candidate | None, str]:
    seen = seen_in(decided.facts_json)
    reasons = reasons_of(store, decided, seen)
    near = candidates(reasons, nearness(store, decided, seen)) if reasons else ()
    return next(iter(near), None), summary_of(decided, reasons)


def symbols(store: Store, query: NoQuery, context: Context) -> Symbols:
    decided = {row.symbol: row for row in queries.latest_decisions(store)}
    regimes = {row.symbol: row for row in queries.latest_regimes(store)}
    held = {row.symbol: row for row in queries.positions(store)}
    earned = {group.key: group for group in trade_groups(store, names=("symbol",))["symbol"]}
    rows = []
    for view in machine(store, query, context).symbols:
        last, regime, group = decided.get(view.symbol), regimes.get(view.symbol), earned.get(view.symbol)
        near, said = _WORDS.of(store, last) if last else (None, None)
        position = held.get(view.symbol)
        rows.append(
            SymbolRow(
                machine=view,
                regime=last.regime if last else regime.regime if regime else None,
                regime_since_ms=regime.at_ms if regime else None,
                confidence=last.confidence if last else None,
                nearest=near,
                outcome=last.outcome if last else None,
                reason=last.reason if last else None,
                summary=said,
                since_ms=last.candle_ms if last else None,
                last_ms=last.last_ms if last else None,
                trades=group.trades if group else 0,
                net_pnl=group.net_pnl if group else Decimal(0),
                r=group.r if group else Decimal(0),
                upnl=position.upnl if position else None,
                position_r=_r(store, position) if position else None,
            )
        )
    return Symbols(sorted(rows, key=_order))


def _r(store: Store, position: PositionRow) -> float | None:
    trade = queries.trade(store, position.trade_id)
    if trade is None or not trade.risk_usdt or position.upnl is None:
        return None
    return round(float(position.upnl / trade.risk_usdt), 4)


def _order(row: SymbolRow) -> tuple[bool, bool, int, float, str]:
    near = row.nearest
    steps = near.steps if near else 0.0
    return row.machine.trade_id is None, near is None, near.lacking if near else 0, steps, row.machine.symbol


READS = (
    Endpoint(
        path="/api/symbols",
        summary="All symbols at a glance: state, regime and its age, distance to a trade, last decision, results",
        answer=Symbols,
        read=symbols,
    ),
)
