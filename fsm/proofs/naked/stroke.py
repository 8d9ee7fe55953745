"""What strikes in one round, and when: at a request, for a span, by a hand on the account, or by a machine that stalls.

Times are seconds of the loop. A stroke begins at its *moment*, which chance chooses for each round, so that positions
are struck while they are naked and while they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Protocol

from exchange.client_ids import Leg, parse
from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked, Blow

ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
OPEN_ALGOS = "/fapi/v1/openAlgoOrders"
HURRY_S = 0.75
"""A request without an answer for so long is sent again while its position is naked; so long a silence does not end."""

HEARD_S = 0.1
"""What leaves within this time after the first refusal knew nothing of it yet."""

Which = Callable[[Asked], bool]
Make = Callable[[Random, Asked], Blow]


class Scene(Protocol):
    """What a stroke sees of its surroundings, and may do to them."""

    chance: Random

    def now_s(self) -> float: ...
    def naked(self) -> list[str]: ...
    def struck(self, symbol: str) -> None:
        """This position was struck ("" = every one)."""
        ...

    def pass_by(self, seconds: float) -> None:
        """Time passes and the whole process stands still."""
        ...

    def held_up(self, seconds: float) -> None:
        """Time passes and the loop stands still; what has a thread of its own goes on."""
        ...


def leg_of(asked: Asked) -> Leg | None:
    parts = parse(asked.client_id) if asked.client_id else None
    return None if parts is None else parts.leg


def is_stop(asked: Asked) -> bool:
    return asked.method == "POST" and asked.path == ALGO and leg_of(asked) is Leg.STOP


def is_entry(asked: Asked) -> bool:
    return asked.method == "POST" and asked.path == ORDER and leg_of(asked) is Leg.ENTRY


def is_close(asked: Asked) -> bool:
    return asked.method == "POST" and asked.path == ORDER and leg_of(asked) is Leg.CLOSE


def is_read_back(asked: Asked) -> bool:
    return asked.method == "GET" and asked.path == OPEN_ALGOS


def is_read(asked: Asked) -> bool:
    return asked.method == "GET"


def is_any(asked: Asked) -> bool:
    return True


MOMENTS: dict[str, Which] = {"entry": is_entry, "stop": is_stop, "read-back": is_read_back}


class Stroke:
    """Nothing happens; the others say what does. ``began_s`` and ``over_s`` None: not yet."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.began_s: float | None = None
        self.over_s: float | None = None
        self.stated_end_s: float | None = None
        self.refusals = 0

    def befalls(self, asked: Asked) -> Blow | None:
        return None

    def stream_late_s(self) -> float:
        return 0.0

    def protected(self, symbol: str) -> None:
        """A stop came to rest."""

    def filled(self, symbol: str) -> None:
        """A position was opened."""

    def fails_to_fill(self, client_id: str) -> bool:
        """Whether the exchange accepts this close and fills nothing of it."""
        return False

    def commit(self) -> None:
        """A commit is about to be made."""

    def is_over(self) -> bool:
        """True when nothing more will go wrong in this round."""
        return self.began_s is not None and (self.over_s is None or self.scene.now_s() >= self.over_s)


class OnWire(Stroke):
    """Requests of a kind go wrong for so many seconds from the moment on, or just so many of them."""

    def __init__(
        self,
        scene: Scene,
        make: Make,
        *,
        moment: str,
        which: Which = is_any,
        seconds: float = 0.0,
        count: int = 1,
        each: bool = False,
        lasts_s: float = 0.0,
        stream_late_s: float = 0.0,
    ) -> None:
        """``each``: moment and count are every symbol's own. ``lasts_s``: it counts as over so long after it began."""
        super().__init__(scene)
        self._make, self._which, self._seconds, self._count = make, which, seconds, count
        self._is_moment, self._each, self._lasts_s = MOMENTS[moment], each, lasts_s
        self._left: dict[str, int] = {}
        self._late_s = stream_late_s

    def stream_late_s(self) -> float:
        return self._late_s

    def filled(self, symbol: str) -> None:
        """What befell its entry lasts while it is naked."""
        if self._each and symbol in self._left:
            self.scene.struck(symbol)

    def befalls(self, asked: Asked) -> Blow | None:
        now_s, key = self.scene.now_s(), asked.symbol if self._each else ""
        if self._is_moment(asked) and (self.began_s is None or (self._each and key not in self._left)):
            self.began_s = self.began_s or now_s
            self._left[key] = self._count
            self.over_s = now_s + max(self._seconds, self._lasts_s)
        if key not in self._left or not self._which(asked):
            return None
        if self._seconds:
            if self.over_s is None or now_s >= self.over_s:
                return None
        elif self._left[key] <= 0:
            return None
        self._left[key] -= 1
        if not self._seconds:
            self.over_s = now_s + self._lasts_s
        blow = self._make(self.scene.chance, asked)
        self.scene.struck(asked.symbol)
        return blow


