"""The in-process exchange under torture: every call passes the weather and is seen by the checker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from exchange.client_ids import Leg
from exchange.day_volumes import DayVolumes
from exchange.filters import SymbolFilters
from exchange.sim.in_process import SimPort, Stage
from exchange.sim.port_faults import Call, Fault
from exchange.sim.server.listing import Told
from exchange.types import AlgoRequest, Confirmed, OrderRequest, Outcome
from fsm.proofs.torture.candle_lists import CandleLists
from fsm.proofs.torture.checkers import InvariantChecker
from fsm.proofs.torture.fault_catalog import WRITES, leg_of_id
from fsm.proofs.torture.fault_schedule import FaultSchedule
from fsm.proofs.torture.naked_time import AGAIN_S
from indicators.candle import Candle, Timeframe

DAY_MS = Timeframe.D1.ms
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
        faults: FaultSchedule,
        checker: InvariantChecker,
        kill: KillSwitch,
        candles: CandleLists,
        seed: int = 0,
    ) -> None:
        super().__init__(stage, sleep=sleep, latency_s=latency_s, faults=self._befallen)
        self._candles = candles
        self._seed = seed
        self.told_of: dict[str, Told] = {}
        self._faults = faults
        self._checker = checker
        self._kill = kill
        self.writes = 0

    def _befallen(self, call: Call) -> Fault | None:
        """A call that goes wrong keeps the bot from acting until it has ended, and a moment longer."""
        fault = self._faults(call)
        how = self.told_of.get(call.symbol)
        if how is Told.GONE or (how is Told.UNBRACKETED and call.method == "brackets"):
            fault = Fault(refuse=-1121)
        if fault is not None and call.symbol:
            now_s = asyncio.get_running_loop().time()
            takes_s = fault.delay_s + fault.answer_delay_s + self.latency_s
            self._checker.judge.hindered(call.symbol, now_s, now_s + takes_s + AGAIN_S)
        return fault

    async def place_order(self, request: OrderRequest) -> Outcome:
        self._checker.order_leaves(request)
        return await super().place_order(request)

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        self._checker.algo_leaves(request)
        return await super().place_algo(request)

    async def filters(self) -> dict[str, SymbolFilters]:
        told = await super().filters()
        found = {name: row for name, row in told.items() if self.told_of.get(name) not in (Told.GONE, Told.UNREADABLE)}
        self._checker.rules.told(found)
        return found

    async def candles(
        self, symbol: str, timeframe: Timeframe, *, start_ms: int | None = None, limit: int = 500
    ) -> list[Candle]:
        found = await super().candles(symbol, timeframe, start_ms=start_ms, limit=limit)
        return self._candles.told(symbol, timeframe, found, self.desk.now_ms)

    async def day_volumes(self) -> DayVolumes:
        """On another day others are traded most."""
        told = await super().day_volumes()
        chance = Random(f"volumes {self._seed} {self.desk.now_ms // DAY_MS}")  # noqa: S311 - chance, not secrecy
        return DayVolumes({name: Decimal(chance.randrange(1_000)) for name in sorted(told.quote)}, told.unread)

    async def _write(self, method: str, symbol: str, client_id: str, act: Callable[[], Outcome]) -> Outcome:
        def acting() -> Outcome:
            return self._takes_effect(method, symbol, client_id, act)

        self.writes += method in WRITES
        await self._kill.passes("before-write")
        began_s = asyncio.get_running_loop().time()
        outcome = await super()._write(method, symbol, client_id, acting)
        await self._kill.passes("after-write")
        if method == "place_order":
            self._heard(symbol, client_id, outcome, began_s)
        return outcome

    def _heard(self, symbol: str, client_id: str, outcome: Outcome, began_s: float) -> None:
        """Fills are word of a position; a close that is refused or leaves some of it open is worth one round trip."""
        order = outcome.order if isinstance(outcome, Confirmed) else None
        if order is not None and order.executed_quantity > 0:
            self._checker.judge.word(symbol)
        if leg_of_id(client_id) is Leg.CLOSE and (order is None or self._checker.quantity(symbol) != 0):
            now_s = asyncio.get_running_loop().time()
            self._checker.judge.hindered(symbol, began_s, now_s + AGAIN_S)

    def _takes_effect(self, method: str, symbol: str, client_id: str, act: Callable[[], Outcome]) -> Outcome:
        if method == "cancel_algo":
            self._checker.algo_is_cancelled(symbol, client_id)
        elif method == "cancel_order":
            self._checker.order_is_cancelled(client_id)
        elif method == "place_order":
            self._faults.about_to_execute()
        return act()

    async def _read(self, method: str, symbol: str, act: Callable[[], _Answer], client_id: str = "") -> _Answer:
        answer: Any = await super()._read(method, symbol, act, client_id)
        if method in ("look", "positions"):
            self._checker.saw(answer)
        return answer  # type: ignore[no-any-return]
