"""Counts request weight and orders as the exchange does, and answers too many with 429, then with a ban.

Limits of exchangeInfo.rateLimits; headers X-MBX-USED-WEIGHT-1M and X-MBX-ORDER-COUNT-* (checked 2026-11). Windows
are those of simulated time. How many refused requests it takes to be banned is not documented; here it is ten.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.errors import Refusal
from exchange.sim.server.refusals import TOO_MANY_ORDERS, TOO_MANY_REQUESTS

MINUTE_MS = 60_000
STRIKES_MAX = 10
FIREWALL_PAGE = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body><h1>403 Forbidden</h1></body>\r\n</html>"
BAN_MS_MIN, BAN_MS_MAX = 120_000, 259_200_000  # two minutes to three days (general information page)


class Limited(Exception):
    """The request is not looked at. ``retry_after_ms`` says when one will be, None does not."""

    def __init__(self, refusal: Refusal, *, status: int, retry_after_ms: int | None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.status = status
        self.retry_after_ms = retry_after_ms


@dataclass(slots=True)
class Window:
    """One limit: so many units in each stretch of time, counted from multiples of its length."""

    interval_ms: int
    limit: int
    used: int = 0
    number: int = -1

    def roll(self, now_ms: int) -> None:
        number = now_ms // self.interval_ms
        if number != self.number:
            self.number, self.used = number, 0

    def left_ms(self, now_ms: int) -> int:
        return (self.number + 1) * self.interval_ms - now_ms


@dataclass(slots=True)
class Closed:
    """A fault: everything of a kind is refused until then. Each refusal may make it longer, or not say until when."""

    until_ms: int = 0
    grows_ms: int = 0
    silent: bool = False

    def refuses(self, now_ms: int) -> bool:
        if now_ms >= self.until_ms:
            return False
        self.until_ms += self.grows_ms
        return True

    def close(self, until_ms: int, *, grows_ms: int, silent: bool) -> None:
        self.until_ms, self.grows_ms, self.silent = max(self.until_ms, until_ms), grows_ms, silent

    def wait_ms(self, now_ms: int) -> int | None:
        return None if self.silent else self.until_ms - now_ms


@dataclass(slots=True)
class Limiter:
    """The counters of one address and one account. ``tells_wait``: refusals carry Retry-After."""

    weight: Window = field(default_factory=lambda: Window(MINUTE_MS, 2_400))
    orders_10s: Window = field(default_factory=lambda: Window(10_000, 300))
    orders_1m: Window = field(default_factory=lambda: Window(MINUTE_MS, 1_200))
    funding: Window = field(default_factory=lambda: Window(300_000, 500))  # fundingRate and fundingInfo, by themselves
    tells_wait: bool = True
    strikes: int = 0
    bans: int = 0
    limited: Closed = field(default_factory=Closed)
    banned: Closed = field(default_factory=Closed)
    firewalled: Closed = field(default_factory=Closed)
    orderless: Closed = field(default_factory=Closed)

    def admit(self, weight: int, orders: tuple[int, int], now_ms: int, *, counted: bool = True) -> None:
        """Book the request, or raise Limited. ``orders`` is its cost on the 10 s and on the 1 min order count.

        ``counted`` False: it goes into the pool of the funding calls instead of the weight limit.
        """
        pool = self.weight if counted else self.funding
        for window in (pool, self.weight, self.orders_10s, self.orders_1m):
            window.roll(now_ms)
        self._check_closed(orders, now_ms)
        if pool.used + weight > pool.limit:
            raise self._strike(now_ms, pool.left_ms(now_ms))
        for window, cost in zip((self.orders_10s, self.orders_1m), orders, strict=True):
            if cost and window.used + cost > window.limit:
                raise self._too_many_orders(window, now_ms)
        self.strikes = 0
        pool.used += weight
        self.orders_10s.used += orders[0]
        self.orders_1m.used += orders[1]

    def limit_until(self, at_ms: int, *, grows_ms: int = 0, silent: bool = False) -> None:
        """Refuse everything with 429 until then (a fault); who goes on gets banned."""
        self.limited.close(at_ms, grows_ms=grows_ms, silent=silent)

    def ban_until(self, at_ms: int, *, grows_ms: int = 0, silent: bool = False) -> None:
        """Refuse everything with 418 until then (a fault)."""
        self.banned.close(at_ms, grows_ms=grows_ms, silent=silent)

    def firewall_until(self, at_ms: int, *, grows_ms: int = 0) -> None:
        """Refuse everything with a page and 403 until then (a fault); a firewall never says for how long."""
        self.firewalled.close(at_ms, grows_ms=grows_ms, silent=True)

    def no_orders_until(self, at_ms: int, *, grows_ms: int = 0, silent: bool = False) -> None:
        """Refuse new orders with -1015 until then, whatever was counted (a fault)."""
        self.orderless.close(at_ms, grows_ms=grows_ms, silent=silent)

    def pardon(self) -> None:
        """Forget all counts, pauses and bans."""
        self.strikes = self.bans = 0
        self.limited, self.banned, self.firewalled, self.orderless = Closed(), Closed(), Closed(), Closed()
        for window in (self.weight, self.funding, self.orders_10s, self.orders_1m):
            window.number = -1

    def headers(self, orders: tuple[int, int]) -> dict[str, str]:
        """The counts as every answer tells them; order counts only with orders."""
        found = {"x-mbx-used-weight-1m": str(self.weight.used)}
        if orders != (0, 0):
            found["x-mbx-order-count-10s"] = str(self.orders_10s.used)
            found["x-mbx-order-count-1m"] = str(self.orders_1m.used)
        return found

    def _check_closed(self, orders: tuple[int, int], now_ms: int) -> None:
        """What faults have closed."""
        if self.firewalled.refuses(now_ms):
            raise Limited(Refusal(0, FIREWALL_PAGE), status=403, retry_after_ms=None)
        if self.banned.refuses(now_ms):
            raise self._banned(now_ms)
        if self.limited.refuses(now_ms):
            raise self._strike(now_ms, self.limited.wait_ms(now_ms))
        if orders != (0, 0) and self.orderless.refuses(now_ms):
            text = "Too many new orders."
            wait_ms = self.orderless.wait_ms(now_ms)
            raise Limited(Refusal(TOO_MANY_ORDERS, text), status=429, retry_after_ms=wait_ms)

    def _strike(self, now_ms: int, wait_ms: int | None) -> Limited:
        self.strikes += 1
        if self.strikes > STRIKES_MAX:
            self.strikes = 0
            self.bans += 1
            self.ban_until(now_ms + min(BAN_MS_MIN * 2 ** (self.bans - 1), BAN_MS_MAX))
            return self._banned(now_ms)
        text = f"Too many requests; current limit of IP(127.0.0.1) is {self.weight.limit} requests per minute."
        advice = " Please use the websocket for live updates to avoid polling the API."
        return Limited(Refusal(TOO_MANY_REQUESTS, text + advice), status=429, retry_after_ms=wait_ms)

    def _banned(self, now_ms: int) -> Limited:
        until = "" if self.banned.silent else f" until {self.banned.until_ms}"
        text = f"Way too many requests; IP(127.0.0.1) banned{until}."
        advice = " Please use the websocket for live updates to avoid bans."
        wait_ms = self.banned.wait_ms(now_ms)
        return Limited(Refusal(TOO_MANY_REQUESTS, text + advice), status=418, retry_after_ms=wait_ms)

    def _too_many_orders(self, window: Window, now_ms: int) -> Limited:
        span = "TEN_SECONDS" if window is self.orders_10s else "MINUTE"
        text = f"Too many new orders; current limit is {window.limit} orders per {span}."
        return Limited(Refusal(TOO_MANY_ORDERS, text), status=429, retry_after_ms=window.left_ms(now_ms))
