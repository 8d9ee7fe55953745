"""How far the tables have come and how often things happened: what listeners and meters ask again and again."""

from __future__ import annotations

from typing import Any

import msgspec

from store.database import Store
from store.sqlite import reading


class NewestIds(msgspec.Struct, frozen=True, kw_only=True):
    """The newest row of each table that listeners follow; 0 where there is none."""

    transition: int
    alert: int
    command: int


def newest_ids(store: Store) -> NewestIds:
    """How far transitions, alerts and commands have come: three look-ups at the end of an index."""
    ((transition, alert, command),) = _rows(
        store,
        "SELECT (SELECT coalesce(max(id), 0) FROM transitions), (SELECT coalesce(max(id), 0) FROM alerts),"
        " (SELECT coalesce(max(id), 0) FROM commands)",
    )
    return NewestIds(transition=transition, alert=alert, command=command)


def triggers_after(store: Store, row_id: int, up_to_id: int) -> dict[tuple[str, str], int]:
    """How many transitions in (row_id, up_to_id] there are of each (symbol, trigger): ask for the new, and add up."""
    # From the beginning, an index that covers the question is far smaller than the rows: "+" keeps SQLite off these.
    row_number = "+id" if row_id == 0 else "id"
    sql = (
        "SELECT symbol, trigger, count(*) FROM transitions"  # noqa: S608 - one of two words of ours
        f" WHERE {row_number} > ? AND {row_number} <= ? GROUP BY trigger, symbol"
    )
    rows = _rows(store, sql, row_id, up_to_id)
    return {(symbol, trigger): count for symbol, trigger, count in rows}


def intents_open(store: Store) -> dict[str, int]:
    """Intents whose outcome is not known yet, by status."""
    return dict(
        _rows(store, "SELECT status, count(*) FROM intents WHERE status IN ('PENDING', 'UNKNOWN') GROUP BY status")
    )


def alerts_by_state(store: Store) -> dict[tuple[str, str], int]:
    """Messages for the operator by (severity, state of delivery)."""
    rows = _rows(store, "SELECT severity, state, count(*) FROM alerts GROUP BY severity, state")
    return {(severity, state): count for severity, state, count in rows}


def alerts_failing(store: Store) -> int:
    """Messages that were tried, could not be delivered, and are not given up. Without a messenger nothing is tried."""
    ((count,),) = _rows(store, "SELECT count(*) FROM alerts WHERE state = 'PENDING' AND attempts > 0")
    return int(count)


def trades_by_status(store: Store) -> dict[str, int]:
    """Trades by status."""
    return dict(_rows(store, "SELECT status, count(*) FROM trades GROUP BY status"))


def _rows(store: Store, sql: str, *values: int) -> list[Any]:
    with reading(store.path):
        return list(store.connection.execute(sql, values))
