"""What a command prints while its reader may go away: the command goes on to its end, and its exit code says the rest.

A closed stdout, a reader such as `head` that has gone, or a full disk must not keep a command from what it does, nor
change what it found: a verification that failed is told by its exit code also where nobody reads why.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

CLOSED = "stdout is closed"


class Shown(io.RawIOBase):
    """A stream that takes everything, and remembers why it could not show the rest."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._fd = stream.fileno()
        self._is_terminal = stream.isatty()
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._is_terminal

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any, /) -> int:
        left = memoryview(bytes(data))
        whole = len(left)
        try:
            while left and self.lost is None:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            self.lost = error
        return whole

    @property
    def reader_left(self) -> bool:
        return self.lost is not None and self.lost.errno == errno.EPIPE


def stand_in_for_closed() -> bool:
    """Closed standard streams are opened to nowhere, or the next file, such as a database, would take their place.
    Gives whether stdout was closed."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    was_closed = sys.stdout is None
    if was_closed:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    return was_closed


def shown_on(stream: TextIO) -> tuple[TextIO, Shown | None]:
    """The stream in a form that loses no command; a stream without a file behind it stays as it is."""
    try:
        raw = Shown(stream)
    except (OSError, ValueError):
        return stream, None
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text: Any = raw
    return io.TextIOWrapper(text, encoding=encoding, errors="backslashreplace", line_buffering=True), raw
