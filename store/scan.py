"""Reads a table row by row in a way that a damaged row does not stop."""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from store.canonical import Value

BEFORE_FIRST = -(2**63)


class Scanned(NamedTuple):
    """One row. ``error`` says what is wrong with it; bytes that are no text any more are then patched in ``values``.

    ``values`` None: neither this row nor any after it can be read.
    """

    rowid: int
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
                    if bytes in map(type, row):
                        yield _patched(row)
                    else:
                        yield Scanned(last, row[1:])
                return
            except UnicodeDecodeError:
                # The driver gives up on the cursor: read that row as bytes and go on behind it.
                raw = ", ".join(f"iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in columns)
                again = f"SELECT rowid, {raw} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
                broken = connection.execute(again, (last,)).get
                last = broken[0]
                yield _patched(broken)
    except apsw.Error as error:
        where = "from the start" if last == after else f"after row {last}"
        yield Scanned(last, None, f"cannot be read {where}: {error}")


def _patched(row: tuple[Any, ...]) -> Scanned:
    values = tuple(value.decode(errors="replace") if isinstance(value, bytes) else value for value in row[1:])
    return Scanned(row[0], values, "holds bytes that are not text")
