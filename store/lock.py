"""The right to be a database's one writer: an operating-system lock that dies with its holder."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from store.errors import LockHeld

# A reader that asks who holds the lock holds a shared one for microseconds; a start must not fail because of it.
_ATTEMPTS = 5
_PAUSE_S = 0.01


def lock_path(database: Path | str) -> Path:
    """The lock file that belongs to a database."""
    return Path(f"{database}.lock")


class ProcessLock:
    """``flock`` on ``<db>.lock``: freed by the kernel when the holder ends, however it ends; it has no time-out.

    The file stays when the lock is released (removing it would let two processes lock two files of one
    name). A child made by fork without exec shares the lock; one started with subprocess does not.
    """

    def __init__(self, database: Path | str) -> None:
        self.path = lock_path(database)
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self) -> Self:
        """Take the lock or raise LockHeld, which names the process that has it."""
        if self._fd is not None:
            raise LockHeld(f"{self.path} is already locked by this object", "acquire it once", pid=os.getpid())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(fd, self.path)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self if self.held else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def holder(database: Path | str) -> int | None:
    """Process id of the living writer of a database, 0 when it has not said its number yet, None when there is none."""
    try:
        fd = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(fd) or 0
    finally:
        os.close(fd)
    return None


def _lock(fd: int, path: Path) -> None:
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
        f"{path} is locked by process {pid or 'unknown'}: another bot writes this database",
        "stop that process first; the lock frees itself when it ends",
        pid=pid,
    )


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
