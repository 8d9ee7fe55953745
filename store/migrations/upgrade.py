"""Making a database and bringing an older one up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec

from store.errors import DatabaseMissing, WriteFailed
from store.migrations.backup import backup
from store.migrations.schema import STEPS, Step, apply_steps, found_version, refuse_folder
from store.sqlite import APPLICATION_ID, Database, reading, writer, writing


class Upgrade(msgspec.Struct, frozen=True):
    """What an upgrade did; ``backup`` is None when there was nothing to do."""

    before: int
    after: int
    backup: Path | None


def create(database: Database, *, at_ms: int | None = None) -> None:
    """Make the newest schema in an empty file, in one transaction."""
    connection: apsw.Connection = database.connection()
    with connection:
        connection.pragma("application_id", APPLICATION_ID)
        apply_steps(connection, STEPS, at_ms=at_ms)


def upgrade(path: Path | str, *, at_ms: int | None = None, steps: Sequence[Step] = STEPS) -> Upgrade:
    """Bring a database to the newest schema; a backup beside it comes first. Hold its ProcessLock meanwhile.

    All pending steps are one transaction: an upgrade that fails leaves the database as it was. A database
    that is newer than this program is refused (SchemaMismatch).
    """
    path = Path(path)
    if not path.exists():
        raise DatabaseMissing(f"there is no database at {path}", "start the bot once, or name another with --db")
    refuse_folder(path)
    newest = steps[-1].version
    with reading(path):
        database = writer(path)
    try:
        connection: apsw.Connection = database.connection()
        with reading(path):
            before = found_version(connection, known=newest)
        if before == newest:
            return Upgrade(before, before, None)
        copy = backup(path, _free_name(path, before))
        with writing(path, WriteFailed), connection:
            connection.pragma("application_id", APPLICATION_ID)
            apply_steps(connection, [step for step in steps if step.version > before], at_ms=at_ms)
    finally:
        database.close_everywhere()
    return Upgrade(before, newest, copy)


def _free_name(path: Path, version: int) -> Path:
    """The first ``<db>.schema<N>.backup``, ``….backup-2``, … that is not taken."""
    first = path.with_name(f"{path.name}.schema{version}.backup")
    name, number = first, 1
    while name.exists():
        number += 1
        name = first.with_name(f"{first.name}-{number}")
    return name
