"""Runs a Peewee query on a store and gives its rows as structs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import apsw
import msgspec
from peewee import SQL, ModelSelect, NodeList

from store.database import Store
from store.errors import DatabaseDamaged
from store.sqlite import reading

Row = TypeVar("Row", bound=msgspec.Struct)


def fetch(store: Store, query: ModelSelect[Any], row_type: type[Row]) -> list[Row]:
    """All rows of a query."""
    return list(fetch_each(store, query, row_type))


def fetch_one(store: Store, query: ModelSelect[Any], row_type: type[Row]) -> Row | None:
    """The first row of a query, or None."""
    return next(iter(fetch(store, query.limit(1), row_type)), None)


def fetch_each(store: Store, query: ModelSelect[Any], row_type: type[Row]) -> Iterator[Row]:
    """The rows of a query, one at a time: memory does not grow with their number."""
    return select_each(store, *query.bind(store.database).sql(), row_type)


def select_each(store: Store, sql: str, values: Sequence[Any], row_type: type[Row]) -> Iterator[Row]:
    """The same for SQL: Peewee has made it, or it is asked so often that making it would cost more than asking."""
    with reading(store.path):
        cursor = store.connection.execute(sql, values)
        try:
            names = [name for name, _ in cursor.get_description()]
        except apsw.ExecutionCompleteError:  # there are no rows
            return
        for row in cursor:
            yield _struct(store, dict(zip(names, row, strict=True)), row_type)


def unindexed(field: Any) -> Any:
    """The column as an expression, for which SQLite uses no index.

    For a query that also names a trade: a trade has a handful of rows, which SQLite cannot know, and it
    would rather walk along the index of another column that happens to have the wanted order.
    """
    return NodeList((SQL("+"), field))


def _struct(store: Store, row: dict[str, Any], row_type: type[Row]) -> Row:
    try:
        # Not strict: a bool is 0 or 1 in its column.
        return msgspec.convert(row, row_type, strict=False)
    except msgspec.ValidationError as error:
        raise DatabaseDamaged(
            f"{store.path}: a row cannot be read as {row_type.__name__}: {error}", "find the row with `audit verify`"
        ) from error
