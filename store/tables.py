"""How rows get into each table: column lists and SQL, drawn from the Peewee models.

Rows are written with these statements instead of through model instances, because the object layer costs
about 90 µs a row and a journal row has 60 in all (style.md's figure; benchmarks measure ours).
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peewee import Model

from store.canonical import Value, digest
from store.models import (
    CHAINED,
    DESK,
    PROJECTIONS,
    ChainHead,
    Intent,
    Order,
    Position,
)

_LIVE: dict[type[Model], dict[str, str]] = {
    ChainHead: {"verified_id": "0"},
    Intent: {"status": "'PENDING'", "outcome_json": "NULL", "attempts": "0", "done_ms": "NULL"},
    Order: {
        "order_id": "NULL",
        "status": "'INTENDED'",
        "executed_quantity": "'0'",
        "average_price": "NULL",
        "updated_ms": "NULL",
    },
    Position: {
        "mark": "NULL",
        "upnl": "NULL",
        "liquidation_price": "NULL",
        "isolated_wallet": "NULL",
        "updated_ms": "NULL",
    },
}
"""Columns that a rebuild from the journal leaves out, with what a new row starts with (SQL)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns by their part, and the statements that write to it.

    ``hashed`` are the columns under the row's own hash; ``derived`` those of them that come from the journal.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    hashed: tuple[str, ...]
    derived: tuple[str, ...]
    live: tuple[str, ...]
    insert: str
    """All columns; a row that is there already is an error."""
    upsert: str
    """All columns; a row that is there already gets the new values."""
    put: str
    """Derived columns only: live ones start afresh in a new row and stay in an old one; the hash is computed."""

    @property
    def hash_column(self) -> str:
        return "hash" if "prev_hash" in self.columns else "row_hash"

    def update_live(self, *columns: str) -> str:
        """UPDATE of live columns of one row; parameters: the columns' values, then the key. Recomputes the hash."""
        return self.update({column: f"?{number}" for number, column in enumerate(columns, start=1)})

    def update(self, expressions: dict[str, str]) -> str:
        """The same with SQL expressions; the key is the parameter after the highest one used in them."""
        used = max((int(text[1:]) for text in expressions.values() if text[:1] == "?"), default=0)
        hashed = ", ".join(expressions.get(column, column) for column in self.hashed)
        changes = ", ".join(f"{column} = {expression}" for column, expression in expressions.items())
        return (
            f"UPDATE {self.name} SET {changes}, row_hash = row_hash('{self.name}', {hashed})"
            f" WHERE {self.key[0]} = ?{used + 1}"
        )


def row_hash(table: str, *values: Value) -> str:
    """The SQL function ``row_hash('table', column, …)``: the hash of a row whose columns are partly in the database."""
    return digest(_BY_NAME[table].hashed, values)


def _table(model: type[Model]) -> Table:
    meta: Any = model._meta
    name, columns = str(meta.table_name), tuple(meta.sorted_field_names)
    key = tuple(meta.primary_key.field_names) if meta.composite_key else (str(meta.primary_key.name),)
    live = _LIVE.get(model, {})
    own_hash = "hash" if "prev_hash" in columns else "row_hash"
    hashed = tuple(column for column in columns if column != own_hash)
    derived = tuple(column for column in hashed if column not in live)
    listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
    insert = f"INSERT INTO {name} ({listed}) VALUES ({marks})"
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    upsert = f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    return Table(name, key, columns, hashed, derived, tuple(live), insert, upsert, _put(name, key[0], hashed, live))


def _put(name: str, key: str, hashed: tuple[str, ...], live: dict[str, str]) -> str:
    derived = [column for column in hashed if column not in live]
    place = {column: f"?{number}" for number, column in enumerate(derived, start=1)}
    fresh = ", ".join(live.get(column) or place[column] for column in hashed)
    kept = ", ".join(f"{name}.{column}" if column in live else f"excluded.{column}" for column in hashed)
    changes = ", ".join(f"{column} = excluded.{column}" for column in derived if column != key)
    return (
        f"INSERT INTO {name} ({', '.join(hashed)}, row_hash)"
        f" VALUES ({fresh}, row_hash('{name}', {fresh}))"
        f" ON CONFLICT ({key}) DO UPDATE SET {changes}, row_hash = row_hash('{name}', {kept})"
    )


TABLES: dict[type[Model], Table] = {model: _table(model) for model in (*CHAINED, *PROJECTIONS, *DESK)}
_BY_NAME = {table.name: table for table in TABLES.values()}
