"""An event loop on which waiting takes no time: when nothing is ready, its clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

_Result = TypeVar("_Result")
TURNS_A_LOOK = 16
"""How often threads and sockets are looked at; most loops of this kind have none, and a look costs a system call."""


class _JumpingSelector(selectors.BaseSelector):
    """Waits for nothing: a time-out is added to the time instead of being spent."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._real.select(None)  # only something from outside, a thread or a socket, can go on
        self._turns += 1
        ready = self._real.select(0) if self._turns % TURNS_A_LOOK == 0 else []
        if not ready:
            self.now_s += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at zero and passes only while everything waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    @property
    def _clock_resolution(self) -> float:
        """Asyncio lets timers fire so much early, and who then looks at the time would wait on for ever."""
        return math.ulp(self._jumping.now_s)

    @_clock_resolution.setter
    def _clock_resolution(self, resolution_s: float) -> None:
        """Asyncio sets that of the real clock."""

    def jump(self, seconds: float) -> None:
        """Time passes and nobody runs, as while a process is stopped."""
        self._jumping.now_s += seconds


def run_virtually(main: Coroutine[Any, Any, _Result]) -> _Result:
    """As ``asyncio.run``, on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
