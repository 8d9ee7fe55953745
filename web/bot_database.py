"""Reads the bot's database for many callers at once, and drops their commands into its inbox."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from store.database import Store, open_store
from store.errors import DatabaseMissing
from store.inbox import Inbox
from store.lock import holder
from web.errors import ApiError

Answer = TypeVar("Answer")

READERS = 2
"""Threads that read, each with a connection of its own. More would only compete with the daemon for processors: with
four, 300 readers at once were served no sooner, and a command beside them took twice as long."""

WAITING_MAX = 256
"""Questions under way or waiting at most; what comes beyond is told to come back."""

ACTS_WAITING_MAX = 32
"""The same for commands, which have a thread of their own: only who has the token gets so far."""


class BotDatabase:
    """A database that is opened at the first question, and again when another file has taken its place.

    Reading takes no lock that the writer needs. A command is posted on a connection that may write to the
    inbox alone and is closed at once.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._turn = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="web-reader")
        self._waiting = 0
        self._acting = ThreadPoolExecutor(max_workers=1, thread_name_prefix="web-commands")
        self._acts_waiting = 0

    def store(self) -> Store:
        """The open store. Raises StoreError."""
        with self._turn:
            try:
                found = self.path.stat()
            except FileNotFoundError:
                self._store = None
                raise DatabaseMissing(f"there is no database at {self.path}", "start the bot once") from None
            except OSError as error:
                self._store = None
                raise DatabaseMissing(
                    f"{self.path} cannot be reached: {error.strerror}", "look at its folder"
                ) from None
            file = (found.st_dev, found.st_ino)
            if self._store is None or file != self._file:
                # A store that is replaced stays open for those who are reading it, and goes with the last of them.
                self._store, self._file = open_store(self.path, mode="read"), file
            return self._store

    async def ask(self, question: Callable[[Store], Answer]) -> Answer:
        """Answer a question in a reader's thread. Raises StoreError, or ApiError when too many are waiting."""
        return await self.run(lambda: question(self.store()))

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do work that may wait for the disk without holding up the event loop."""
        if self._waiting >= WAITING_MAX:
            raise ApiError(503, "BUSY", "too many questions at once", "ask again", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def act(self, work: Callable[[], Answer]) -> Answer:
        """The same for a command, beside all questions. It waits for other commands alone."""
        if self._acts_waiting >= ACTS_WAITING_MAX:
            raise ApiError(503, "BUSY", "too many commands at once", "send it again", headers={"Retry-After": "1"})
        self._acts_waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._acting, work)
        finally:
            self._acts_waiting -= 1

    def post(self, kind: str, symbol: str | None, at_ms: int) -> int:
        """Leave a command for the daemon; its id. Raises StoreError."""
        with open_store(self.path, mode="post") as store:
            return Inbox(store).post(kind, symbol, "web", at_ms)

    def daemon_running(self) -> bool:
        """Whether a process holds the writer's lock of this database now."""
        return holder(self.path) is not None

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._acting.shutdown(wait=True, cancel_futures=True)
        with self._turn:
            if self._store is not None:
                self._store.close()
                self._store = None
