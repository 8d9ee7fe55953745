"""An open database: who may write to it, whose it is, and its transactions."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import apsw
import msgspec

from store.canonical import Value
from store.errors import DatabaseMissing, StoreError, WriteFailed, WrongDatabase
from store.migrations.schema import found_version, open_file, refuse_folder, refuse_what_is_none, require_newest
from store.migrations.upgrade import create
from store.models import Identity
from store.private import make_private, tighten_database
from store.seals import Seals
from store.sqlite import BUSY_MS, IN_MEMORY, Database, only_tables, reading, writer, writing
from store.tables import TABLES

Mode = Literal["write", "post", "read"]


class IdentityRow(msgspec.Struct, frozen=True, kw_only=True):
    """Whose database this is. ``account`` is None until it is known."""

    database_id: str
    environment: str
    account: str | None
    created_ms: int


class Store:
    """A database that is open in one of three modes.

    *write*: the one writer, which holds the ProcessLock. *post*: reads everything and writes to ``commands``
    alone, beside a living writer. *read*: any number, in any thread, never in the writer's way.
    """

    def __init__(self, path: Path, mode: Mode, database: Database, seals: Seals, *, is_new: bool = False) -> None:
        """``is_new``: there is nothing in its journal yet, and nobody else can write to it."""
        self.is_new = is_new
        self.path = path
        self.mode = mode
        self.database = database
        self.seals = seals
        self._turn = threading.RLock()

    @property
    def connection(self) -> apsw.Connection:
        """The driver's connection of this thread, for statements where Peewee's cost a row matters."""
        connection: apsw.Connection = self.database.connection()
        return connection

    @contextmanager
    def transaction(self, kind: type[WriteFailed] = WriteFailed) -> Iterator[apsw.Connection]:
        """One immediate transaction: all of it is on the disk when the block ends, or ``kind`` is raised and none.

        One within another is undone by itself, and stands when the outer one does.
        """
        if self.mode == "read":
            raise kind(f"{self.path} is open for reading only", "open it for writing")
        with self._turn, writing(self.path, kind), self.connection as connection, self.seals.kept(connection):
            yield connection

    @property
    def identity(self) -> IdentityRow | None:
        """Whose database this is, or None before ``bind``."""
        with reading(self.path):
            row = Identity.select().bind(self.database).dicts().first()
        if row is None:
            return None
        return msgspec.convert(row, IdentityRow)

    def bind(self, *, environment: str, account: str | None, at_ms: int, database_id: str | None = None) -> IdentityRow:
        """Make the database ``environment``'s and ``account``'s for good, or raise WrongDatabase if it is another's.

        The id is 8 hex digits: the given one, or random. An account that is not known yet (None) is filled
        in by a later call and not compared until then.
        """
        found = self.identity
        if found is None:
            wanted = database_id or secrets.token_hex(4)
            if not re.fullmatch("[0-9a-f]{8}", wanted):
                raise StoreError(f"database id {wanted!r} is not 8 hex digits", "leave it out to get a random one")
            found = IdentityRow(database_id=wanted, environment=environment, account=account, created_ms=at_ms)
            return self._remember(found)
        self._compare("environment", found.environment, environment)
        self._compare("id", found.database_id, database_id)
        self._compare("account", found.account, account)
        if found.account is None and account is not None:
            return self._remember(msgspec.structs.replace(found, account=account))
        return found

    def change_key(self, account: str) -> None:
        """The same account has another key now; the caller has proof that it is the same."""
        if self.identity is not None:
            self._remember(msgspec.structs.replace(self.identity, account=account))

    def _compare(self, what: str, found: str | None, wanted: str | None) -> None:
        if found is not None and wanted is not None and found != wanted:
            raise WrongDatabase(
                f"{self.path} belongs to {what} {found!r}, not to {wanted!r}",
                "name another file with --db; reading this one is always allowed",
            )

    def _remember(self, identity: IdentityRow) -> IdentityRow:
        table = TABLES[Identity]
        values: tuple[Value, ...] = (1, *msgspec.structs.astuple(identity))
        with self.transaction() as connection:
            connection.execute(table.upsert, (*values, table.canonical.digest(values)))
        return identity

    def data_version(self) -> int:
        """A number that changes when another connection has committed: cheap to poll before reading again."""
        version: int = self.connection.pragma("data_version")
        return version

    def close(self) -> None:
        """Close every connection, also those of other threads."""
        self.database.close_everywhere()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_store(path: Path | str, *, mode: Mode, at_ms: int | None = None, busy_ms: int = BUSY_MS) -> Store:
    """Open a database. Only "write" makes one that is not there (``at_ms`` is then noted as the time of its schema).

    Raises DatabaseMissing, DatabaseDamaged or SchemaMismatch.
    """
    path = Path(path)
    (refuse_folder if mode == "write" else refuse_what_is_none)(path)
    if mode == "read":
        return Store(path, mode, _opened_to_read(path), Seals())
    seals = Seals()
    if mode == "post":
        database = _opened_to_post(path, busy_ms, seals)
    else:
        database = _opened_to_write(path, at_ms, busy_ms, seals)
    return Store(path, mode, database, seals)


def _opened_to_read(path: Path) -> Database:
    with reading(path):
        database = open_file(path)
        try:
            require_newest(database.connection())
        except BaseException:
            database.close_everywhere()
            raise
    return database


def _opened_to_post(path: Path, busy_ms: int, seals: Seals) -> Database:
    if not path.exists():
        raise DatabaseMissing(f"there is no database at {path}", "start the bot once, or name another with --db")
    with reading(path):
        database = writer(path, busy_ms=busy_ms)
        try:
            require_newest(database.connection())
            seals.attach(database.connection())
        except BaseException:
            database.close_everywhere()
            raise
    database.connection().authorizer = only_tables("commands", "seals")
    return database


def _opened_to_write(path: Path, at_ms: int | None, busy_ms: int, seals: Seals) -> Database:
    path.parent.mkdir(parents=True, exist_ok=True)
    if str(path) != IN_MEMORY:
        make_private(path)
        tighten_database(path)
    with reading(path):
        database = writer(path, busy_ms=busy_ms)
        try:
            if found_version(database.connection()) == 0:
                create(database, at_ms=at_ms)
            require_newest(database.connection())
            seals.attach(database.connection())
        except BaseException:
            database.close_everywhere()
            raise
    return database
