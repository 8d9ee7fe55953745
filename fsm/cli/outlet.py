"""The door through which a running bot writes to its terminal: whoever writes hands over and goes on at once (R71).

While it is open, sys.stdout and sys.stderr lead into a bounded queue each, and a thread each carries the lines to where
they belong. So it holds for every writer: our lines, the logs, warnings, tracebacks, libraries. A reader that has gone,
a pipe that nobody empties, a full disk or a terminal that was closed cost lines, which are counted, and nothing else.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from fsm.live.process.loop_lag import Losses

LINES_WAITING_MAX = 4_000
"""Minutes of a busy bot. What comes while so many wait is dropped: memory has an end, also where nobody reads."""

LINE_BYTES_MAX = 64_000
BATCH_BYTES = 64_000
"""What waits is written together: a thread that wakes for every line would take turns from trading's own."""

END_S = 2.0
"""How long an end waits for the last lines; a terminal that takes none must not keep the process."""

LOOK_AGAIN_MS = 1_000


class Outlet(io.RawIOBase):
    """One stream. ``write`` never waits and never raises; ``remark`` words how many lines were dropped."""

    def __init__(self, stream: TextIO, name: str, remark: Callable[[int], str]) -> None:
        super().__init__()
        self._fd = os.dup(stream.fileno())
        self._is_terminal = stream.isatty()
        self._remark = remark
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()  # unlike Queue, safe where a collection logs
        self._told = 0
        self.dropped = self.errors = 0
        self._thread = threading.Thread(target=self._carry, name=name, daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, data: Any, /) -> int:
        """Hand over whole lines, as a text stream with line buffering gives them."""
        chunk = bytes(data)
        if self._waiting.qsize() >= LINES_WAITING_MAX or len(chunk) > LINE_BYTES_MAX:
            self.dropped += _lines(chunk)
        else:
            self._waiting.put(chunk)
        return len(chunk)

    def end(self, within_s: float) -> None:
        """Write what waits, for so long at most. A thread that hangs in its last write is left to itself."""
        self._waiting.put(None)
        self._thread.join(within_s)

    # --- in the thread ------------------------------------------------------------------------
    def _carry(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._next()
            if batch and self._put(batch):
                self._own_up()

    def _next(self) -> tuple[bytes, bool]:
        """What waits, as far as it is written together; and whether the end was reached."""
        found, size = [], 0
        chunk = self._waiting.get()
        while chunk is not None:
            found.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                break
            try:
                chunk = self._waiting.get_nowait()
            except Empty:
                break
        return b"".join(found), chunk is None

    def _put(self, data: bytes) -> bool:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody who shares the terminal asked for that
                self._until_writable()
            except OSError:
                self.errors += 1
                self.dropped += _lines(bytes(left))
                return False
        return True

    def _until_writable(self) -> None:
        waiting = select.poll()
        waiting.register(self._fd, select.POLLOUT)
        waiting.poll(LOOK_AGAIN_MS)

    def _own_up(self) -> None:
        """Say how many lines are missing, now that lines are taken again."""
        missing = self.dropped - self._told
        if missing and self._put(f"{self._remark(missing)}\n".encode()):
            self._told += missing


def _lines(data: bytes) -> int:
    return data.count(b"\n") or 1


def in_words(missing: int) -> str:
    """The remark for people."""
    return f"{missing} line{'s were' if missing > 1 else ' was'} dropped while the terminal did not take them"


def in_json(missing: int) -> str:
    """The remark in a log of JSON lines."""
    return f'{{"event": "lines_dropped", "reason": "OUTPUT", "level": "warning", "lines": {missing}}}'


_open: dict[str, Outlet] = {}


def open_outlets(*, json: bool) -> Callable[[], Losses]:
    """From here to ``close_outlets`` at the very end, as what ends a command has to be told too; gives the counts."""
    with suppress(ValueError):  # only a main thread may; elsewhere nobody sits at a terminal
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else `stty tostop` stops a bot in the background
    readable = not json and sys.stderr.isatty()
    sys.stdout = _opened(sys.stdout, "stdout", in_json if json else in_words)
    sys.stderr = _opened(sys.stderr, "stderr", in_words if readable else in_json)
    return lambda: {name: {"dropped": each.dropped, "errors": each.errors} for name, each in _open.items()}


def _opened(stream: TextIO, name: str, remark: Callable[[int], str]) -> TextIO:
    try:
        outlet = Outlet(stream, name, remark)
    except (OSError, ValueError):  # a stream without a file behind it, such as a test's, delays nobody
        return stream
    _open[name] = outlet
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return io.TextIOWrapper(outlet, encoding=encoding, errors="backslashreplace", line_buffering=True)  # type: ignore[type-var]


def is_open() -> bool:
    """Whether a running bot writes through here: it counts what is lost itself."""
    return bool(_open)


def close_outlets() -> None:
    """Let the last lines out, within a bound. What is written after that goes nowhere, and neither waits nor fails."""
    for outlet in _open.values():
        outlet.end(END_S / len(_open))
    _open.clear()
