"""How rows get into each table: column lists and SQL, drawn from the Peewee models.

Rows are written with these statements instead of through model instances, because the object layer costs
about 90 µs a row and a journal row has 60 in all (style.md's figure; benchmarks measure ours).
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peewee import Model

from store.canonical import Canonical, Value
from store.models import (
    CHAINED,
    DESK,
    PROJECTIONS,
    ChainHead,
    Intent,
    Order,
    Position,
)

_FRESH: dict[type[Model], dict[str, Value]] = {
    ChainHead: {"verified_id": 0},
    Intent: {"status": "PENDING", "outcome_json": None, "attempts": 0, "done_ms": None},
    Order: {
        "order_id": None,
        "status": "INTENDED",
        "executed_quantity": "0",
        "average_price": None,
        "updated_ms": None,
    },
    Position: {
        "mark": None,
        "upnl": None,
        "liquidation_price": None,
        "isolated_wallet": None,
        "updated_ms": None,
    },
}
"""Columns that a rebuild from the journal leaves out, with what a new row starts with; the last before the hash."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns by their part, and the statements that write to it.

    ``hashed`` are the columns under the row's own hash; ``derived`` those of them that come from the journal, which
    stand first; ``fresh`` is what the others, the live ones, start with.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    hashed: tuple[str, ...]
    derived: tuple[str, ...]
    fresh: dict[str, Value]
    canonical: Canonical
    """Of the hashed columns."""
    insert: str
    """All columns; a row that is there already is an error."""
    upsert: str
    """All columns; a row that is there already gets the new values."""
    find: str
    """All columns of one row."""
    keep: str
    """The live columns and the hash of a row that is there; then its key."""
    remove: str

    @property
    def hash_column(self) -> str:
        return "hash" if "prev_hash" in self.columns else "row_hash"


def _table(model: type[Model]) -> Table:
    meta: Any = model._meta
    name, columns = str(meta.table_name), tuple(meta.sorted_field_names)
    key = tuple(meta.primary_key.field_names) if meta.composite_key else (str(meta.primary_key.name),)
    fresh = _FRESH.get(model, {})
    own_hash = "hash" if "prev_hash" in columns else "row_hash"
    hashed = tuple(column for column in columns if column != own_hash)
    derived = tuple(column for column in hashed if column not in fresh)
    if fresh and hashed != (*derived, *fresh):
        raise TypeError(f"the live columns of {name} must stand last")
    insert = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    live = ", ".join(f"{column} = ?" for column in (*fresh, own_hash))
    return Table(
        name=name,
        key=key,
        columns=columns,
        hashed=hashed,
        derived=derived,
        fresh=fresh,
        canonical=Canonical(hashed),
        insert=insert,
        upsert=f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}",
        find=f"SELECT {', '.join(columns)} FROM {name} WHERE {key[0]} = ?",
        keep=f"UPDATE {name} SET {live} WHERE {key[0]} = ?",
        remove=f"DELETE FROM {name} WHERE {key[0]} = ?",
    )


TABLES: dict[type[Model], Table] = {model: _table(model) for model in (*CHAINED, *PROJECTIONS, *DESK)}
