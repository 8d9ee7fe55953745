"""Rows that are ready to be written: collected from one batch or many, applied in one transaction."""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections import defaultdict

import apsw
from peewee import Model

from store.canonical import Value, digest
from store.errors import JournalError
from store.models import CHAINED, PROJECTIONS, ChainHead, Intent, Order, Position
from store.projections import Change
from store.seals import CandleValues, insert_candles
from store.statements import Statement
from store.tables import TABLES, Table

Values = tuple[Value, ...]

# Rows in one INSERT. A statement on a table with triggers makes SQLite copy the pages it will change, so that it
# can be undone alone; with one row a statement that copy costs more than the row (23 against 15 µs, 2026-11).
_ROWS_AT_ONCE = 50

_FRESH_INTENT: Values = ("PENDING", None, 0, None)
"""The live columns of a new intent, as TABLES[Intent].put has them."""

_DELETE = {model: f"DELETE FROM {TABLES[model].name} WHERE {TABLES[model].key[0]} = ?" for model in PROJECTIONS}


class Writes:
    """What one transaction will do, in the order in which it does it.

    Rows of projections that come wholly from the journal are kept by key, so that of many changes to one
    row only the last is written: the end is the same as if each had been.
    """

    def __init__(self) -> None:
        self.chained: dict[type[Model], list[Values]] = defaultdict(list)
        self.whole: dict[type[Model], dict[str | int, Values | None]] = defaultdict(dict)
        self.heads: dict[str, Values] = {}
        self.intents: list[Values] = []
        self.steps: list[Statement] = []
        self.candles: list[CandleValues] = []

    def put(self, change: Change) -> None:
        """Take in a change of a projection."""
        model, key, values = change
        if model is Intent:
            self.intents.append((*(values or ()), *_FRESH_INTENT))
        elif model not in (Order, Position):
            self.whole[model][key] = values
        elif values is None:
            self.steps.append(Statement(_DELETE[model], (key,)))
        else:  # what a put does to live columns depends on the row that is there: one by one, in order
            self.steps.append(Statement(TABLES[model].put, values))

    def extend(self, later: Writes) -> None:
        """Add what comes after."""
        for model, rows in later.chained.items():
            self.chained[model].extend(rows)
        for model, changes in later.whole.items():
            self.whole[model].update(changes)
        self.heads.update(later.heads)
        self.intents.extend(later.intents)
        self.steps.extend(later.steps)
        self.candles.extend(later.candles)

    def apply(self, connection: apsw.Connection) -> None:
        """Carry it all out in the transaction that the caller has opened."""
        for model in CHAINED:
            if model in self.chained:
                _insert(connection, TABLES[model], self.chained[model])
        if self.intents:
            table = TABLES[Intent]
            _insert(connection, table, [(*row, digest(table.hashed, row)) for row in self.intents])
        for model, changes in self.whole.items():
            _apply_whole(connection, model, changes)
        for statement in self.steps:
            connection.execute(statement.sql, statement.values)
            if statement.missing is not None and connection.changes() == 0:
                raise JournalError(f"nothing was written: {statement.missing}", "this is a bug: please report it")
        if self.candles:
            insert_candles(connection, self.candles)
        if self.heads:
            connection.executemany(TABLES[ChainHead].put, list(self.heads.values()))


def _insert(connection: apsw.Connection, table: Table, rows: list[Values]) -> None:
    whole = len(rows) - len(rows) % _ROWS_AT_ONCE
    if whole:
        row = f"({', '.join('?' * len(table.columns))})"
        many = f"{table.insert}{f', {row}' * (_ROWS_AT_ONCE - 1)}"
        for start in range(0, whole, _ROWS_AT_ONCE):
            connection.execute(many, [value for row in rows[start : start + _ROWS_AT_ONCE] for value in row])
    connection.executemany(table.insert, rows[whole:])


def _apply_whole(connection: apsw.Connection, model: type[Model], changes: dict[str | int, Values | None]) -> None:
    table = TABLES[model]
    gone = [(key,) for key, values in changes.items() if values is None]
    if gone:
        connection.executemany(_DELETE[model], gone)
    rows = [(*values, digest(table.hashed, values)) for values in changes.values() if values is not None]
    if rows:
        connection.executemany(table.upsert, rows)
