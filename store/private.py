"""Makes files that only their owner may read: what is in them is somebody's money.

A file is made with its mode, whatever the umask is; one that is there already is tightened by its owner. SQLite gives
``-wal`` and ``-shm`` the mode of the database.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o600


def make_private(path: Path) -> None:
    """Make an empty file, or tighten the one that is there. Where neither can be done, the next to open it says why.

    A link is followed, as SQLite does. An existing file is not opened: closing any descriptor of a database drops
    SQLite's own locks on it.
    """
    with suppress(OSError):
        try:
            os.close(os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
        except FileExistsError:
            tighten(path)


def tighten(path: Path) -> None:
    """Take away what others may do with a file of ours; harmless where there is none."""
    with suppress(OSError):
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and is_loose(found.st_mode):
            path.chmod(stat.S_IMODE(found.st_mode) & 0o700)


def tighten_database(path: Path) -> None:
    """A database and what SQLite puts beside it."""
    real = os.path.realpath(path)
    for name in (real, f"{real}-wal", f"{real}-shm"):
        tighten(Path(name))


def is_loose(mode: int) -> bool:
    """Whether others than the owner may read, write or run it."""
    return bool(mode & 0o077)
