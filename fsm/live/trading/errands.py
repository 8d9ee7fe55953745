"""The calls of one symbol that are under way: each goes on until it is answered, whoever still waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Errands:
    """``changed`` is called whenever one ends. What an errand raised waits in ``failures``."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._under_way: set[asyncio.Task[Any]] = set()
        self._let_go: set[asyncio.Task[Any]] = set()
        self.failures: deque[BaseException] = deque()

    @property
    def is_idle(self) -> bool:
        """Nothing is under way that anybody waits for."""
        return not self._under_way

    def start(self, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        """It goes on also when whoever waits for it is interrupted."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def let_go(self, reading: asyncio.Task[Any]) -> None:
        """An answer that nobody needs any more: cutting its connection would cost the next call a new one."""
        if not reading.done():
            self._let_go.add(reading)
        reading.add_done_callback(self._forgotten)

    def cancel(self) -> None:
        """The process ends."""
        for task in (*self._under_way, *self._let_go):
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures.append(error)
        self._changed()

    def _forgotten(self, task: asyncio.Task[Any]) -> None:
        self._let_go.discard(task)
        if not task.cancelled():
            task.exception()
