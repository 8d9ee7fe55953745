"""Copies of a database that are known to be whole: made one after another, the oldest removed, and put back."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec

from store.errors import DatabaseDamaged, DatabaseMissing, StoreError
from store.migrations.backup import backup
from store.migrations.upgrade import upgrade
from store.private import make_private
from store.verify import Progress, Report, verify


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One round: the copy that was made, and older ones that made room for it."""

    copy: Path
    bytes: int
    removed: tuple[Path, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was put in place, and where what was there before lies now."""

    rows: int
    aside: tuple[Path, ...]


def verified_backup(source: Path, to: Path) -> Path:
    """Copy a database and read all of the copy. One that does not verify is kept under another name, and raised.

    Raises StoreError where ``to`` is taken.
    """
    if to.exists():
        raise StoreError(f"{to} exists already", "name another file; backups are not overwritten")
    to.parent.mkdir(parents=True, exist_ok=True)
    unverified = to.with_name(f"{to.name}.unverified")
    unverified.unlink(missing_ok=True)
    backup(source, unverified)
    _refuse_unless_fine(unverified, verify(unverified), f"the copy is kept as {unverified}: `audit verify` names all")
    os.rename(unverified, to)
    _settle(to.parent)
    return to


def keep_copies(source: Path, folder: Path, *, keep: int, at_ms: int) -> Kept:
    """Make one more verified copy in a folder, named by the time, and remove what is more than ``keep``.

    Nothing is removed before the new copy is whole, and nothing that has not a name of this kind.
    """
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    copy = verified_backup(source, folder / f"{source.stem}-{moment:%Y%m%dT%H%M%SZ}.sqlite")
    ours = re.compile(rf"{re.escape(source.stem)}-\d{{8}}T\d{{6}}Z\.sqlite")
    found = sorted(path for path in folder.iterdir() if ours.fullmatch(path.name))
    removed = tuple(found[:-keep])
    for path in removed:
        path.unlink()
    return Kept(copy=copy, bytes=copy.stat().st_size, removed=removed)


def restore(database: Path, copy: Path, *, at_ms: int, progress: Progress | None = None) -> Restored:
    """Put a copy in the place of a database, which is set aside whole. The caller holds the ProcessLock.

    The copy is verified first and beside its place; the last step is one rename. A death before it leaves the database
    as it was; one of an older schema is upgraded on the way.
    """
    if not copy.exists():
        raise DatabaseMissing(f"there is no database at {copy}", "name the copy to put back")
    incoming = database.with_name(f"{database.name}.incoming")
    incoming.unlink(missing_ok=True)
    backup(copy, incoming)
    done = upgrade(incoming, at_ms=at_ms)
    if done.backup is not None:
        done.backup.unlink()  # the copy itself is that
    _one_file(incoming)
    report = verify(incoming, progress=progress)
    _refuse_unless_fine(incoming, report, f"nothing was changed; `audit verify --db {copy}` names all")
    aside = _set_aside(database, at_ms)
    os.replace(incoming, database)
    _settle(database.parent)
    return Restored(rows=sum(report.checked.values()), aside=aside)


def _refuse_unless_fine(path: Path, report: Report, hint: str) -> None:
    if not report.fine:
        first = report.problems[0]
        raise DatabaseDamaged(f"{path} does not verify: {first.table} {first.row_id} {first.what}", hint)


def _set_aside(database: Path, at_ms: int) -> tuple[Path, ...]:
    """A second name for what is there, so that the first one never leads nowhere; what waits in ``-wal`` goes along."""
    if not database.exists():
        return ()
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    aside = database.with_name(f"{database.name}.aside-{moment:%Y%m%dT%H%M%SZ}")
    if aside.exists():
        raise StoreError(f"{aside} exists already", "try again in a second")
    _take_in(database)
    found = []
    for ending in ("-wal", "-shm"):  # only where it could not be taken in, as the database is damaged
        beside = Path(f"{database}{ending}")
        if beside.exists():
            shutil.copy2(beside, f"{aside}{ending}")
            found.append(Path(f"{aside}{ending}"))
    try:
        os.link(database, aside)
    except OSError:  # a file system without second names
        make_private(aside)
        shutil.copy2(database, aside)
    for ending in ("-wal", "-shm"):
        Path(f"{database}{ending}").unlink(missing_ok=True)  # beside another database it would destroy it
    return (aside, *found)


def _one_file(path: Path) -> None:
    """Nothing of it waits in files beside it, and who only reads it makes none."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("journal_mode", "delete")
    finally:
        connection.close()


def _take_in(database: Path) -> None:
    """Put into the file what waits beside it, if that can be done at all."""
    try:
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
    except (apsw.Error, UnicodeDecodeError):
        return


def _settle(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
