"""Connections to SQLite: which driver, which pragmas, and what its errors mean to us.

The driver is apsw, which brings its own SQLite (3.54 when this was written). The one inside Python 3.11 is
3.40, and every version before 3.51.3 can corrupt a WAL database when one connection checkpoints while
another writes; we have such connections (the daemon, and commands posted from the command line).
Under Peewee it works through playhouse.apsw_ext. cysqlite 0.4 (SQLite 3.54.0) works there as well and measured
the same; apsw is the older of the two and has one exception class for each of SQLite's result codes.

Never open one of our databases with the stdlib's sqlite3 in the same process: POSIX drops a process's locks
on a file when *any* descriptor of it is closed, and the two libraries do not know of each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

import apsw
from peewee import InterfaceError, PeeweeException
from playhouse.apsw_ext import APSWDatabase

from store.errors import DatabaseDamaged, StoreError, WriteFailed

APPLICATION_ID = 0x46534D31
"""Written into each database's header ("FSM1"), so that another program's file is not taken for ours."""

IN_MEMORY = ":memory:"
"""What SQLite takes for no file at all."""

BUSY_MS = 2_000
"""How long a write waits for another process's short write. Well under the protection deadline of 5 s."""

# 8 KiB holds two or three journal rows; the default of 4 KiB holds one, and half of it stays empty.
PAGE_SIZE = 8_192
_JOURNAL_SIZE_LIMIT = 64 * 1024 * 1024

STATEMENTS_KEPT = 500
"""Prepared statements that a writer keeps; of apsw's own hundred, one in twelve had to be prepared anew."""

_CREATE_PRAGMAS = {"page_size": PAGE_SIZE}
_WRITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit is on the disk when it returns, also when the power goes
    "foreign_keys": 1,
    "recursive_triggers": 1,  # else INSERT OR REPLACE deletes past the append-only triggers
    "journal_size_limit": _JOURNAL_SIZE_LIMIT,
    "cache_size": -32_000,
}
_BUILD_PRAGMAS = {
    "journal_mode": "off",  # whatever goes wrong, the file is thrown away
    "synchronous": 0,  # the whole of it is put on the disk when it is done
    "locking_mode": "exclusive",
    "cache_size": -4_000,
}
_READ_PRAGMAS = {"cache_size": -16_000}

FAILURES = (apsw.Error, PeeweeException, UnicodeDecodeError)
"""What a statement can raise: apsw's own, Peewee's translation of it, and text that is no longer UTF-8."""

_UNDONE = re.compile("no such savepoint|no transaction is active")
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)


def library_version() -> str:
    """Of the SQLite that every database is opened with."""
    version: str = apsw.sqlite_lib_version()
    return version


class Database(APSWDatabase):  # type: ignore[misc]  # playhouse has no type hints
    """Peewee's database over apsw, which also remembers its connections so that all of them can be closed.

    Transactions are apsw's (``with connection``), ``transactions`` says how they begin.

    Peewee keeps one connection a thread, which goes with its thread, and opens it when it is needed;
    ``close_everywhere`` closes those of all threads, and for good: whoever still writes then, as a task that outlives
    the daemon's lock, must fail and not open the database anew.
    """

    def __init__(self, name: str, *, transactions: str = "DEFERRED", **options: Any) -> None:
        self._transactions = transactions
        self._opened: WeakSet[apsw.Connection] = WeakSet()
        self._is_over = False
        super().__init__(name, **options)

    def _connect(self) -> apsw.Connection:
        if self._is_over:
            raise InterfaceError("it was closed")
        connection: apsw.Connection = super()._connect()
        connection.transaction_mode = self._transactions
        self._opened.add(connection)
        return connection

    def close_everywhere(self) -> None:
        self._is_over = True
        if not self.is_closed():
            self.close()
        for connection in list(self._opened):
            connection.close()
        self._opened.clear()


