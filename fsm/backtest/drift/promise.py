"""What a run promises of each strategy, and what live trades are held against it, read from their databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from fsm.backtest.drift.sequential import Promise
from fsm.backtest.kept_run import NotARun, read_kept_run
from store import queries
from store.database import Store
from store.queries.executions import ADOPTED
from store.trade_rows import TradeRow

ALL = 2**62
YEAR_MS = 365.25 * 86_400_000
END_OF_DATA = "END_OF_DATA"
BY_HAND = ("OPERATOR", "EXTERNAL_CLOSE", "RELEASED", "LIQUIDATED", "ADL", "SETTLED", "PROTECTION_MISSING")
"""Ends that are no strategy's doing; their trades say nothing about it."""


class LiveTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One closed trade that counts."""

    id: str
    strategy: str
    closed_ms: int
    r: float


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """Closed trades by strategy, in the order of their ends, and how many were left out. ``is_of_same_rules``: all of
    them were opened under the rules that promise."""

    trades: dict[str, list[LiveTrade]]
    left_out: dict[str, int]
    is_of_same_rules: bool


def rules_hash_of(store: Store) -> str:
    """Of the rules that were in force last; empty where nothing ever was."""
    versions = queries.rule_versions(store)
    return versions[0].rules_hash if versions else ""


def promises_of(store: Store) -> dict[str, Promise]:
    """What this run says of each of its strategies."""
    years = _years(store)
    found: dict[str, list[float]] = {}
    for row in _closed(store):
        if row.flagged != END_OF_DATA and row.r is not None:
            found.setdefault(row.strategy_used, []).append(float(row.r))
    return {name: Promise(strategy=name, r=tuple(r), trades_a_year=len(r) / years) for name, r in sorted(found.items())}


class _Anew(msgspec.Struct, frozen=True):
    strategy: str = ""


def begun_anew(store: Store) -> dict[str, int]:
    """When the operator let a strategy's test begin anew last."""
    found: dict[str, int] = {}
    for event in queries.system_events(store, kind="DRIFT", limit=10_000):
        if event.reason == "BEGUN_ANEW":
            found.setdefault(msgspec.json.decode(event.facts_json, type=_Anew).strategy, event.at_ms)
    return found


def live_of(store: Store, rules_hash: str, since_ms: int) -> Live:
    """Trades opened under these rules; where there is none, all of them. Those of before a new beginning do not
    count."""
    anew = begun_anew(store)
    rows = [
        row
        for row in _closed(store)
        if row.opened_ms >= max(since_ms, anew.get(row.strategy_used, 0)) and row.strategy_used != ADOPTED
    ]
    of_rules = [row for row in rows if row.rules_hash == rules_hash]
    trades: dict[str, list[LiveTrade]] = {}
    left_out: dict[str, int] = {}
    for row in of_rules or rows:
        if row.r is None or row.closed_ms is None or _is_by_hand(row):
            left_out[row.strategy_used] = left_out.get(row.strategy_used, 0) + 1
            continue
        one = LiveTrade(id=row.id, strategy=row.strategy_used, closed_ms=row.closed_ms, r=float(row.r))
        trades.setdefault(row.strategy_used, []).append(one)
    return Live(trades=trades, left_out=left_out, is_of_same_rules=bool(of_rules) or not rows)


def _is_by_hand(row: TradeRow) -> bool:
    return (row.exit_reason or "").split(" ")[0] in BY_HAND or row.flagged == END_OF_DATA


def _closed(store: Store) -> Iterator[TradeRow]:
    rows = queries.trades(store, status="CLOSED", limit=ALL)
    yield from sorted(rows, key=lambda row: (row.closed_ms or row.opened_ms, row.id))


def _years(store: Store) -> float:
    """How long the run could trade, in years; at least a day."""
    try:
        summary = read_kept_run(store).summary
        began = min(filter(None, summary.get("could_trade_from", {}).values()), default=summary["from"])
        lasted_ms = (datetime.fromisoformat(summary["to"]) - datetime.fromisoformat(began)).total_seconds() * 1_000
    except NotARun:
        ends = [row.closed_ms or row.opened_ms for row in _closed(store)]
        lasted_ms = max(ends) - min(ends) if ends else 0
    return max(lasted_ms, 86_400_000) / YEAR_MS
