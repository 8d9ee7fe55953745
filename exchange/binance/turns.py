"""The queue at the door: what may wait for its turn waits here, and the most urgent leaves first.

What concerns a naked position waits until it may leave or its caller gives it up; what protects others waits a little;
everybody else is told at once how long it would be. Nothing that waits here has left, and giving up frees the place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import msgspec

from exchange.binance.limits import Ask, Budget, Wait
from exchange.binance.pausing import Pausing
from exchange.clock import Clock
from exchange.errors import RateLimited
from exchange.priority import Priority
from exchange.types import Room

_WAIT_S_MAX = {Priority.NAKED: inf, Priority.CLEAR: inf, Priority.COVER: 2.5, Priority.LOOK: 2.5}
_STEP_S = 0.05  # the clock of the windows may run faster than ours in a simulation


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the call's name for messages, what it asks for, and what it becomes while its symbol is naked."""

    name: str
    ask: Ask
    symbol: str = ""
    if_naked: Priority | None = None


@dataclass(eq=False, slots=True)
class _Waiting:
    claim: Claim
    since_s: float
    turn: asyncio.Future[RateLimited | None]
    probe_of: tuple[Pausing, ...] = field(default=())


class Turns:
    """One for an account. The budget decides what may leave; here it is asked for the most urgent first."""

    def __init__(self, budget: Budget, clock: Clock, server_ms: Callable[[], int]) -> None:
        self.budget = budget
        self._clock = clock
        self._server_ms = server_ms
        self._naked: set[str] = set()
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.Task[None] | None = None
        self._wakes_s = inf
        self._served: dict[str, int] = {}  # symbols that had a probe in the present pause, by their turn

    def room(self, look_weight: int) -> Room:
        """What may leave now for what protects, and what of it waits already."""
        orders, weight = self.budget.left(self._server_ms())
        waiting = sum(waiting.claim.ask.protects and not waiting.turn.done() for waiting in self._waiting)
        return Room(orders=orders, looks=None if weight is None else weight // look_weight, waiting=waiting)

    def close(self) -> None:
        """Nobody is let out any more by the passing of time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes_s = None, inf

    def set_naked(self, symbol: str, naked: bool) -> None:
        """What waits for this symbol is more urgent from now on, or no longer."""
        (self._naked.add if naked else self._naked.discard)(symbol)
        self.look_again()

    def is_naked(self, symbol: str) -> bool:
        return symbol in self._naked

    def priority(self, claim: Claim) -> Priority:
        """Its urgency as things are now."""
        if claim.if_naked is not None and claim.symbol in self._naked:
            return claim.if_naked
        return claim.ask.priority

    async def wait(self, claim: Claim) -> RateLimited | None:
        """None: it may leave now, and is booked; otherwise it must not, and for how long."""
        waiting = _Waiting(claim, self._clock.monotonic(), asyncio.get_running_loop().create_future())
        self.budget.asked(claim.ask, waiting.since_s)
        self._come(waiting)
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            self._give_up(waiting)
            raise

    def look_again(self) -> None:
        """Let out what may leave, most urgent first, and tell those who would wait too long."""
        now_s, now_ms = self._clock.monotonic(), self._server_ms()
        if self._served and self.budget.shown(now_s) is None:
            self._served.clear()
        for waiting in self._in_order():
            self._decide(waiting, now_s, now_ms)
        self._waiting = [waiting for waiting in self._waiting if not waiting.turn.done()]
        self._wake_at(min((self._leaves_s(waiting, now_s, now_ms) for waiting in self._waiting), default=inf))

    def _come(self, waiting: _Waiting) -> None:
        """One more at the door; whoever waits there already waits on, unless it is time to look again anyway."""
        self._waiting.append(waiting)
        now_s, now_ms = waiting.since_s, self._server_ms()
        if now_s >= self._wakes_s:
            self.look_again()
            return
        self._decide(waiting, now_s, now_ms)
        if waiting.turn.done():
            self._waiting.remove(waiting)
        else:
            self._wake_at(min(self._leaves_s(waiting, now_s, now_ms), self._wakes_s))

    def _wake_at(self, at_s: float) -> None:
        """Look again then; one timer for all."""
        if at_s == self._wakes_s:
            return
        self.close()
        self._wakes_s = at_s
        if at_s < inf:
            self._timer = asyncio.get_running_loop().create_task(self._wake())

    def _decide(self, waiting: _Waiting, now_s: float, now_ms: int) -> None:
        if waiting.turn.done():
            return
        claim, ask = waiting.claim, self._ask(waiting.claim)
        wait = self.budget.wait(ask, now_s=now_s, now_ms=now_ms)
        if wait.ms == 0:
            waiting.probe_of = self.budget.book(ask, now_s)
            if waiting.probe_of:
                self._served[claim.symbol] = max(self._served.values(), default=0) + 1
            waiting.turn.set_result(None)
        elif now_s + wait.ms / 1_000 > waiting.since_s + _WAIT_S_MAX.get(ask.priority, 0.0):
            waiting.turn.set_result(self._told(claim, ask, wait, now_s))

    def _told(self, claim: Claim, ask: Ask, wait: Wait, now_s: float) -> RateLimited:
        pause = self.budget.shown(now_s)
        why = f"the {ask.priority.name} share of the rate limit is used up"
        if wait.pause_s > 0:
            why = f"{ask.priority.name} waits for the end of a pause ({pause.cause if pause else 'it just ended'})"
        return RateLimited(
            f"{claim.name}: not sent, {why}; wait {wait.ms} ms",
            retry_after_ms=wait.ms,
            banned=pause is not None and pause.banned,
        )

    def _give_up(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif waiting.turn.done() and not waiting.turn.cancelled() and waiting.turn.result() is None:
            self.budget.give_back(waiting.claim.ask, waiting.probe_of, self._clock.monotonic())
        self.look_again()

    def _ask(self, claim: Claim) -> Ask:
        return msgspec.structs.replace(claim.ask, priority=self.priority(claim))

    def _in_order(self) -> list[_Waiting]:
        """Urgency first, then whose symbol is naked; one of each symbol before the next of any; then who came first."""
        ranks: list[tuple[int, bool, int, int, int]] = []
        before: Counter[tuple[Priority, str]] = Counter()
        for number, waiting in enumerate(self._waiting):
            symbol, priority = waiting.claim.symbol, self.priority(waiting.claim)
            ranks.append(
                (-priority, symbol not in self._naked, before[priority, symbol], self._served.get(symbol, 0), number)
            )
            before[priority, symbol] += 1
        return [self._waiting[number] for *_, number in sorted(ranks)]

    def _leaves_s(self, waiting: _Waiting, now_s: float, now_ms: int) -> float:
        """When it may leave, as things are, or when to ask again."""
        wait = self.budget.wait(self._ask(waiting.claim), now_s=now_s, now_ms=now_ms)
        return now_s + max(wait.pause_s, min(wait.window_ms / 1_000, _STEP_S))

    async def _wake(self) -> None:
        await self._clock.sleep(max(self._wakes_s - self._clock.monotonic(), 0.0))
        self._timer, self._wakes_s = None, inf
        self.look_again()
