"""Rows of a table that changes in place, as a transaction will leave them: read once, changed here, written back.

The row's hash and the table's seal follow from the row before and the row after, so both are worked out here, and
however often a row changes within one transaction, it is written once.
"""

from __future__ import annotations

import apsw
from peewee import Model

from store.canonical import Value
from store.seals import Seals
from store.tables import TABLES

Values = tuple[Value, ...]
Key = str | int


class ChangingRows:
    """The changed rows of one table. ``seals`` hears of each change; None where the table has no seal.

    ``is_new``: no row was in the table before, so that it need not be asked for one that was not written from here.
    """

    __slots__ = ("_derived", "_hashes", "_is_read", "_rows", "_seals", "_table", "_written")

    def __init__(self, model: type[Model], seals: Seals | None, *, is_new: bool = False) -> None:
        self._table = TABLES[model]
        self._seals = seals
        self._is_read = seals is not None or bool(self._table.fresh)  # else what was there before matters to nobody
        self._rows: dict[Key, list[Value] | None] = {}
        self._hashes: dict[Key, Value] = {}  # of the rows that are in the table
        self._written: set[Key] | None = set() if is_new else None
        self._derived: set[Key] = set()  # more than their live columns has changed

    def begin(self, key: Key, derived: Values) -> None:
        """A row that cannot be there yet."""
        self._rows[key] = [*derived, *self._table.fresh.values()]

    def put(self, connection: apsw.Connection, key: Key, derived: Values | None) -> None:
        """What the journal says of a row: live columns stay, and start afresh in a new one; None: it goes."""
        row = self.find(connection, key) if self._is_read else None
        if derived is None:
            self._rows[key] = None
        elif row is None:
            self.begin(key, derived)
        else:
            row[: len(derived)] = derived
        self._derived.add(key)

    def find(self, connection: apsw.Connection, key: Key) -> list[Value] | None:
        """The row as it stands now, live columns last, to be changed in place; None when there is none."""
        if key in self._rows:
            return self._rows[key]
        if self._written is not None and key not in self._written:
            self._rows[key] = None
            return None
        found = connection.execute(self._table.find, (key,)).fetchone()
        row: list[Value] | None = None
        if found is not None:
            row, self._hashes[key] = list(found[:-1]), found[-1]
        self._rows[key] = row
        return row

    def keep(self, connection: apsw.Connection, key: Key, live: Values) -> bool:
        """Give a row its live columns, the first so many of them; False when there is no such row."""
        row = self.find(connection, key)
        if row is None:
            return False
        first = len(self._table.derived)
        row[first : first + len(live)] = live
        return True

    def write(self, connection: apsw.Connection) -> None:
        """Write what has changed, in the transaction that the caller has opened."""
        table, new, changed, kept, gone = self._table, [], [], [], []
        live = len(table.derived)
        for key, row in self._rows.items():
            before = self._hashes.get(key)
            if row is None:
                if before is not None:
                    gone.append((key,))
                    self._tell(before, None)
                continue
            after = table.canonical.digest(row)
            if after == before:
                continue
            self._tell(before, after)
            if before is None and self._is_read:
                new.append((*row, after))
            elif key in self._derived:
                changed.append((*row, after))
            else:
                kept.append((*row[live:], after, key))
        for sql, rows in ((table.remove, gone), (table.insert, new), (table.upsert, changed), (table.keep, kept)):
            if rows:
                connection.executemany(sql, rows)

    def forget(self) -> None:
        """What was written stands: begin with nothing again."""
        if self._written is not None and self._is_read:
            self._written.update(self._rows)
        self._rows.clear()
        self._hashes.clear()
        self._derived.clear()

    def _tell(self, before: Value, after: Value) -> None:
        if self._seals is not None:
            self._seals.count(self._table.name, before, after)
