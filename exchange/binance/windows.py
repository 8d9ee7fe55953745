"""Counts request weight and orders in the exchange's own windows, which run on its clock; time is an argument.

Limits: exchangeInfo.rateLimits; what is used: headers X-MBX-USED-WEIGHT-1M, X-MBX-ORDER-COUNT-* (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exchange.binance.codec_market import RateLimit

_HEADER = re.compile(r"x-mbx-(used-weight|order-count)-(\d+)([smhd])", re.IGNORECASE)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KIND = {"used-weight": "REQUEST_WEIGHT", "order-count": "ORDERS"}


@dataclass(slots=True)
class Window:
    """What was used of one limit in the current window; windows start at multiples of their length."""

    kind: str
    interval_ms: int
    limit: int
    used: int = 0
    number: int = 0

    def roll(self, now_ms: int) -> None:
        """A clock that is set back by a little does not empty a window that is still running at the exchange."""
        number = now_ms // self.interval_ms
        if number != self.number and number != self.number - 1:
            self.number, self.used = number, 0

    def wait_ms(self, now_ms: int, cost: int, ceiling_pct: float) -> int:
        """Time until the cost fits under the ceiling; 0 = now. A cost above the ceiling goes in an empty window."""
        self.roll(now_ms)
        if cost == 0 or self.used == 0 or (self.used + cost) * 100 <= self.limit * ceiling_pct:
            return 0
        return self.left_ms(now_ms)

    def left_ms(self, now_ms: int) -> int:
        return (self.number + 1) * self.interval_ms - now_ms


def _documented() -> list[Window]:
    # exchangeInfo.rateLimits of mainnet, used until the real ones are read (checked 2026-11)
    return [
        Window("REQUEST_WEIGHT", 60_000, 2_400),
        Window("ORDERS", 60_000, 1_200),
        Window("ORDERS", 10_000, 300),
    ]


@dataclass(slots=True)
class Windows:
    """All limits of the account and of this address."""

    all: list[Window] = field(default_factory=_documented)

    def learn(self, limits: Iterable[RateLimit]) -> None:
        """Take over the limits the exchange states; a kind it does not mention keeps its windows.

        A limit that would let nothing through at all is not believed.
        """
        stated = [limit for limit in limits if limit.limit > 0 and limit.interval_ms > 0]
        kept = {(w.kind, w.interval_ms): w for w in self.all}
        for kind in {limit.kind for limit in stated}:
            self.all = [w for w in self.all if w.kind != kind]
        for limit in stated:
            old = kept.get((limit.kind, limit.interval_ms))
            used, number = (old.used, old.number) if old else (0, 0)
            self.all.append(Window(limit.kind, limit.interval_ms, limit.limit, used, number))

    def wait_ms(self, now_ms: int, *, weight: int, orders: int, ceiling_pct: float) -> int:
        """0 = there is room in every window under the ceiling."""
        return max((w.wait_ms(now_ms, _cost(w, weight, orders), ceiling_pct) for w in self.all), default=0)

    def left(self, kind: str, now_ms: int, ceiling_pct: float) -> int | None:
        """How much of a kind every window still lets through now; None without any such window."""
        found = [window for window in self.all if window.kind == kind]
        for window in found:
            window.roll(now_ms)
        return min((max(int(w.limit * ceiling_pct / 100) - w.used, 0) for w in found), default=None)

    def book(self, *, weight: int, orders: int) -> None:
        for window in self.all:
            window.used += _cost(window, weight, orders)

    def give_back(self, *, weight: int, orders: int) -> None:
        """It was booked and did not leave."""
        for window in self.all:
            window.used = max(window.used - _cost(window, weight, orders), 0)

    def observe(self, headers: Mapping[str, str], *, sent_ms: int, now_ms: int) -> None:
        """Take over counts from an answer's headers, any case; negative ones have been seen and mean nothing.

        An answer that crossed into a new window says nothing about either.
        """
        for name, value in headers.items():
            match = _HEADER.fullmatch(name)
            if match is None or not value.isascii() or not value.isdigit() or len(value) > 9:
                continue
            interval_ms = int(match[2]) * _UNIT_MS[match[3].lower()]
            for window in self.all:
                if (window.kind, window.interval_ms) != (_KIND[match[1].lower()], interval_ms):
                    continue
                if sent_ms // interval_ms == now_ms // interval_ms:
                    window.roll(now_ms)
                    window.used = max(window.used, int(value))

    def orders_full_ms(self, now_ms: int) -> int:
        """How long an order count that is used up stays so; 0 = none is, as far as we know."""
        full = [w for w in self.all if w.kind == "ORDERS" and w.number == now_ms // w.interval_ms and w.used >= w.limit]
        return max((window.left_ms(now_ms) for window in full), default=0)


def _cost(window: Window, weight: int, orders: int) -> int:
    return weight if window.kind == "REQUEST_WEIGHT" else orders
