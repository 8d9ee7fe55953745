"""A second exchange, small and unlike the first: its own names, words, numbers and units, plain dicts in and out.

Instruments are lower-case with a dash, times are seconds, sides are ``bid`` and ``ask``, an order is a ``slip`` and a
conditional one a ``guard``; a refusal is a word. It knows one instrument and no other account.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Hour = tuple[float, float, float, float]

NAME = "btc-usdt"
HOUR_S = 3_600
FEE = Decimal("0.0005")


class No(Exception):
    """It will not be done; the word says why."""


class Bourse:
    """``ask`` is its whole interface. Time and the price move only when they are told to."""

    def __init__(self, hours: list[Hour], start_s: int, now_s: int) -> None:
        self._hours, self._start_s, self.now_s = hours, start_s, float(now_s)
        self.price = Decimal(str(self._hour(now_s)[0]))
        self.slips: list[Row] = []
        self.guards: list[Row] = []
        self.deals: list[Row] = []
        self.statement: list[Row] = []
        self.held, self.cost, self.cash, self.gear = Decimal(0), Decimal(0), Decimal(10_000), 1
        self.on_change: Callable[[Row], None] = lambda slip: None
        self.refuses: dict[str, str] = {}
        """What is refused from now on, and with which word."""
        self.on_refused: Callable[[str], None] = lambda what: None

    def ask(self, what: str, **how: Any) -> Row:
        if what in self.refuses:
            word = self.refuses[what]
            self.on_refused(what)
            return {"fine": False, "because": word}
        try:
            return {"fine": True, "gives": getattr(self, f"_{what.replace('/', '_')}")(**how)}
        except No as no:
            return {"fine": False, "because": str(no)}

    # --- time and price -----------------------------------------------------------------------
    def _hour(self, at_s: float) -> Hour:
        return self._hours[int(at_s - self._start_s) // HOUR_S]

    def move(self, to_s: float, price: float) -> None:
        """Time goes on to this moment, at which the price is so; guards that wait for it go off."""
        self.now_s, self.price = to_s, Decimal(str(price))
        for guard in [guard for guard in self.guards if guard["is"] == "armed"]:
            if guard["is"] == "armed" and _reached(guard, self.price):
                self._go_off(guard)

    def path(self, hour_s: int) -> list[tuple[float, float]]:
        """The moments of an hour: its open, its extremes, its close."""
        opened, high, low, close = self._hour(hour_s)
        return [(hour_s + 1, opened), (hour_s + 1_200, low), (hour_s + 2_400, high), (hour_s + HOUR_S - 1, close)]

    def _go_off(self, guard: Row) -> None:
        amount = abs(self.held) if guard["all"] else min(guard["amount"], abs(self.held))
        guard["is"], guard["t"] = "off", self.now_s
        slip = self._slip(guard["ref"], guard["way"], "now", amount, None)
        guard["slip"], guard["taken"] = slip["no"], amount
        self._trade(slip, amount)

    def _trade(self, slip: Row, amount: Decimal) -> None:
        signed = amount if slip["way"] == "bid" else -amount
        gain = Decimal(0)
        if self.held * signed < 0:
            closed = min(abs(self.held), amount)
            gain = (self.price - self.cost) * (closed if self.held > 0 else -closed)
        else:
            self.cost = (self.cost * abs(self.held) + self.price * amount) / (abs(self.held) + amount)
        self.held += signed
        fee = self.price * amount * FEE
        self.cash += gain - fee
        slip["taken"] += amount
        slip["worth"] += self.price * amount
        slip["is"], slip["t"] = ("spent" if slip["taken"] == slip["amount"] else "working"), self.now_s
        number = len(self.deals) + 1
        self.deals.append({"no": number, "slip": slip["no"], "way": slip["way"], "px": self.price, "amount": amount,
                           "gain": gain, "fee": fee, "t": self.now_s})  # fmt: skip
        for kind, sum_ in (("gain", gain), ("fee", -fee)):
            self.statement.append({"no": len(self.statement) + 1, "of": kind, "sum": sum_, "deal": number,
                                   "t": self.now_s})  # fmt: skip
        if self.held == 0:
            for guard in self.guards:
                if guard["all"] and guard["is"] == "armed":
                    guard["is"], guard["t"] = "void", self.now_s
        self.on_change(slip)

    def _slip(self, ref: str, way: str, kind: str, amount: Decimal, price: Decimal | None) -> Row:
        slip: Row = {"no": 700 + len(self.slips), "ref": ref, "way": way, "kind": kind, "amount": amount, "px": price,
                     "taken": Decimal(0), "worth": Decimal(0), "is": "working", "t": self.now_s,
                     "less": False}  # fmt: skip
        self.slips.append(slip)
        return slip

    # --- what can be asked for ----------------------------------------------------------------
    def _slips_put(self, ref: str, way: str, kind: str, amount: Decimal, px: Decimal | None, less: bool) -> Row:
        if any(slip["ref"] == ref for slip in self.slips):
            raise No("REF_SEEN")
        if less and self.held * (1 if way == "bid" else -1) >= 0:
            raise No("NOTHING_HELD")
        amount = min(amount, abs(self.held)) if less else amount
        if amount % Decimal("0.001"):
            raise No("OFF_GRID")
        slip = self._slip(ref, way, kind, amount, px)
        slip["less"] = less
        self._trade(slip, amount)
        return dict(slip)

    def _guards_put(self, ref: str, way: str, sort: str, at: Decimal, amount: Decimal | None, less: bool) -> Row:
        guard: Row = {"no": 9_000 + len(self.guards), "ref": ref, "way": way, "sort": sort, "at": at, "amount": amount,
                      "all": amount is None, "less": less, "is": "armed", "t": self.now_s, "slip": None,
                      "taken": Decimal(0)}  # fmt: skip
        armed = [each for each in self.guards if each["is"] == "armed"]
        if any(each["ref"] == ref for each in self.guards):
            raise No("REF_SEEN")
        if at % Decimal("0.1"):
            raise No("OFF_GRID")
        if guard["all"] and self.held == 0:
            raise No("EMPTY_HANDED")
        if guard["all"] and any(each["all"] and each["sort"] == sort for each in armed):
            raise No("ONE_IS_ENOUGH")
        if _reached(guard, self.price):
            raise No("AT_ONCE")
        self.guards.append(guard)
        return dict(guard)

    def _slips_pull(self, ref: str) -> Row:
        return self._pull(self.slips, ref, "working")

    def _guards_pull(self, ref: str) -> Row:
        return self._pull(self.guards, ref, "armed")

    def _pull(self, rows: list[Row], ref: str, open_: str) -> Row:
        found = next((row for row in rows if row["ref"] == ref and row["is"] == open_), None)
        if found is None:
            raise No("NO_SUCH_REF")
        found["is"], found["t"] = "pulled", self.now_s
        return dict(found)

    def _gear_set(self, gear: int) -> Row:
        self.gear = gear
        return {}

    # --- what can be read ---------------------------------------------------------------------
    def _slips_list(self) -> list[Row]:
        return [dict(slip) for slip in self.slips]

    def _guards_list(self) -> list[Row]:
        return [dict(guard) for guard in self.guards]

    def _deals_list(self, after: int) -> list[Row]:
        return [dict(deal) for deal in self.deals if deal["no"] > after]

    def _statement_list(self, since: float) -> list[Row]:
        return [dict(row) for row in self.statement if row["t"] >= since]

    def _holding(self) -> Row:
        return {"amount": self.held, "cost": self.cost, "px": self.price, "gain": (self.price - self.cost) * self.held}

    def _purse(self) -> Row:
        return {"cash": self.cash, "gain": (self.price - self.cost) * self.held, "gear": self.gear}

    def _time(self) -> float:
        return self.now_s

    def _bars(self, since: float, most: int) -> list[Row]:
        found = []
        for number, (opened, high, low, close) in enumerate(self._hours):
            began = self._start_s + number * HOUR_S
            if began >= since and began + HOUR_S <= self.now_s:
                found.append({"t": began, "o": opened, "h": high, "l": low, "c": close, "v": 1_000.0})
        return found[:most]


def _reached(guard: Row, price: Decimal) -> bool:
    rises = (guard["sort"] == "loss") == (guard["way"] == "bid")
    return bool(price >= guard["at"] if rises else price <= guard["at"])
