"""Rows that are ready to be written: collected from one batch or many, applied in one transaction."""

from __future__ import annotations

from collections.abc import Iterable

import apsw
from msgspec.structs import astuple
from peewee import Model

from store.canonical import Value
from store.chains import Head
from store.changing_rows import ChangingRows
from store.decision_runs import DecisionRunRow
from store.errors import JournalError
from store.models import CHAINED, ChainHead, DecisionStretch, Intent, Order, Position
from store.projections import Change
from store.rows import OPEN_ORDER_STATUSES, CandleColumns, IntentOutcome, OrderEnd, OrderUpdate, PositionMark
from store.seals import SEALED, CandleValues, Seals, insert_candles, insert_series
from store.statements import Statement, order_live, outcome_live, position_live
from store.tables import TABLES, Table

Values = tuple[Value, ...]

# Rows in one INSERT. A statement on a table with triggers makes SQLite copy the pages it will change, so that it
# can be undone alone; with one row a statement that copy costs more than the row (23 against 15 µs, 2026-11).
_ROWS_AT_ONCE = 50

_STATUS = TABLES[Order].hashed.index("status")
_UPDATED = TABLES[Order].hashed.index("updated_ms")
_ATTEMPTS = TABLES[Intent].hashed.index("attempts")


class Writes:
    """What one transaction will do. Of many changes to one row of a projection only the outcome is written."""

    def __init__(self, connection: apsw.Connection, seals: Seals, *, is_new: bool = False) -> None:
        self._connection = connection
        self._is_new = is_new
        self._seals = seals
        self._chained: dict[type[Model], list[Values]] = {}
        self._rows: dict[type[Model], ChangingRows] = {}
        self._heads: dict[type[Model], Head] = {}
        self._stretches: dict[str, DecisionRunRow | None] = {}
        self._steps: list[Statement] = []
        self._candles: list[CandleValues] = []
        self._series: list[CandleColumns] = []

    def _of(self, model: type[Model]) -> ChangingRows:
        found = self._rows.get(model)
        if found is None:
            found = self._rows[model] = ChangingRows(
                model, self._seals if model in SEALED else None, is_new=self._is_new
            )
        return found

    def append(self, model: type[Model], row: Values, head: Head) -> None:
        """Take in a row of a chain, the newest of which it is."""
        rows = self._chained.get(model)
        if rows is None:
            rows = self._chained[model] = []
        rows.append(row)
        self._heads[model] = head

    def stretch(self, symbol: str, stretch: DecisionRunRow | None) -> None:
        """Take in the stretch of equal decisions that a symbol is in."""
        self._stretches[symbol] = stretch

    def put(self, change: Change) -> None:
        """Take in a change of a projection."""
        model, key, values = change
        if model is Intent and values is not None:
            self._of(model).begin(key, values)
        else:
            self._of(model).put(self._connection, key, values)

    def settle(self, outcome: IntentOutcome) -> None:
        """Write down what became of an intent; UNKNOWN leaves it open. Raises JournalError when there is none."""
        intents = self._of(Intent)
        row = intents.find(self._connection, outcome.intent_id)
        if row is None:
            raise _missing(f"there is no intent {outcome.intent_id} to settle")
        attempts = row[_ATTEMPTS]
        assert isinstance(attempts, int)
        intents.keep(self._connection, outcome.intent_id, outcome_live(outcome, attempts + 1))

    def update(self, order: OrderUpdate) -> None:
        """An order of ours as the exchange has it; one that is not ours is passed over."""
        self._of(Order).keep(self._connection, order.client_order_id, order_live(order))

    def end(self, order: OrderEnd) -> None:
        """An order of ours that is over, unless it has ended already."""
        row = self._of(Order).find(self._connection, order.client_order_id)
        if row is not None and row[_STATUS] in OPEN_ORDER_STATUSES:
            row[_STATUS], row[_UPDATED] = order.status, order.updated_ms

    def mark(self, position: PositionMark) -> None:
        """What a position of ours is worth now; passed over where there is none."""
        self._of(Position).keep(self._connection, position.symbol, position_live(position))

    def then(self, statements: Iterable[Statement]) -> None:
        """Take in statements of the desk."""
        self._steps.extend(statements)

    def candles(self, rows: Iterable[CandleValues]) -> None:
        self._candles.extend(rows)

    def series(self, series: Iterable[CandleColumns]) -> None:
        self._series.extend(series)

    def apply(self) -> None:
        """Carry it all out in the transaction that the caller has opened."""
        for model in CHAINED:
            if model in self._chained:
                _insert(self._connection, TABLES[model], self._chained[model])
        for symbol, stretch in self._stretches.items():
            self.put(Change(DecisionStretch, symbol, None if stretch is None else astuple(stretch)))
        for model, head in self._heads.items():
            name = TABLES[model].name
            self.put(Change(ChainHead, name, (name, *head)))
        for rows in self._rows.values():
            rows.write(self._connection)
        for statement in self._steps:
            self._connection.execute(statement.sql, statement.values)
            if statement.missing is not None and self._connection.changes() == 0:
                raise _missing(statement.missing)
        if self._candles:
            insert_candles(self._connection, self._candles)
        for series in self._series:
            insert_series(self._connection, series)

    def forget(self) -> None:
        """What was carried out stands: begin with nothing again."""
        for rows in self._rows.values():
            rows.forget()
        for waiting in (self._chained, self._heads, self._stretches, self._steps, self._candles, self._series):
            waiting.clear()


def _missing(what: str) -> JournalError:
    return JournalError(f"nothing was written: {what}", "this is a bug: report it")


def _insert(connection: apsw.Connection, table: Table, rows: list[Values]) -> None:
    whole = len(rows) - len(rows) % _ROWS_AT_ONCE
    if whole:
        row = f"({', '.join('?' * len(table.columns))})"
        many = f"{table.insert}{f', {row}' * (_ROWS_AT_ONCE - 1)}"
        for start in range(0, whole, _ROWS_AT_ONCE):
            connection.execute(many, [value for row in rows[start : start + _ROWS_AT_ONCE] for value in row])
    connection.executemany(table.insert, rows[whole:])
