"""Tells whoever looks from outside that a start goes on: one that waits for its exchange is not one that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from store.lock import ProcessLock

SIGN_S = 5.0


class Starting:
    """Touches the lock every few seconds as long as the loop turns: there may be no database yet to write into."""

    def __init__(self, lock: ProcessLock) -> None:
        self._lock = lock
        self.is_over: Callable[[], bool] = lambda: False

    def go_on(self) -> None:
        """Now, and again until it is over."""
        if self.is_over():
            return
        with suppress(OSError):
            self._lock.touch()
        asyncio.get_running_loop().call_later(SIGN_S, self.go_on)
