"""The files of an open database: whether those that have its names are still the ones that are open (R79).

SQLite goes on with what it has opened. Once the folder is removed or a backup is moved over the file, everything that
is written goes to a file that no name leads to, and is lost when the process ends; and nothing keeps a second bot away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from store.errors import JournalGone, LockHeld
from store.lock import ProcessLock

HINT = (
    "the positions keep their stops at the exchange; put the newest copy of the database in its place with its "
    "-wal if there is one, and start again: docs/restoring.md says how"
)


class OpenFiles:
    """Remembers which files are open from the moment it is made: make it right after the database was opened.

    ``-wal`` and ``-shm`` count from when they are first seen: they appear with the first write.
    """

    def __init__(self, database: Path, lock: ProcessLock) -> None:
        self._database = database
        self._real = Path(os.path.realpath(database))  # where SQLite puts what belongs to it
        self._lock = lock
        self._known: dict[Path, tuple[int, int]] = {}
        self._size = 0
        self.check()

    def check(self) -> None:
        """Raise JournalGone when a name leads elsewhere or nowhere, or the database has become shorter."""
        for path, found in self._found():
            known = self._known.setdefault(path, found) if found is not None else self._known.get(path)
            if found is None and (known is not None or path == self._database):
                raise JournalGone(f"{path} was removed while the bot had it open", HINT)
            if found != known:
                raise JournalGone(f"{path} was replaced by another file while the bot had it open", HINT)
        try:
            self._lock.identify()
        except LockHeld as held:
            raise JournalGone(f"another process holds the lock of {self._database}: {held.message}", HINT) from held

    def _found(self) -> Iterator[tuple[Path, tuple[int, int] | None]]:
        yield self._database, self._identity(self._database)
        for path in (Path(f"{self._real}-wal"), Path(f"{self._real}-shm"), self._lock.path):
            yield path, self._identity(path)

    def _identity(self, path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        if path == self._database:
            if found.st_size < self._size:
                raise JournalGone(f"{path} was cut off from {self._size} to {found.st_size} bytes", HINT)
            self._size = found.st_size
        return found.st_dev, found.st_ino