class Ban(Stroke):
    """From the moment on, every request is refused for so long, and each one that comes all the same makes it longer.

    ``says`` forms the answer from the seconds left; ``stated`` whether it says when the ban ends.
    """

    LONGER_S, LONGEST_S = 1.0, 30.0

    def __init__(
        self,
        scene: Scene,
        says: Callable[[float], Answer],
        *,
        moment: str,
        seconds: float,
        stated: bool,
        which: Which = is_any,
        grows: bool = True,
    ) -> None:
        super().__init__(scene)
        self._says, self._seconds, self._stated, self._which, self._grows = says, seconds, stated, which, grows
        self._is_moment = MOMENTS[moment]
        self._refused_s = -math.inf

    def befalls(self, asked: Asked) -> Blow | None:
        now_s = self.scene.now_s()
        if self.began_s is None:
            if not self._is_moment(asked):
                return None
            self.began_s, self.over_s = now_s, now_s + self._seconds
        elif self.over_s is not None and now_s >= self.over_s:
            return None
        elif self._which(asked) and self.over_s is not None and self._grows and now_s > self.began_s + HEARD_S:
            longest_s = self.began_s + self._seconds + self.LONGEST_S
            self.over_s = min(self.over_s + self.LONGER_S, max(longest_s, self.over_s))
        if not self._which(asked):
            return None
        assert self.over_s is not None
        self.scene.struck("")
        if not self._stated and now_s > self._refused_s + HEARD_S:  # what left together is one step of the ladder
            self.refusals, self._refused_s = self.refusals + 1, now_s
        left_s = self.over_s - now_s
        if self._stated:
            left_s = math.ceil(left_s)
            self.over_s = self.stated_end_s = now_s + left_s
        return Blow(instead=self._says(left_s))


class Once(Ban):
    """One answer that asks to wait without saying how long, and every later request would be answered."""

    def befalls(self, asked: Asked) -> Blow | None:
        if self.began_s is not None:
            return None
        return super().befalls(asked)


class Standstill(Stroke):
    """The process stands still for so long, some moments after a fill."""

    def __init__(self, scene: Scene, seconds: float, *, after_s: float) -> None:
        super().__init__(scene)
        self._seconds, self._after_s = seconds, after_s
        self._due_s: float | None = None

    def filled(self, symbol: str) -> None:
        self._due_s = self._due_s or self.scene.now_s() + self._after_s

    def befalls(self, asked: Asked) -> Blow | None:
        now_s = self.scene.now_s()
        if self.began_s is None and self._due_s is not None and now_s >= self._due_s:
            self.began_s = now_s
            self.scene.struck("")
            self.scene.pass_by(self._seconds)
            self.over_s = self.scene.now_s()
        return None


class StalledCommit(Stroke):
    """The first commit after a fill takes so long."""

    def __init__(self, scene: Scene, seconds: float) -> None:
        super().__init__(scene)
        self._seconds = seconds
        self._is_due = False

    def filled(self, symbol: str) -> None:
        self._is_due = True

    def commit(self) -> None:
        if self._is_due and self.began_s is None:
            self.began_s = self.scene.now_s()
            self.scene.struck("")
            self.scene.held_up(self._seconds)
            self.over_s = self.scene.now_s()


