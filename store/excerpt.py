"""The rows of a database that have to do with a span of time, as JSON lines for somebody who has not the product."""

# ruff: noqa: S608 - the names of tables and columns are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from store.database import Store
from store.sqlite import reading

_AT = "at_ms >= ?"
_RECENT: dict[str, str] = {
    "transitions": _AT,
    "decisions": "last_ms >= ?",
    "decision_stretches": "last_ms >= ?",
    "regimes": _AT,
    "fills": _AT,
    "equity_snapshots": _AT,
    "system_events": _AT,
    "errors": _AT,
    "alerts": "MAX(at_ms, COALESCE(sent_ms, 0)) >= ?",
    "commands": "MAX(posted_ms, COALESCE(finished_ms, 0)) >= ? OR finished_ms IS NULL",
    "trades": "closed_ms IS NULL OR closed_ms >= ?",
    "orders": "MAX(created_ms, COALESCE(updated_ms, 0)) >= ?",
    "intents": "MAX(created_ms, COALESCE(done_ms, 0)) >= ? OR done_ms IS NULL",
    "candles": "open_time_ms >= ?",
    "rule_versions": "at_ms >= ? OR id = (SELECT MAX(id) FROM rule_versions)",
    "config_versions": "at_ms >= ? OR id = (SELECT MAX(id) FROM config_versions)",
}
"""Which rows of a table belong to what happened since a time; those still open always do."""

_WHOLE = (
    "symbols", "account", "positions", "series_anchors", "documents", "seals", "chain_heads", "meta", "schema_version",
)  # fmt: skip


def excerpt(store: Store, since_ms: int) -> Iterator[tuple[str, Iterator[str]]]:
    """Each table's name with its rows as JSON lines, as they are stored. Read each before asking for the next.

    Tables that tell how things stand come whole. A table that this database does not have is left out.
    """
    with reading(store.path):
        there = {name for (name,) in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, condition in _RECENT.items():
        if table in there:
            yield table, _lines(store, f"SELECT * FROM {table} WHERE {condition}", (since_ms,))
    for table in _WHOLE:
        if table in there:
            yield table, _lines(store, f"SELECT * FROM {table}", ())


def _lines(store: Store, sql: str, values: tuple[int, ...]) -> Iterator[str]:
    with reading(store.path):
        cursor = store.connection.cursor()
        names: list[str] = []
        for row in cursor.execute(sql, values):
            names = names or [name for name, _ in cursor.get_description()]
            yield msgspec.json.encode(dict(zip(names, row, strict=True))).decode() + "\n"
