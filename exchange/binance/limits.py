"""Decides whether a request may leave now, and who leaves first; time is an argument.

Who goes first, and up to which part of the exchange's windows. What is under a ceiling is kept for those above it:

    NAKED   stop or close of a position without a confirmed stop    the whole limit
    CLEAR   cancels in its way                                      the whole limit
    COVER   stops, closes and cancels of everybody else             the whole limit
    LOOK    reading what is held, and targets                       95 %
    TRADE   entries, account settings, the account                  80 %
    READ    market data and history                                 70 %
    BULK    downloads, of which nobody waits for any part           35 %

Three things hold a request up:

    windows    weight a minute, orders a window: counted here and by the exchange       windows.py, the exchange's clock
    requests   a pause of everything: 403, 418, 429, -1003                              pausing.py, real time
    orders     a pause of new orders alone: -1015 while no full window explains it      pausing.py, real time

In a pause one probe leaves at a time, and it is for LOOK and above; the most urgent takes it (turns.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from exchange.binance.pausing import Pausing
from exchange.binance.replies import ToldToWait
from exchange.binance.windows import Windows
from exchange.priority import Priority
from exchange.types import Pause

_CEILING_PCT = {
    Priority.BULK: 35,
    Priority.READ: 70,
    Priority.TRADE: 80,
    Priority.LOOK: 95,
    Priority.COVER: 100,
    Priority.CLEAR: 100,
    Priority.NAKED: 100,
}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a request costs and what it is for. ``opens``: an entry, or a setting for one."""

    priority: Priority
    weight: int = 0
    orders: int = 0
    signed: bool = True
    opens: bool = False

    @property
    def protects(self) -> bool:
        return self.priority >= Priority.LOOK


class Wait(msgspec.Struct, frozen=True):
    """``pause_s`` is exact. ``window_ms`` is the exchange's time, which may run faster than ours in a simulation."""

    pause_s: float
    window_ms: int

    @property
    def ms(self) -> int:
        """The longer of the two, rounded up."""
        return max(int(-(-self.pause_s * 1_000 // 1)), self.window_ms)


@dataclass(slots=True)
class Budget:
    """The account's and this address's budget. ``now_s`` is real time, ``now_ms`` the exchange's."""

    windows: Windows = field(default_factory=Windows)
    requests: Pausing = field(default_factory=Pausing)
    orders: Pausing = field(default_factory=Pausing)
    refusals: int = 0

    def wait(self, ask: Ask, *, now_s: float, now_ms: int) -> Wait:
        """How long this request has to wait as things are."""
        pauses = [pausing.wait_s(now_s, protects=ask.protects, opens=ask.opens, signed=ask.signed)
                  for pausing in self._that_hold(ask)]  # fmt: skip
        share = 1.0 if ask.protects else self.requests.read_share(now_s)
        window_ms = self.windows.wait_ms(
            now_ms, weight=ask.weight, orders=ask.orders, ceiling_pct=_CEILING_PCT[ask.priority] * share
        )
        return Wait(max(pauses), window_ms)

    def book(self, ask: Ask, now_s: float) -> tuple[Pausing, ...]:
        """It leaves. Returns the pauses whose probe it is."""
        self.windows.book(weight=ask.weight, orders=ask.orders)
        return tuple(pausing for pausing in self._that_hold(ask) if pausing.left(now_s, signed=ask.signed))

    def give_back(self, ask: Ask, probe_of: tuple[Pausing, ...], now_s: float) -> None:
        """It was booked and did not leave: somebody else may."""
        self.windows.give_back(weight=ask.weight, orders=ask.orders)
        for pausing in probe_of:
            pausing.give_back(now_s)

    def left(self, now_ms: int) -> tuple[int | None, int | None]:
        """How many orders, and how much weight of looks, may leave now for what protects; None: nobody counts it."""
        orders = self.windows.left("ORDERS", now_ms, _CEILING_PCT[Priority.COVER])
        return orders, self.windows.left("REQUEST_WEIGHT", now_ms, _CEILING_PCT[Priority.LOOK])

    def asked(self, ask: Ask, now_s: float) -> None:
        """Somebody wants to leave: while that is something that protects, probes are kept for it."""
        if ask.protects:
            for pausing in self._that_hold(ask):
                pausing.asked(now_s)

    def refused(self, told: ToldToWait, *, sent_s: float, now_s: float, now_ms: int) -> float:
        """The exchange told us to wait; returns for how many seconds.

        An order count that we know to be used up ends with its window; nothing else needs to be remembered then.
        """
        self.refusals += 1
        pausing = self.requests
        if told.orders_only:
            full_ms = self.windows.orders_full_ms(now_ms)
            if told.stated_s is None and full_ms:
                return full_ms / 1_000
            pausing = self.orders
        return pausing.refused(now_s, sent_s=sent_s, stated_s=told.stated_s, banned=told.banned, cause=told.cause)

    def answered(self, ask: Ask, *, sent_s: float, now_s: float, orders_too: bool = True) -> None:
        """A request came back with anything but a pause. ``orders_too`` False: with a pause of orders."""
        self.requests.answered(now_s, sent_s=sent_s, signed=ask.signed)
        if ask.orders and orders_too:
            self.orders.answered(now_s, sent_s=sent_s, signed=ask.signed)

    def shown(self, now_s: float) -> Pause | None:
        """What holds requests up now: the pause of everything before that of orders."""
        return self.requests.shown(now_s) or self.orders.shown(now_s, orders_only=True)

    def _that_hold(self, ask: Ask) -> tuple[Pausing, ...]:
        return (self.requests, self.orders) if ask.orders else (self.requests,)
