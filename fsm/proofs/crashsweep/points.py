"""Where a bot can die: every call that leaves the process is numbered, on both sides, and a plan says at which it ends.

A call is one to the exchange, a commit, a file, or a message to the operator. What is on its way to the exchange at
that moment has a fate of its own: it is lost, it is carried out as the bot dies, or it arrives when the bot has been
started again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

import msgspec

from fsm.proofs.crashsweep.full_disk import Full

LATE_S = 3.0
"""When a late request arrives: after a new process has had its first looks, well within the exchange's recvWindow."""


class Died(BaseException):
    """The process ends here: nothing of it may run any more, so nothing that handles errors may catch this."""


class Side(StrEnum):
    """Before a call takes effect, or after that and before anybody heard of it."""

    BEFORE = "before"
    AFTER = "after"


class Fate(StrEnum):
    """What becomes of requests that are under way when the process dies."""

    LOST = "lost"
    EXECUTED = "executed"
    LATE = "late"


class Kind(StrEnum):
    EXCHANGE = "exchange"
    COMMIT = "commit"
    FILE = "file"
    MESSAGE = "message"


class Point(msgspec.Struct, frozen=True):
    """One call. ``carries``: on which sides of it orders or cancellations are under way to the exchange."""

    number: int
    kind: Kind
    what: str
    carries: tuple[Side, ...] = ()


class Death(msgspec.Struct, frozen=True):
    """Dying at a call: the first one counts from where a script begins, a second one from the first."""

    number: int
    side: Side
    fate: Fate = Fate.LOST

    def __str__(self) -> str:
        return f"{self.number}.{self.side.value}.{self.fate.value}"

    @classmethod
    def parse(cls, text: str) -> Death:
        """The reverse of ``str``; raises ValueError."""
        found = re.fullmatch(r"(\d+)\.(\w+)\.(\w+)", text)
        if found is None:
            raise ValueError(f"{text!r} is not NUMBER.SIDE.FATE, such as 17.before.lost")
        return cls(int(found[1]), Side(found[2]), Fate(found[3]))


class Reaper:
    """Counts the calls of all processes of one case and ends them as planned. It counts from ``arm`` on."""

    def __init__(self, plan: tuple[Death | Full, ...]) -> None:
        self._plan = [each for each in plan if isinstance(each, Death)]
        self._full = [each for each in plan if isinstance(each, Full)]
        self._counted = 0
        self._armed = False
        self.points: dict[int, Point] = {}
        self.died_at: list[tuple[Point, Death]] = []

    def arm(self) -> None:
        """From now on calls count."""
        self._armed = True

    @property
    def is_done(self) -> bool:
        """True when everything that was planned has happened."""
        return not self._plan and not self._full

    def full_at(self, point: Point) -> Full | None:
        """A transaction begins: the full disk that is due in it, if one is."""
        if not self._full or point.number == 0 or self._full[0].number != point.number:
            return None
        return self._full.pop(0)

    def next_number(self) -> int:
        """The number of a call that begins; 0 while nothing counts yet."""
        if self._armed:
            self._counted += 1
        return self._counted

    def passes(self, point: Point, side: Side, *, carrying: bool) -> Death | None:
        """A process is at one side of a call: remember it; the death that is due here, if one is."""
        if point.number == 0:
            return None
        if not self.died_at:
            known = self.points.setdefault(point.number, point)
            if carrying and side not in known.carries:
                self.points[point.number] = msgspec.structs.replace(known, carries=(*known.carries, side))
        due = self._plan[0] if self._plan else None
        if due is None or (due.number, due.side) != (point.number, side):
            return None
        self._plan.pop(0)
        self._counted = 0
        self.died_at.append((point, due))
        return due


class Flight:
    """A request to change something at the exchange, from the moment it leaves until it arrives."""

    def __init__(self, effect: Callable[[], Awaitable[Any]]) -> None:
        self.effect = effect
        self.task: asyncio.Task[Any] | None = None


class Life:
    """One process. Everything it does outside of itself asks here first whether it still lives."""

    def __init__(self, reaper: Reaper, *, looks: Callable[[], None], ended: Callable[[], None]) -> None:
        """``looks`` is called at every side of every call, ``ended`` at the moment of death."""
        self._reaper = reaper
        self._looks = looks
        self._ended = ended
        self._flights: list[Flight] = []
        self._strays: set[asyncio.Task[Any]] = set()
        self.is_over = False

    def call(self, kind: Kind, what: str) -> Point:
        """A call begins. Raises Died when this process is dead."""
        self.check()
        return Point(self._reaper.next_number(), kind, what)

    def at(self, point: Point, side: Side) -> None:
        """One side of a call is reached. Raises Died when this process is dead or dies here."""
        self.check()
        self._looks()
        death = self._reaper.passes(point, side, carrying=bool(self._flights))
        if death is not None:
            self._end(death.fate)
            raise Died(f"{point.kind.value} {point.what}: {death}")

    def check(self) -> None:
        if self.is_over:
            raise Died("this process has ended")

    def over(self) -> None:
        """Ended from outside, with nothing under way."""
        self.is_over = True

    def depart(self, flight: Flight) -> None:
        self._flights.append(flight)

    def arrive(self, flight: Flight) -> None:
        self._flights.remove(flight)

    def _end(self, fate: Fate) -> None:
        self.is_over = True
        for flight in self._flights:
            if flight.task is not None:
                flight.task.cancel()
            if fate is not Fate.LOST:
                stray = asyncio.ensure_future(_arrive_later(flight, LATE_S if fate is Fate.LATE else 0.0))
                self._strays.add(stray)
        self._flights.clear()
        self._ended()

    async def strays_arrived(self) -> bool:
        """Wait until everything that outlives this process has arrived; True where there was something."""
        if self._strays:
            await asyncio.wait(self._strays)
        return bool(self._strays)


async def _arrive_later(flight: Flight, after_s: float) -> None:
    if after_s:
        await asyncio.sleep(after_s)
    await flight.effect()
