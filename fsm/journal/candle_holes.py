"""Holes in candles as events of the journal: written by the bot and by a backtest, read at a start and by `why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from indicators.holes import Hole

if TYPE_CHECKING:
    from store.database import Store

HOLE = "CANDLE_HOLE"
"""Kind of the event, with a Hole as its facts."""

READ_MAX = 10_000


def reason(hole: Hole) -> str:
    """What became of the series."""
    return "RESTARTS" if hole.restarts else "CARRIED"


def facts(hole: Hole) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(hole)
    return plain


def stored_holes(store: Store, symbol: str) -> list[Hole]:
    """Every hole of a symbol that was written down, oldest first."""
    from store import queries  # a backtest only writes

    found = [
        msgspec.json.decode(event.facts_json, type=Hole)
        for event in queries.system_events(store, kind=HOLE, limit=READ_MAX)
        if event.symbol == symbol
    ]
    return sorted(set(found), key=lambda hole: (hole.first_ms, hole.timeframe.ms))
