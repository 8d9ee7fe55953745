"""Answers guessing shortly: counts wrong tokens by address, and over all addresses together. The right one passes."""

from __future__ import annotations

import math
from collections.abc import Callable

from web.errors import ApiError

WINDOW_S = 60.0
FAILURES_MAX = 10
"""Wrong tokens of one address within a window: more than a person mistypes, nothing for a guesser of 16 characters."""
ALL_FAILURES_MAX = 300
"""The same over all addresses, against a guesser that has many."""
ADDRESSES_MAX = 1_024
"""Addresses that are remembered; the one that was counted longest ago goes first."""

_ALL = ""


class TokenThrottle:
    """Fixed windows, each from its first failure. Callers with a session or the right token are never counted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}
        self.failures = 0

    def check(self, address: str) -> None:
        """Raises ApiError with 429 while too many wrong tokens have come."""
        for key, most in ((address, FAILURES_MAX), (_ALL, ALL_FAILURES_MAX)):
            since, count = self._windows.get(key, (0.0, 0))
            left_s = since + WINDOW_S - self._clock()
            if count >= most and left_s > 0:
                seconds = str(math.ceil(left_s))
                raise ApiError(
                    429,
                    "TOO_MANY_FAILURES",
                    "too many wrong tokens",
                    f"wait {seconds} s; the right token, and who is logged in already, are not affected",
                    headers={"Retry-After": seconds},
                )

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        self.failures += 1
        now = self._clock()
        for key in (address, _ALL):
            since, count = self._windows.pop(key, (now, 0))
            self._windows[key] = (since, count + 1) if now - since < WINDOW_S else (now, 1)
        while len(self._windows) > ADDRESSES_MAX:
            del self._windows[next(iter(self._windows))]
