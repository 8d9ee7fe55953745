"""Decides whether a request may leave now: request weight, order counts, pauses and bans; time is an argument.

Priorities, highest first. Each may use the windows only up to its ceiling, so what is under it keeps a reserve:

    PROTECT  stops and their replacement            the whole limit
    FLATTEN  cancels, closes, reading what is held  95 %
    TRADE    entries and account settings           80 %
    READ     market data and history                70 %

Limits: exchangeInfo.rateLimits; what is used: headers X-MBX-USED-WEIGHT-1M, X-MBX-ORDER-COUNT-* (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from exchange.binance.codec_market import RateLimit

PAUSES_MS = (5_000, 10_000, 20_000, 40_000)
"""After 429 without Retry-After; going on regardless leads to a 418 ban (general information, checked 2026-11)."""

BAN_MS_MIN = 120_000
"""Bans last from two minutes to three days (general information, checked 2026-11)."""

_PROBE_MS = 2_000  # in a 429 pause, protective calls still go, this far apart
_PROBE_BANNED_MS = 10_000  # and in a ban: an open position is worse than one more refused request
_WAIT_MS_MAX = 259_200_000  # three days, the longest ban; a longer wait is a misreading
_HEADER = re.compile(r"x-mbx-(used-weight|order-count)-(\d+)([smhd])", re.IGNORECASE)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KIND = {"used-weight": "REQUEST_WEIGHT", "order-count": "ORDERS"}


class Priority(IntEnum):
    """Whose turn it is when the budget is short."""

    READ = 0
    TRADE = 1
    FLATTEN = 2
    PROTECT = 3


_CEILING_PCT = {Priority.READ: 70, Priority.TRADE: 80, Priority.FLATTEN: 95, Priority.PROTECT: 100}


@dataclass(slots=True)
class _Window:
    """What was used of one limit in the current window; windows start at multiples of their length."""

    kind: str
    interval_ms: int
    limit: int
    used: int = 0
    number: int = 0

    def roll(self, now_ms: int) -> None:
        number = now_ms // self.interval_ms
        if number != self.number:
            self.number, self.used = number, 0

    def wait_ms(self, now_ms: int, cost: int, ceiling_pct: int) -> int:
        """Time until the cost fits under the ceiling; 0 = now. A cost above the ceiling goes in an empty window."""
        self.roll(now_ms)
        if cost == 0 or self.used == 0 or (self.used + cost) * 100 <= self.limit * ceiling_pct:
            return 0
        return (self.number + 1) * self.interval_ms - now_ms


def _documented() -> list[_Window]:
    # exchangeInfo.rateLimits of mainnet, used until the real ones are read (checked 2026-11)
    return [
        _Window("REQUEST_WEIGHT", 60_000, 2_400),
        _Window("ORDERS", 60_000, 1_200),
        _Window("ORDERS", 10_000, 300),
    ]


@dataclass(slots=True)
class Budget:
    """The account's and this address's budget. All times are the exchange's, in ms."""

    windows: list[_Window] = field(default_factory=_documented)
    paused_until_ms: int = 0
    pause_began_ms: int = 0
    banned: bool = False
    pauses: int = 0
    next_probe_ms: int = 0

    def learn(self, limits: Iterable[RateLimit]) -> None:
        """Take over the limits the exchange states; a kind it does not mention keeps its windows."""
        stated = list(limits)
        kept = {(w.kind, w.interval_ms): w for w in self.windows}
        for kind in {limit.kind for limit in stated}:
            self.windows = [w for w in self.windows if w.kind != kind]
        for limit in stated:
            old = kept.get((limit.kind, limit.interval_ms))
            used, number = (old.used, old.number) if old else (0, 0)
            self.windows.append(_Window(limit.kind, limit.interval_ms, limit.limit, used, number))

    def admit(self, now_ms: int, priority: Priority, *, weight: int, orders: int) -> int:
        """0 = go, and it is booked; otherwise how long to wait before asking again."""
        waits = [w.wait_ms(now_ms, _cost(w, weight, orders), _CEILING_PCT[priority]) for w in self.windows]
        wait_ms = max([self._pause_wait_ms(now_ms, priority), *waits])
        if wait_ms > 0:
            return wait_ms
        if now_ms < self.paused_until_ms:
            self.next_probe_ms = now_ms + self._probe_ms()
        for window in self.windows:
            window.used += _cost(window, weight, orders)
        return 0

    def observe(self, headers: Mapping[str, str], *, sent_ms: int, now_ms: int) -> None:
        """Take over counts from an answer's headers, any case; negative ones have been seen and mean nothing.

        An answer that crossed into a new window says nothing about either.
        """
        for name, value in headers.items():
            match = _HEADER.fullmatch(name)
            if match is None or not value.isascii() or not value.isdigit() or len(value) > 9:
                continue
            interval_ms = int(match[2]) * _UNIT_MS[match[3].lower()]
            for window in self.windows:
                if (window.kind, window.interval_ms) != (_KIND[match[1].lower()], interval_ms):
                    continue
                if sent_ms // interval_ms == now_ms // interval_ms:
                    window.roll(now_ms)
                    window.used = max(window.used, int(value))

    def pause(self, now_ms: int, *, sent_ms: int, retry_after_ms: int, banned: bool) -> int:
        """The exchange told us to wait; returns for how long. Without a stated time: 5, 10, 20, 40 s.

        Answers to requests that were sent before the pause began belong to it and do not lengthen the ladder.
        """
        floor_ms = BAN_MS_MIN if banned else PAUSES_MS[min(self.pauses, len(PAUSES_MS) - 1)]
        wait_ms = min(retry_after_ms or floor_ms, _WAIT_MS_MAX)
        if now_ms >= self.paused_until_ms or sent_ms >= self.pause_began_ms:
            self.pause_began_ms = now_ms + 1
            self.pauses += 1
            self.paused_until_ms = max(self.paused_until_ms, now_ms + wait_ms)
        elif retry_after_ms:
            self.paused_until_ms = max(self.paused_until_ms, now_ms + wait_ms)
        self.banned = banned or self.banned
        self.next_probe_ms = max(self.next_probe_ms, now_ms + self._probe_ms())
        return self.paused_until_ms - now_ms

    def exhaust_orders(self, now_ms: int) -> int:
        """-1015: the order count is used up; returns the time until the shortest order window ends."""
        windows = [w for w in self.windows if w.kind == "ORDERS"]
        shortest = min(windows, key=lambda w: w.interval_ms, default=None)
        if shortest is None:
            return 0
        shortest.roll(now_ms)
        shortest.used = max(shortest.used, shortest.limit)
        return (shortest.number + 1) * shortest.interval_ms - now_ms

    def answered(self, now_ms: int) -> None:
        """A request went through outside a pause: the next pause starts at the bottom of the ladder again."""
        if now_ms >= self.paused_until_ms:
            self.pauses = 0
            self.banned = False

    def _probe_ms(self) -> int:
        return _PROBE_BANNED_MS if self.banned else _PROBE_MS

    def _pause_wait_ms(self, now_ms: int, priority: Priority) -> int:
        if now_ms >= self.paused_until_ms:
            return 0
        until_ms = self.paused_until_ms
        if priority >= Priority.FLATTEN:
            until_ms = min(until_ms, self.next_probe_ms)
        return max(until_ms - now_ms, 0)


def _cost(window: _Window, weight: int, orders: int) -> int:
    return weight if window.kind == "REQUEST_WEIGHT" else orders
