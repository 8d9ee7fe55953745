"""A database that is built in one go, for a run that nobody can watch or continue: a backtest's.

It is filled under another name, without write-ahead log, triggers and indexes. When it is done it gets them, is put on
the disk and takes its name. A run that fails, or is stopped, leaves nothing under that name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from store.database import Store
from store.errors import StoreError
from store.migrations.schema import refuse_folder
from store.migrations.upgrade import create
from store.private import make_private
from store.seals import Seals
from store.sqlite import builder, writing

# Unique indexes stay: what they refuse must be refused at once.
_LATER = (
    "SELECT type, name, sql FROM main.sqlite_master WHERE sql IS NOT NULL"
    " AND (type = 'trigger' OR (type = 'index' AND sql NOT LIKE 'CREATE UNIQUE %'))"
)


@contextmanager
def built_store(path: Path, *, at_ms: int) -> Iterator[Store]:
    """A new database at ``path``, which is there when the block has ended well and not before. Raises StoreError."""
    refuse_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    _remove(unfinished)
    make_private(unfinished)
    try:
        with writing(unfinished):
            database, seals = builder(unfinished), Seals()
        try:
            connection: apsw.Connection = database.connection()
            with writing(unfinished):
                create(database, at_ms=at_ms)
                later = _put_off(connection)
                seals.attach(connection)
            yield Store(unfinished, "write", database, seals, is_new=True)
            with writing(unfinished):
                _make_whole(connection, later)
        finally:
            database.close_everywhere()
        _put_in_place(unfinished, path)
    except BaseException:
        _remove(unfinished)
        raise


def _put_off(connection: apsw.Connection) -> list[str]:
    """Take away what only costs time while nobody reads; return the SQL that makes it again."""
    found = connection.execute(_LATER).fetchall()
    with connection:
        for kind, name, _ in found:
            connection.execute(f"DROP {kind} {name}")
    return [str(sql) for _, _, sql in found]


def _make_whole(connection: apsw.Connection, later: list[str]) -> None:
    with connection:
        for sql in later:
            connection.execute(sql)
    connection.pragma("locking_mode", "normal")
    connection.pragma("journal_mode", "wal")


def _put_in_place(unfinished: Path, path: Path) -> None:
    try:
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", "free disk space and check the disk") from error


def _remove(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            name.unlink()
