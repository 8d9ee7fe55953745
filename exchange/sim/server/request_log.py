"""Remembers the requests that were made, for tests that ask afterwards what a client really did."""

from __future__ import annotations

from collections import deque

import msgspec

KEPT_MAX = 10_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer. ``status`` 0: the connection was dropped. ``params`` are without the signature."""

    number: int
    at_ms: int
    method: str
    path: str
    params: dict[str, str]
    status: int
    code: int | None = None
    fault: str | None = None


class RequestLog:
    """The newest requests, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_MAX)
        self._made = 0

    def next_number(self) -> int:
        self._made += 1
        return self._made

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def since(self, number: int, limit: int) -> list[Entry]:
        """Those after a number, oldest first."""
        return [entry for entry in self._entries if entry.number > number][:limit]

    def clear(self) -> None:
        """Forget them; numbers go on."""
        self._entries.clear()
