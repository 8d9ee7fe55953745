"""Event loops with a time of their own, so that no proof depends on how fast the machine is: on a virtual one waiting
takes no time, on a patient one no time passes while an answer is awaited."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

_Result = TypeVar("_Result")
TURNS_A_LOOK = 16
"""How often threads and sockets are looked at; most loops of this kind have none, and a look costs a system call."""


HELD_S_MAX = 60.0
"""So long an answer may be awaited before time passes again: one that never comes ends at its time-out all the same."""


class _Selector(selectors.BaseSelector):
    """Keeps the loop's time: only a ``select`` moves it."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class _JumpingSelector(_Selector):
    """Waits for nothing: a time-out is added to the time instead of being spent."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._real.select(None)  # only something from outside, a thread or a socket, can go on
        self._turns += 1
        ready = self._real.select(0) if self._turns % TURNS_A_LOOK == 0 else []
        if not ready:
            self.now_s += timeout
        return ready


class _PatientSelector(_Selector):
    """Counts what was really waited, and no more than was asked for: nothing while an answer is awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited: list[float] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began_s = time.monotonic()
        ready = self._real.select(timeout)
        now_s = time.monotonic()
        if not any(now_s - since_s < HELD_S_MAX for since_s in self.awaited):
            spent_s = now_s - began_s
            self.now_s += spent_s if timeout is None else min(spent_s, max(timeout, 0.0))
        return ready


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


class PatientLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at zero and passes only while everything waits and no answer is outstanding.

    So whoever gives an answer up after a second does so for an exchange that is late, never for a machine that is busy.
    """

    def __init__(self) -> None:
        self._patient = _PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now_s

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """An answer is awaited inside: time stands still, for ``HELD_S_MAX`` at most."""
        since_s = time.monotonic()
        self._patient.awaited.append(since_s)
        try:
            yield
        finally:
            self._patient.awaited.remove(since_s)


def run_patiently(main: Coroutine[Any, Any, _Result]) -> _Result:
    """As ``asyncio.run``, on a patient loop."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(main)
