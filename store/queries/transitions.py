"""The audit's questions: which transitions, newest first, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from peewee import ModelSelect, fn

from store.database import Store
from store.models import Transition
from store.queries.fetching import fetch, fetch_one, unindexed
from store.rows import TransitionRow
from store.sqlite import reading

LIMIT_MAX = 10_000
"""Rows on one page at most: they are wide, and a page is held in memory."""


PAGE = 250
"""Rows that are read at once where all are asked for."""


class TransitionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Everything given must hold. ``state`` is the one it led to; ``until_ms`` itself is not included."""

    symbol: str | None = None
    state: str | None = None
    trigger: str | None = None
    trade_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class Page(msgspec.Struct, frozen=True):
    """Rows, newest first; ``cursor`` asks for the page after it and is None on the last."""

    rows: list[TransitionRow]
    cursor: str | None


EVERYTHING = TransitionFilter()


def transitions(
    store: Store, wanted: TransitionFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
) -> Page:
    """One page, ordered by time and then id. Raises ValueError for a cursor that is not one of ours."""
    limit = max(1, min(limit, LIMIT_MAX))
    rows = fetch(store, newest_first(wanted, cursor).limit(limit + 1), TransitionRow)
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]
    return Page(rows[:limit], f"{last.at_ms}.{last.id}")


def transition(store: Store, row_id: int) -> TransitionRow | None:
    """One transition by its id."""
    return fetch_one(store, Transition.select().where(Transition.id == row_id), TransitionRow)


def transitions_after(store: Store, row_id: int, *, limit: int = 100) -> list[TransitionRow]:
    """What was journalled after a row, in order: how a listener keeps up."""
    query = Transition.select().where(Transition.id > row_id).order_by(Transition.id).limit(limit)
    return fetch(store, query, TransitionRow)


def each_transition(store: Store, wanted: TransitionFilter = EVERYTHING) -> Iterator[TransitionRow]:
    """All that match and are there now, oldest first, one at a time.

    They are read a page at a time, and no reading is open between two pages: whoever takes the rows slowly, or stops
    taking them, does not keep SQLite from emptying the ``-wal``. Rows are only ever added, so the pages fit together.
    """
    query, at_ms = _filtered(wanted)
    newest = Transition.select(fn.MAX(Transition.id)).bind(store.database)
    with reading(store.path):
        last_id = newest.scalar()
    ordered = query.where(Transition.id <= (last_id or 0)).order_by(at_ms, Transition.id).limit(PAGE)
    page = fetch(store, ordered, TransitionRow)
    while page:
        yield from page
        last = page[-1]
        # The first half is what an index can seek by.
        after = (at_ms >= last.at_ms) & ((at_ms > last.at_ms) | (Transition.id > last.id))
        page = fetch(store, ordered.where(after), TransitionRow) if len(page) == PAGE else []


def newest_first(wanted: TransitionFilter, cursor: str | None = None) -> ModelSelect[Any]:
    """The query behind ``transitions``, without its limit."""
    query, at_ms = _filtered(wanted)
    if cursor is not None:
        last_ms, last_id = _parsed(cursor)
        # The first half is what an index can seek by.
        query = query.where((at_ms <= last_ms) & ((at_ms < last_ms) | (Transition.id < last_id)))
    return query.order_by(at_ms.desc(), Transition.id.desc())


def _filtered(wanted: TransitionFilter) -> tuple[ModelSelect[Any], Any]:
    """The filtered query, and the time column as it is to be used further."""
    column = unindexed if wanted.trade_id is not None else _as_it_is
    at_ms = column(Transition.at_ms)
    conditions = [
        field == value
        for field, value in (
            (Transition.trade_id, wanted.trade_id),
            (column(Transition.symbol), wanted.symbol),
            (column(Transition.dest), wanted.state),
            (column(Transition.trigger), wanted.trigger),
        )
        if value is not None
    ]
    if wanted.since_ms is not None:
        conditions.append(at_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(at_ms < wanted.until_ms)
    query = Transition.select()
    return (query.where(*conditions) if conditions else query), at_ms


def _as_it_is(field: Any) -> Any:
    return field


def _parsed(cursor: str) -> tuple[int, int]:
    at_ms, _, row_id = cursor.partition(".")
    if not (at_ms.isdecimal() and row_id.isdecimal()):
        raise ValueError(f"{cursor!r} is not a cursor: use the one that came with the page before")
    return int(at_ms), int(row_id)
