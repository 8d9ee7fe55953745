"""Keeps the account's one listen key: 60 minutes from its last POST or PUT, in real time (checked 2026-11)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

LIFETIME_S = 3_600.0


class ListenKeys:
    """At most one key is alive. Real time, because clients extend it by their own real clocks."""

    def __init__(self, seed: int, monotonic: Callable[[], float]) -> None:
        self._seed = seed
        self._monotonic = monotonic
        self._made = 0
        self._key: str | None = None
        self._until_s = 0.0

    def active(self) -> str | None:
        """The key, also when its time is over and nobody has been told yet."""
        return self._key

    @property
    def is_overdue(self) -> bool:
        """True when the key's hour has passed: the streams must be told."""
        return self._key is not None and self._monotonic() >= self._until_s

    def create(self) -> str:
        """The living key, extended, or a new one."""
        if self._key is None or self.is_overdue:
            self._made += 1
            self._key = hashlib.sha256(f"listen {self._seed} {self._made}".encode()).hexdigest()
        self._until_s = self._monotonic() + LIFETIME_S
        return self._key

    def extend(self) -> str | None:
        """60 more minutes; None when there is no key."""
        return None if self._key is None or self.is_overdue else self.create()

    def forget(self) -> None:
        """There is no key any more."""
        self._key = None
