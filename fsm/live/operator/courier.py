"""Carries calls that block, to a mail server for instance, in a thread of its own: whoever hands one over never waits.

What speaks with the world outside (a ping, an e-mail) may hang for minutes in a name server or a socket. So few calls
wait, one is under way, and one that hangs costs the others, which are refused and counted, and nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any

Errand = tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any]]

WAITING_MAX = 4
"""What waits is news already; who is refused tries again later."""

END_S = 1.0


class Busy(Exception):
    """So many calls wait already that this one was not taken."""


class Courier:
    """One thread, started with the first call. ``end`` leaves one that hangs to itself: it is a daemon's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: Queue[Errand | None] = Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None

    async def carry(self, call: Callable[[], Any], within_s: float) -> Any:
        """What the call gives, or raises. Raises Busy, and TimeoutError where it takes longer: it may still go on."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        try:
            self._waiting.put_nowait((call, loop, answer))
        except Full:
            raise Busy(f"{WAITING_MAX} calls of {self._name} wait already") from None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        async with asyncio.timeout(within_s):
            return await answer

    def end(self) -> None:
        """Take nothing more, and wait a moment for what is under way."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        with suppress(Full):
            self._waiting.put_nowait(None)
        if self._thread is not None:
            self._thread.join(END_S)

    # --- in the thread ------------------------------------------------------------------------
    def _run(self) -> None:
        while (errand := self._waiting.get()) is not None:
            call, loop, answer = errand
            if answer.cancelled():  # who asked has given up
                continue
            try:
                result, error = call(), None
            except Exception as failed:
                result, error = None, failed
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_answered, answer, result, error)


def _answered(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
