"""The right to be a database's one writer: operating-system locks that die with their holder.

A database may have many names: relative paths, symbolic links, hard links, the same folder mounted twice. Two files
are locked, so that none of them leads past: ``<db>.lock`` beside the database that the name leads to, which guards it
also before it is made and from other containers that see the folder; and one named by the device and inode of the
database in the folders for locks of this machine, which guards it whatever it is called. A copy is another file, so
``claim`` locks a name of what is in both, too. The database itself is never opened or locked for this: closing any
descriptor of it would drop SQLite's own locks on it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from store.errors import LockHeld
from store.private import OWNER_ONLY, tighten

# A reader that asks who holds the lock holds a shared one for microseconds; a start must not fail because of it.
_ATTEMPTS = 5
_PAUSE_S = 0.01

_MACHINE = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - the one place that every process of a machine knows
"""Where there are several, all are used: a service may have a ``/tmp`` of its own."""


def lock_path(database: Path | str) -> Path:
    """The lock file beside the database that a name leads to."""
    return Path(f"{os.path.realpath(database)}.lock")


class ProcessLock:
    """``flock`` on each of the files: freed by the kernel when the holder ends, however it ends; there is no time-out.

    The file beside the database stays when the lock is released. A child made by fork without exec shares the lock;
    one started with subprocess does not.
    """

    def __init__(self, database: Path | str) -> None:
        self.path = lock_path(database)
        self._database = Path(os.path.realpath(database))
        self._held: dict[Path, int] = {}
        self._claimed: str | None = None

    @property
    def held(self) -> bool:
        return self.path in self._held

    @property
    def places(self) -> tuple[Path, ...]:
        """Every file that is locked."""
        return tuple(self._held)

    def acquire(self) -> Self:
        """Take the lock or raise LockHeld, which names the process that has it."""
        if self.held:
            raise LockHeld(f"{self.path} is already locked by this object", "acquire it once", pid=os.getpid())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        tighten(self.path)
        self._take(self.path, fd, f"{self.path} is locked")
        try:
            self.identify()
        except BaseException:
            self.release()
            raise
        return self

    def identify(self) -> bool:
        """Lock the database by what it is, too, as soon as there is one; False while there is none.

        Harmless when it is so already; a file that somebody has removed is made and locked anew. Raises LockHeld when
        another process has the database under another name.
        """
        for place in self._places():
            if place in self._held and _is_at(self._held[place], place):
                continue
            if place in self._held:
                os.close(self._held.pop(place))
            while place not in self._held:
                fd = _opened(place)
                if fd is None:
                    break  # not ours to write to: the others must do
                self._take(place, fd, f"{self._database} is open under another name, or a copy of this database is,")
                if not _is_at(fd, place):  # its holder removed it just before this one was locked
                    os.close(self._held.pop(place))
        return self._database.exists()

    def claim(self, name: str) -> None:
        """Lock this name on the machine, too: what no two writers may share, whatever files they have. Raises LockHeld
        when another process has it."""
        self._claimed = hashlib.sha256(name.encode()).hexdigest()[:16]
        self.identify()

    def _places(self) -> Iterator[Path]:
        yield from _by_identity(self._database)
        if self._claimed is not None:
            yield from _of_machine(self._claimed)

    def _take(self, place: Path, fd: int, what: str) -> None:
        try:
            _lock(fd, what)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._held[place] = fd

    def touch(self) -> None:
        """Leave a sign of life on it, which ``touched_ms`` reads."""
        os.utime(self._held[self.path])

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        for place, fd in reversed(self._held.items()):
            if place != self.path and _is_at(fd, place):
                with suppress(OSError):
                    place.unlink()
            os.close(fd)
        self._held.clear()

    def __enter__(self) -> Self:
        return self if self.held else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def holder(database: Path | str) -> int | None:
    """Process id of the living writer of a database, 0 when it has not said its number yet, None when there is none."""
    for place in (lock_path(database), *_by_identity(Path(database))):
        found = _holder_of(place)
        if found is not None:
            return found
    return None


def touched_ms(database: Path | str) -> int | None:
    """When a writer of this database last took its lock or touched it, by this machine's clock; None: never."""
    try:
        return lock_path(database).stat().st_mtime_ns // 1_000_000
    except OSError:
        return None


def _holder_of(place: Path) -> int | None:
    try:
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(fd) or 0
    finally:
        os.close(fd)
    return None


def _by_identity(database: Path) -> Iterator[Path]:
    """The files of this machine that stand for a database, whatever it is called; none before it is made."""
    try:
        found = database.stat()
    except OSError:
        return
    yield from _of_machine(f"{found.st_dev:x}-{found.st_ino:x}")


def _of_machine(name: str) -> Iterator[Path]:
    for folder in _MACHINE:
        if folder.is_dir():
            yield folder / f"fsm-{name}.lock"


def _opened(place: Path) -> int | None:
    """A descriptor of the lock file, which is made if need be; None where this process may not write.

    Others may be running as another user, so everybody may lock it. In a folder of everybody an existing file of
    another user is opened without O_CREAT (fs.protected_regular), and no link is followed.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    for further in (0, os.O_CREAT | os.O_EXCL, 0):
        try:
            fd = os.open(place, flags | further, 0o666)
        except (FileNotFoundError, FileExistsError):
            continue
        except OSError:
            return None
        with suppress(OSError):
            os.fchmod(fd, 0o666)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None
    return None


def _is_at(fd: int, place: Path) -> bool:
    """Whether the file behind a descriptor is still the one that has the name."""
    try:
        return os.path.samestat(os.fstat(fd), place.stat())
    except OSError:
        return False


def _lock(fd: int, what: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            if attempt < _ATTEMPTS - 1:
                time.sleep(_PAUSE_S)
        else:
            return
    pid = _pid_in(fd)
    raise LockHeld(
        f"{what} by process {pid or 'unknown'}: another bot writes this database",
        "stop that process first; the lock frees itself when it ends",
        pid=pid,
    )


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
