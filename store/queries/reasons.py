"""How often each reason stood at a candle in a period: what kept symbols from trading, and what led to trades."""

from __future__ import annotations

from typing import Any

import msgspec

from store.database import Store
from store.queries.decisions import decided_symbols
from store.sqlite import reading

_COLUMNS = "symbol, outcome, reason, candle_ms, last_ms, count"
_BEGINS = "SELECT max(candle_ms) FROM decisions WHERE symbol = :symbol AND candle_ms <= :since"
_INSIDE = "symbol = :symbol AND candle_ms < :until AND last_ms >= :since"
_STRETCHES = (
    f"SELECT {_COLUMNS} FROM decisions INDEXED BY decisions_symbol WHERE {_INSIDE}"  # noqa: S608
    f" AND candle_ms >= coalesce(({_BEGINS}), 0)"
    f" UNION ALL SELECT {_COLUMNS} FROM decision_stretches WHERE {_INSIDE}"
)
"""Stretches of a symbol follow one another: the first one in a period is the last that began before it."""

_FOREVER = 2**62


class ReasonCount(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of one symbol that were decided so, and the newest of them."""

    symbol: str
    outcome: str
    reason: str
    candles: int
    last_candle_ms: int


def reason_counts(
    store: Store, *, symbol: str | None = None, since_ms: int = 0, until_ms: int | None = None
) -> list[ReasonCount]:
    """Of candles that opened in [since_ms, until_ms); by symbol, the most frequent first."""
    until_ms = _FOREVER if until_ms is None else until_ms
    with reading(store.path):
        names = [symbol] if symbol else decided_symbols(store)
        found: dict[tuple[str, str, str], tuple[int, int]] = {}
        for name in names:
            asked: dict[str, Any] = {"symbol": name, "until": until_ms, "since": since_ms}
            for own, outcome, reason, first_ms, last_ms, count in store.connection.execute(_STRETCHES, asked):
                candles, newest_ms = _inside(first_ms, last_ms or first_ms, count, since_ms, until_ms)
                before, latest_ms = found.get((own, outcome, reason), (0, 0))
                found[own, outcome, reason] = before + candles, max(latest_ms, newest_ms)
    rows = [
        ReasonCount(symbol=own, outcome=outcome, reason=reason, candles=candles, last_candle_ms=newest_ms)
        for (own, outcome, reason), (candles, newest_ms) in found.items()
        if candles
    ]
    return sorted(rows, key=lambda row: (row.symbol, -row.candles, row.outcome, row.reason))


def _inside(first_ms: int, last_ms: int, count: int, since_ms: int, until_ms: int) -> tuple[int, int]:
    """How many candles of a stretch lie in the period, and the newest of them; its candles follow one another."""
    if count <= 1 or last_ms <= first_ms:
        return (count, first_ms) if since_ms <= first_ms < until_ms else (0, 0)
    step_ms = (last_ms - first_ms) / (count - 1)
    before = max(0, -(-(since_ms - first_ms) // step_ms)) if since_ms > first_ms else 0
    after = max(0, (last_ms - until_ms) // step_ms + 1) if until_ms <= last_ms else 0
    left = max(0, int(count - before - after))
    return left, round(last_ms - after * step_ms) if left else 0