class ByHand(Stroke):
    """Something is done to each position some time after it was protected; the stream may be deaf to it."""

    def __init__(self, scene: Scene, act: Callable[[str], None], *, stream_late_s: float = 0.0) -> None:
        super().__init__(scene)
        self._act, self._late_s = act, stream_late_s
        self._due_s: dict[str, float] = {}
        self._done: set[str] = set()

    def stream_late_s(self) -> float:
        return self._late_s

    def protected(self, symbol: str) -> None:
        self._due_s.setdefault(symbol, self.scene.now_s() + self.scene.chance.uniform(0.2, 2.5))

    def due(self) -> None:
        now_s = self.scene.now_s()
        for symbol, due_s in self._due_s.items():
            if now_s >= due_s and symbol not in self._done:
                self._done.add(symbol)
                self.began_s = self.over_s = now_s
                self._act(symbol)
                self.scene.struck(symbol)


class WhileMoving(ByHand):
    """The hand acts at the very moment at which the new stop arrives."""

    def befalls(self, asked: Asked) -> Blow | None:
        symbol = asked.symbol
        if is_stop(asked) and symbol in self._due_s and symbol not in self._done:
            self._done.add(symbol)
            self.began_s = self.over_s = self.scene.now_s()
            self._act(symbol)
            self.scene.struck(symbol)
        return None

    def due(self) -> None:
        """Only the moving stop is waited for."""


class HardToClose(Stroke):
    """No stop can rest, and the close that is then needed meets trouble of its own. Reads may be late as well."""

    def __init__(
        self,
        scene: Scene,
        refusal: Answer,
        *,
        close: Make | None = None,
        close_count: int = 0,
        unfilled: int = 0,
        read_s: float = 0.0,
    ) -> None:
        super().__init__(scene)
        self._refusal, self._close, self._count, self._read_s = refusal, close, close_count, read_s
        self._unfilled = unfilled
        self._refused: dict[str, int] = {}
        self._expired: dict[str, int] = {}
        self._entered: set[str] = set()

    def befalls(self, asked: Asked) -> Blow | None:
        if is_entry(asked):
            self._entered.add(asked.symbol)
        if is_stop(asked):
            self.began_s = self.began_s or self.scene.now_s()
            self.scene.struck(asked.symbol)
            return Blow(instead=self._refusal)
        if is_close(asked) and self._close is not None and self._refused.get(asked.symbol, 0) < self._count:
            self._refused[asked.symbol] = self._refused.get(asked.symbol, 0) + 1
            return self._close(self.scene.chance, asked)
        if self._read_s and is_read(asked) and asked.symbol in self._entered:
            return Blow(answer_s=self._read_s)
        return None

    def fails_to_fill(self, client_id: str) -> bool:
        parts = parse(client_id)
        if parts is None or parts.leg is not Leg.CLOSE:
            return False
        key = f"{parts.symbol_tag}{parts.trade_number}"
        self._expired[key] = self._expired.get(key, 0) + 1
        return self._expired[key] <= self._unfilled

    def is_over(self) -> bool:
        return self.began_s is not None


class Both(Stroke):
    """Two strokes at once; a request meets the first that has something for it."""

    def __init__(self, scene: Scene, first: Stroke, second: Stroke) -> None:
        super().__init__(scene)
        self.parts = (first, second)

    def befalls(self, asked: Asked) -> Blow | None:
        blows = [part.befalls(asked) for part in self.parts]
        self._add_up()
        return next((blow for blow in blows if blow is not None), None)

    def _add_up(self) -> None:
        began = [part.began_s for part in self.parts if part.began_s is not None]
        self.began_s = min(began, default=None)
        self.over_s = max((part.over_s or 0.0 for part in self.parts), default=None)
        ends = [part.stated_end_s for part in self.parts if part.stated_end_s is not None]
        self.stated_end_s = max(ends, default=None)
        self.refusals = sum(part.refusals for part in self.parts)

    def stream_late_s(self) -> float:
        return next((late_s for part in self.parts if (late_s := part.stream_late_s())), 0.0)
