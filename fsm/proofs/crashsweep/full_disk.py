"""A disk that takes no byte more from one commit on, and has room again after a while: errors of the system itself."""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import Callable

import msgspec

ROOM_AGAIN_S = (2.0, 20.0, 90.0)
"""How long it lasts, by turns: gone at once, longer than a start takes, longer than patience."""

_UNITS = re.compile(r"(\d+)\.full\.(\d+)")


class Full(msgspec.Struct, frozen=True):
    """The disk is full from within this transaction on; the number counts as that of a death does."""

    number: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.number}.full.{self.seconds:.0f}"

    @classmethod
    def parse(cls, text: str) -> Full | None:
        """The reverse of ``str``; None for what is something else."""
        found = _UNITS.fullmatch(text)
        return None if found is None else cls(int(found[1]), float(found[2]))


class Disk:
    """The machine's disk as far as this process may write to it: no file grows any more, and none is written anew."""

    def __init__(self, mended: Callable[[], None] = lambda: None) -> None:
        self._mended = mended
        self._limits: tuple[int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.fills = 0

    @property
    def is_full(self) -> bool:
        return self._limits is not None

    def fill(self, seconds: float) -> None:
        """From now on, for so long by the running loop."""
        self.fills += 1
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))
        self._timer = asyncio.get_running_loop().call_later(seconds, self.mend)

    def mend(self) -> None:
        """There is room; also at the end of a case, whatever became of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
            self._limits = None
            self._mended()