def writer(path: Path, *, busy_ms: int = BUSY_MS) -> Database:
    """A database to write to, with one connection for all threads; every pragma that matters is read back."""
    database = Database(
        str(path),
        pragmas={**_CREATE_PRAGMAS, **_WRITE_PRAGMAS},
        timeout=busy_ms / 1000,
        transactions="IMMEDIATE",
        statementcachesize=STATEMENTS_KEPT,
        thread_safe=False,
    )
    for pragma, wanted in _WRITE_PRAGMAS.items():
        found = database.pragma(pragma)
        if found != wanted:
            database.close_everywhere()
            raise StoreError(
                f"{path}: SQLite says {pragma} is {found!r} where {wanted!r} was set",
                "the file system may not support write-ahead logging; put the database on a local disk",
            )
    return database


def builder(path: Path) -> Database:
    """A new database to fill as fast as it goes; it is worth nothing before ``made_whole``."""
    return Database(
        str(path),
        pragmas={**_CREATE_PRAGMAS, **_BUILD_PRAGMAS},
        transactions="IMMEDIATE",
        statementcachesize=STATEMENTS_KEPT,
        thread_safe=False,
    )


def reader(path: Path) -> Database:
    """A database that is only read, with a connection for each thread that asks."""
    return _read_only(path, "mode=ro")


def frozen_reader(path: Path) -> Database:
    """The same for a file in a folder that cannot be written to and that nobody writes: no locks, no wal-index."""
    return _read_only(path, "immutable=1")


def _read_only(path: Path, parameters: str) -> Database:
    return Database(
        f"file:{quote(str(path.absolute()))}?{parameters}",
        pragmas=_READ_PRAGMAS,
        timeout=BUSY_MS / 1000,
        flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a statement raises into a StoreError that names the file."""
    try:
        yield
    except FAILURES as error:
        if isinstance(driver_error(error), _DAMAGE):
            raise DatabaseDamaged(
                f"{path} cannot be read: {error}", "verify it with `audit verify`; restore a backup if it is damaged"
            ) from error
        raise StoreError(f"{path}: {error}", "try again; if it stays, run `db check`") from error


@contextmanager
def writing(path: Path, kind: type[WriteFailed] = WriteFailed) -> Iterator[None]:
    """Turn what a rolled-back write raises into ``kind``, with a hint that fits the cause."""
    try:
        yield
    except FAILURES as error:
        cause = _first_failure(error)
        if isinstance(cause, kind):
            raise cause from cause.__cause__  # a transaction within this one has told it
        raise kind(f"{path}: write failed, nothing of it was applied: {cause}", _hint(cause)) from error


def driver_error(error: BaseException) -> BaseException:
    """What the driver raised, where Peewee has put exceptions of its own around it."""
    original = getattr(error, "orig", None)
    return driver_error(original) if isinstance(original, BaseException) else error


def _first_failure(error: BaseException) -> BaseException:
    """A full disk rolls everything back at once, and undoing a part of it fails then: the cause failed before."""
    while _UNDONE.search(str(error)) and isinstance(error.__context__, (*FAILURES, WriteFailed)):
        error = error.__context__
    return error


def _hint(error: BaseException) -> str:
    cause = driver_error(error)
    if isinstance(cause, (apsw.BusyError, apsw.LockedError)):
        return "another process is writing to the database for longer than expected; stop it"
    if isinstance(cause, (apsw.FullError, apsw.IOError)):
        return "free disk space and check the disk"
    if "append-only" in str(cause):
        return "another writer has added to the journal: run only one bot on a database"
    return "run `db check`"


Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]


def only_tables(*tables: str) -> Authorizer:
    """An authorizer under which a connection reads everything and writes to these tables alone."""
    writes = (apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE)
    harmless = (
        apsw.SQLITE_READ, apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE, apsw.SQLITE_TRANSACTION, apsw.SQLITE_FUNCTION
    )  # fmt: skip

    def authorize(operation: int, first: str | None, second: str | None, schema: str | None, source: str | None) -> int:
        if operation in harmless or (operation in writes and first in (*tables, "sqlite_sequence")):
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY

    return authorize
