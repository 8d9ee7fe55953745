"""Makes the projections again from the journal, on the side, and names the rows that differ."""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apsw
from peewee import Model

from store.canonical import Value
from store.cuts import TRANSITIONS, Pruned
from store.models import PROJECTIONS, Order, SymbolState, Trade
from store.projections import PROJECTED, Change
from store.tables import TABLES, Table

_CHANGES_AT_ONCE = 5_000


class Difference(NamedTuple):
    """A row that is not as the journal says."""

    table: str
    key: str
    what: str


class Rebuild:
    """Projections under construction, in temporary tables on the disk: memory does not grow with the journal."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._waiting: dict[type[Model], dict[str | int, tuple[Value, ...] | None]] = {}
        self._waiting_count = 0
        for model in PROJECTED:
            table = TABLES[model]
            connection.execute(f"DROP TABLE IF EXISTS temp.{_name(table)}")
            columns = ", ".join(table.derived)
            connection.execute(f"CREATE TEMP TABLE {_name(table)} ({columns}, PRIMARY KEY ({table.key[0]}))")

    def take(self, changes: list[Change]) -> None:
        """Apply what one journal row projects."""
        for model, key, values in changes:
            self._waiting.setdefault(model, {})[key] = values
        self._waiting_count += len(changes)
        if self._waiting_count >= _CHANGES_AT_ONCE:
            self._flush()

    def begin_after(self, gone: Pruned) -> None:
        """Take what removed transitions have left: symbols from the cut itself, what was over by then as it stands.

        Of trades the cut has the sum, of orders the seal, so that both are verified without what told of them.
        """
        cut = gone.start(TRANSITIONS)
        if cut is None:
            return
        self.take([Change(SymbolState, symbol, values) for symbol, values in gone.symbols.items()])
        for model in (Trade, Order):
            table = TABLES[model]
            columns = ", ".join(table.derived)
            copied = f"SELECT {columns} FROM main.{table.name} WHERE transition_id <= ?"
            self._connection.execute(f"INSERT INTO temp.{_name(table)} {copied}", (cut.last_id,))

    def differences(self) -> Iterator[Difference]:
        """Rows of the projections that are missing, superfluous or different, read one by one."""
        self._flush()
        for model in PROJECTIONS:
            if model in PROJECTED:
                yield from self._differences(TABLES[model])

    def _differences(self, table: Table) -> Iterator[Difference]:
        key, other = table.key[0], _name(table)
        changed = ", ".join(f"CASE WHEN m.{name} IS NOT t.{name} THEN '{name}' END" for name in table.derived)
        differs = " OR ".join(f"m.{name} IS NOT t.{name}" for name in table.derived)
        # Keys are fetched as hexadecimal of their bytes: a damaged one may not be text any more.
        compared = self._connection.execute(
            f"SELECT hex(m.{key}), t.{key} IS NULL, concat_ws(', ', {changed})"
            f" FROM main.{table.name} m LEFT JOIN temp.{other} t ON t.{key} = m.{key} WHERE {differs}"
        )
        for name, superfluous, columns in compared:
            what = "is not in the journal" if superfluous else f"differs from the journal in {columns}"
            yield Difference(table.name, _readable(name), what)
        missing = self._connection.execute(
            f"SELECT hex(t.{key}) FROM temp.{other} t LEFT JOIN main.{table.name} m ON m.{key} = t.{key}"
            f" WHERE m.{key} IS NULL"
        )
        for (name,) in missing:
            yield Difference(table.name, _readable(name), "is in the journal but not in the table")

    def _flush(self) -> None:
        for model, changes in self._waiting.items():
            table = TABLES[model]
            gone = [(key,) for key, values in changes.items() if values is None]
            here = [values for values in changes.values() if values is not None]
            if gone:
                sql = f"DELETE FROM temp.{_name(table)} WHERE {table.key[0]} = ?"
                self._connection.executemany(sql, gone)
            if here:
                marks = ", ".join("?" * len(table.derived))
                self._connection.executemany(f"INSERT OR REPLACE INTO temp.{_name(table)} VALUES ({marks})", here)
        self._waiting.clear()
        self._waiting_count = 0


def _name(table: Table) -> str:
    return f"rebuilt_{table.name}"


def _readable(key_in_hex: str) -> str:
    return bytes.fromhex(key_in_hex).decode(errors="replace")
