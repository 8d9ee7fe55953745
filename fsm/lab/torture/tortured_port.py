"""The in-process exchange under torture: every call passes the weather and is seen by the watchman."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from exchange.sim.port import SimPort, Stage
from exchange.types import AlgoRequest, OrderRequest, Outcome
from fsm.lab.torture.invariants import Watchman
from fsm.lab.torture.menu import WRITES
from fsm.lab.torture.weather import Weather

_Answer = TypeVar("_Answer")


class KillSwitch:
    """Ends the process at the so-manieth write from when it was set: before or after it takes effect."""

    def __init__(self) -> None:
        self.pulled = asyncio.Event()
        self._what = ""
        self._left = 0

    def set(self, what: str, count: int) -> None:
        self._what, self._left = what, count

    def clear(self) -> None:
        self._what, self._left = "", 0
        self.pulled.clear()

    async def passes(self, where: str) -> None:
        """Whoever is killed here never comes back from it."""
        if where != self._what:
            return
        self._left -= 1
        if self._left <= 0:
            self._what = ""
            self.pulled.set()
            await asyncio.Event().wait()


class TorturedPort(SimPort):
    """A SimPort whose writes are checked before they leave and as they take effect."""

    def __init__(
        self,
        stage: Stage,
        *,
        sleep: Callable[[float], Awaitable[None]],
        latency_s: float,
        weather: Weather,
        watchman: Watchman,
        kill: KillSwitch,
    ) -> None:
        super().__init__(stage, sleep=sleep, latency_s=latency_s, faults=weather)
        self._weather = weather
        self._watchman = watchman
        self._kill = kill
        self.writes = 0

    async def place_order(self, request: OrderRequest) -> Outcome:
        self._watchman.order_leaves(request)
        return await super().place_order(request)

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        self._watchman.algo_leaves(request)
        return await super().place_algo(request)

    async def _write(self, method: str, symbol: str, client_id: str, act: Callable[[], Outcome]) -> Outcome:
        def acting() -> Outcome:
            return self._takes_effect(method, symbol, client_id, act)

        self.writes += method in WRITES
        await self._kill.passes("before-write")
        outcome = await super()._write(method, symbol, client_id, acting)
        await self._kill.passes("after-write")
        order = getattr(outcome, "order", None)
        if order is not None and order.executed_quantity > 0:
            self._watchman.saw(self.desk.venue.positions(symbol))
        return outcome

    def _takes_effect(self, method: str, symbol: str, client_id: str, act: Callable[[], Outcome]) -> Outcome:
        if method == "cancel_algo":
            self._watchman.algo_is_cancelled(symbol, client_id)
        elif method == "cancel_order":
            self._watchman.order_is_cancelled(client_id)
        elif method == "place_order":
            self._weather.about_to_execute()
        outcome = act()
        if method == "place_order":
            self._watchman.order_took_effect(client_id, outcome)
        return outcome

    async def _read(self, method: str, symbol: str, act: Callable[[], _Answer], client_id: str = "") -> _Answer:
        answer: Any = await super()._read(method, symbol, act, client_id)
        if method in ("look", "positions"):
            self._watchman.saw(answer)
        return answer  # type: ignore[no-any-return]
