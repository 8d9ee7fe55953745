"""Which schema versions there are, and whether a database has the newest one, whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import apsw
import msgspec

from store.errors import DatabaseMissing, SchemaMismatch
from store.migrations import m0001_first, m0002_seals
from store.sqlite import APPLICATION_ID, FAILURES, Database, driver_error, frozen_reader, reader, reading


class Step(msgspec.Struct, frozen=True):
    """One version of the schema and the change that leads to it, made in the caller's transaction."""

    version: int
    name: str
    apply: Callable[[apsw.Connection], None]


STEPS: tuple[Step, ...] = (
    Step(1, m0001_first.NAME, m0001_first.apply),
    Step(2, m0002_seals.NAME, m0002_seals.apply),
)
"""Every migration, oldest first, numbered without gaps from 1."""

SCHEMA_VERSION = STEPS[-1].version
"""The version this program reads and writes."""


class SchemaReport(msgspec.Struct, frozen=True):
    """Version found and known, and every object of the schema that is missing, changed or not ours."""

    found: int
    known: int
    differences: tuple[str, ...]

    @property
    def fine(self) -> bool:
        return self.found == self.known and not self.differences


def check(path: Path | str) -> SchemaReport:
    """Compare a database's schema with the newest one; works on databases of any version."""
    path = Path(path)
    database = open_file(path)
    try:
        with reading(path):
            connection = database.connection()
            found = found_version(connection)
            differing = tuple(differences(connection)) if found == SCHEMA_VERSION else ()
    finally:
        database.close_everywhere()
    return SchemaReport(found, SCHEMA_VERSION, differing)


def refuse_folder(path: Path) -> None:
    """Raises DatabaseMissing."""
    if path.is_dir():
        raise DatabaseMissing(f"{path} is a folder, not a database", "name the file of a database with --db")


def refuse_what_is_none(path: Path) -> None:
    """For whoever reads: raises DatabaseMissing for a folder, SchemaMismatch for a file in which there is nothing."""
    refuse_folder(path)
    if path.is_file() and path.stat().st_size == 0 and not Path(f"{path}-wal").exists():
        raise SchemaMismatch(
            f"{path} is empty (0 bytes): its first start was interrupted, or somebody emptied it",
            "put a backup in its place; if there was never anything in it, `run` begins it anew",
            found=0,
            known=SCHEMA_VERSION,
        )


def open_file(path: Path) -> Database:
    """Open an existing file read-only, whatever its schema."""
    refuse_what_is_none(path)
    if not path.exists():
        raise DatabaseMissing(f"there is no database at {path}", "start the bot once, or name another with --db")
    database = reader(path)
    try:
        database.connection().execute("SELECT 1 FROM sqlite_master").fetchall()
    except FAILURES as error:
        # Reading a WAL database needs a wal-index, which cannot be made where we may not write. Any other
        # failure is left to whoever reads the file next.
        unwritable = isinstance(driver_error(error), (apsw.CantOpenError, apsw.ReadOnlyError))
        if unwritable and not Path(f"{path}-wal").exists():
            database.close_everywhere()
            return frozen_reader(path)
    return database


def found_version(connection: apsw.Connection, *, known: int = SCHEMA_VERSION) -> int:
    """The schema version of a database, 0 for an empty file; a newer one than ``known`` is refused (R52)."""
    if not connection.execute("SELECT count(*) FROM sqlite_master").get:
        return 0
    application_id = connection.pragma("application_id")
    if application_id != APPLICATION_ID:
        raise SchemaMismatch(
            f"{connection.filename} is a database of another program (application id {application_id})",
            "name another file with --db",
            found=0,
            known=known,
        )
    found: int = connection.execute("SELECT max(version) FROM schema_version").get or 0
    if found > known:
        raise SchemaMismatch(
            f"{connection.filename} has schema {found}, this program knows {known}",
            "it was written by a newer version: install that version, or restore the backup made before the upgrade",
            found=found,
            known=known,
        )
    return found


def require_newest(connection: apsw.Connection) -> None:
    """Raise SchemaMismatch unless the database has the schema this program works with."""
    found = found_version(connection)
    if found < SCHEMA_VERSION:
        raise SchemaMismatch(
            f"{connection.filename} has schema {found}, this program needs {SCHEMA_VERSION}",
            "run `db upgrade`; it makes a backup first",
            found=found,
            known=SCHEMA_VERSION,
        )


def differences(connection: apsw.Connection) -> list[str]:
    """Tables, indexes and triggers that are not as the newest schema has them, in words."""
    wanted = _newest_objects()
    found = _objects(connection)
    lines = [f"{kind} {name} is missing" for kind, name in sorted(wanted.keys() - found.keys())]
    lines += [f"{kind} {name} is not part of the schema" for kind, name in sorted(found.keys() - wanted.keys())]
    both = sorted(wanted.keys() & found.keys())
    lines += [f"{kind} {name} was changed" for kind, name in both if found[kind, name] != wanted[kind, name]]
    return lines


@lru_cache(maxsize=1)
def _newest_objects() -> dict[tuple[str, str], str]:
    connection = apsw.Connection(":memory:")
    apply_steps(connection, STEPS)
    return _objects(connection)


def apply_steps(connection: apsw.Connection, steps: Sequence[Step], *, at_ms: int | None = None) -> None:
    """Run migrations and write them down; the caller has the transaction."""
    for step in steps:
        step.apply(connection)
        connection.execute("INSERT INTO schema_version VALUES (?, ?, ?)", (step.version, step.name, at_ms))


def _objects(connection: apsw.Connection) -> dict[tuple[str, str], str]:
    # sqlite_… objects are SQLite's own (automatic indexes, the AUTOINCREMENT counter, ANALYZE's statistics).
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(str(kind), str(name)): str(sql) for kind, name, sql in rows}
