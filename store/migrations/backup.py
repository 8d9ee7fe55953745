"""A consistent copy of a database while it is in use."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from store.errors import StoreError
from store.migrations.schema import open_file
from store.private import make_private
from store.sqlite import reading

_PAGES_AT_ONCE = 2_000


def backup(path: Path | str, to: Path | str) -> Path:
    """Copy ``path`` to ``to`` with SQLite's online backup: readers and the writer go on meanwhile.

    An existing file is never overwritten, and ``to`` appears only once it is complete.
    """
    source_path, target = Path(path), Path(to)
    if target.exists():
        raise StoreError(f"{target} exists already", "name another file; backups are not overwritten")
    source = open_file(source_path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with reading(source_path):
            _copy(source.connection(), partial)
        os.rename(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        source.close_everywhere()
    return target


def _copy(source: apsw.Connection, to: Path) -> None:
    make_private(to)
    target = apsw.Connection(str(to))
    try:
        with source:  # one read transaction: pages that change meanwhile do not restart the copy
            source.execute("SELECT count(*) FROM sqlite_master").fetchall()
            with target.backup("main", source, "main") as copying:
                while not copying.done:
                    copying.step(_PAGES_AT_ONCE)
        # The copy is one plain file until somebody writes to it: nothing of it waits in a -wal beside it.
        target.pragma("journal_mode", "delete")
    finally:
        target.close()
