"""Reads a table row by row in a way that a damaged row does not stop."""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from store.canonical import Value

BEFORE_FIRST = -(2**63)


class Scanned(NamedTuple):
    """One row, or (``values`` None) why it cannot be read. ``rowid`` is None when nothing after can be read either."""

    rowid: int | None
    values: tuple[Value, ...] | None
    error: str = ""


def scan(
    connection: apsw.Connection, table: str, columns: tuple[str, ...], *, after: int = BEFORE_FIRST
) -> Iterator[Scanned]:
    """Every row with a rowid above ``after``, in rowid order, holding one at a time."""
    sql = f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE rowid > ? ORDER BY rowid"
    last = after
    try:
        while True:
            try:
                for row in connection.execute(sql, (last,)):
                    last = row[0]
                    yield _scanned(row)
                return
            except UnicodeDecodeError as error:
                # The driver gives up on the cursor: name the row and go on behind it.
                beyond = f"SELECT min(rowid) FROM {table} WHERE rowid > ?"
                last = connection.execute(beyond, (last,)).get
                yield Scanned(last, None, f"holds text that is not UTF-8 ({error.reason})")
    except apsw.Error as error:
        where = "from the start" if last == after else f"after row {last}"
        yield Scanned(None, None, f"cannot be read {where}: {error}")


def _scanned(row: tuple[Any, ...]) -> Scanned:
    rowid, *values = row
    if any(isinstance(value, bytes) for value in values):
        return Scanned(rowid, None, "holds binary data where there is none in our tables")
    return Scanned(rowid, tuple(values))
