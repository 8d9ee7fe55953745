"""The simulated exchange in this process, behind the port: recorded prices, latency and faults, no network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from exchange.day_volumes import DayVolumes
from exchange.errors import Refusal, Unreachable
from exchange.filters import SymbolFilters
from exchange.refusals import RefusalReason
from exchange.sim.account_api import AccountApi
from exchange.sim.core.events import Batch, touched
from exchange.sim.core.reasons import is_not_open, outcome_of, refusal, refused
from exchange.sim.core.venue import Venue
from exchange.sim.playback.feed import SymbolFeed, day_volumes
from exchange.sim.playback.price_walk import PriceWalk
from exchange.sim.port_faults import Call, Fault, Faults, Lost
from exchange.types import (
    Account,
    AccountModes,
    AlgoOrder,
    AlgoRequest,
    Book,
    Bracket,
    Confirmed,
    Fill,
    Income,
    LookRequest,
    MarginType,
    MarkPrice,
    Order,
    OrderRequest,
    Outcome,
    Pause,
    Position,
    Refused,
    Room,
    SymbolConfig,
    SymbolSnapshot,
    Unknown,
)
from indicators.candle import Candle, Timeframe

LEFT_MAX = 10_000
"""So many ids of requests that left are remembered: the newest are those that anybody asks about."""

_Answer = TypeVar("_Answer")
Sleep = Callable[[float], Awaitable[None]]
Nudge = Callable[[str], None]


class Stage:
    """Plays recorded bars through a venue: funding, then the opens, then the way through each candle.

    A movement may be left after any batch and taken up again by the next ``advance``.
    """

    def __init__(self, venue: Venue, feeds: Mapping[str, SymbolFeed], start_ms: int) -> None:
        self.venue = venue
        self.feeds = dict(sorted(feeds.items()))
        self._walk: PriceWalk | None = None
        (self.step,) = {feed.step for feed in feeds.values()}
        self._bar_ms = self.step.floor(start_ms)

    @property
    def end_ms(self) -> int:
        """When the last recorded candle of any symbol closes."""
        return max(feed.end_ms for feed in self.feeds.values())

    def advance(self, until_ms: int) -> Iterator[Batch]:
        """Let time pass; stops after everything that happened to the account, so that it can be answered there."""
        if self._walk is None:
            yield from self._begin(self._bar_ms)
        while self._bar_ms + self.step.ms <= until_ms:
            assert self._walk is not None
            yield from self._walk.run(self._bar_ms + self.step.ms)
            self._bar_ms += self.step.ms
            yield from self._begin(self._bar_ms)
        assert self._walk is not None
        yield from self._walk.run(until_ms)

    def _begin(self, now_ms: int) -> Iterator[Batch]:
        for symbol, feed in self.feeds.items():
            rate = feed.funding(now_ms)
            if rate is not None and symbol in self.venue.state.quotes:
                self.venue.settle_funding(symbol, rate, now_ms)
        self.venue.drain()
        bars = {symbol: bar for symbol, feed in self.feeds.items() if (bar := feed.bar(now_ms)) is not None}
        self._walk = PriceWalk(self.venue, bars)
        yield from self._walk.open()


class SimPort:
    """Implements exchange.port.Exchange on a stage. ``latency_s`` is one round trip.

    A write takes half of it each way. A read shows what was so when it was asked: it is as stale as it can be.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        sleep: Sleep,
        latency_s: float = 0.0,
        faults: Faults = lambda call: None,
        nudge: Nudge = lambda symbol: None,
    ) -> None:
        self.stage = stage
        self.desk = AccountApi(stage.venue)
        self.faults = faults
        self.nudge = nudge
        self.latency_s = latency_s
        self.modes = AccountModes()
        self.calls = 0
        self.naked: set[str] = set()
        self._left: dict[str, int] = {}
        self._sleep = sleep
        self._late: set[asyncio.Task[None]] = set()

    async def advance(self, until_ms: int, answered: Callable[[], Awaitable[None]]) -> None:
        """Let time pass, and wait after each thing that happened until it was answered."""
        for batch in self.stage.advance(until_ms):
            symbols = touched(batch)
            for symbol in symbols:
                self.nudge(symbol)
            if symbols:
                await answered()

    # --- what goes first, and what went -------------------------------------------------------
    def set_naked(self, symbol: str, naked: bool) -> None:
        """Remembered only: here nothing waits for anything else."""
        (self.naked.add if naked else self.naked.discard)(symbol)

    def has_left(self, client_id: str) -> bool:
        return self._left.get(client_id, 0) > 0

    def pause(self) -> Pause | None:
        """This exchange has no limits."""
        return None

    def room(self) -> Room:
        return Room()

    def tell_unreadable(self, told: Callable[[str, str], None]) -> None:
        """Calls have no rows that could be spoilt on their way."""

    def place_at_once(self, request: AlgoRequest) -> Outcome:
        """As somebody else's request would take effect while nobody here can run."""
        return outcome_of(lambda: self._place_algo(request))

    # --- writes -------------------------------------------------------------------------------
    async def place_order(self, request: OrderRequest) -> Outcome:
        return await self._write("place_order", request.symbol, request.client_id, lambda: self._place_order(request))

    def _place_order(self, request: OrderRequest) -> Outcome:
        """-4116 about this very order means that it rests, as the real client reads it."""
        outcome = self.desk.place_order(request)
        if isinstance(outcome, Refused) and outcome.reason is RefusalReason.DUPLICATE_ID:
            found = self._order(request.symbol, request.client_id)
            if found is not None and (found.side, found.quantity) == (request.side, request.quantity):
                return Confirmed(order=found)
        return outcome

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        return await self._write("place_algo", request.symbol, request.client_id, lambda: self._place_algo(request))

    def _place_algo(self, request: AlgoRequest) -> Outcome:
        """-4116 and -4130 about an order of this very id mean that it rests, as the real client reads them."""
        outcome = self.desk.place_algo(request)
        if isinstance(outcome, Refused) and outcome.reason in (RefusalReason.DUPLICATE_ID, RefusalReason.ALREADY_RESTS):
            found = self._algo(request.symbol, request.client_id)
            asked = (request.side, request.trigger_price)
            if found is not None and found.status.is_open and (found.side, found.trigger_price) == asked:
                return Confirmed(algo_order=found)
        return outcome

    async def cancel_order(self, symbol: str, client_id: str) -> Outcome:
        def cancel() -> Outcome:
            outcome = self.desk.cancel_order(symbol, client_id)
            found = self._order(symbol, client_id) if is_not_open(outcome) else None
            return outcome if found is None else Confirmed(order=found)

        return await self._write("cancel_order", symbol, client_id, cancel)

    async def cancel_algo(self, symbol: str, client_id: str) -> Outcome:
        def cancel() -> Outcome:
            outcome = self.desk.cancel_algo(symbol, client_id)
            found = self._algo(symbol, client_id) if is_not_open(outcome) else None
            return outcome if found is None else Confirmed(algo_order=found)

        return await self._write("cancel_algo", symbol, client_id, cancel)

    async def cancel_all(self, symbol: str) -> Outcome:
        def cancel() -> Outcome:
            self.desk.venue.cancel_all_orders(symbol)
            self.desk.venue.cancel_all_algos(symbol)
            self.desk.venue.drain()
            return Confirmed()

        return await self._write("cancel_all", symbol, "", cancel)

    async def ensure_margin_type(self, symbol: str, margin_type: MarginType) -> Outcome:
        def ensure() -> Outcome:
            return self.desk.ensure_setup(symbol, margin_type, self.desk.venue.symbol_config(symbol).leverage)

        return await self._write("ensure_margin_type", symbol, "", ensure)

    async def ensure_leverage(self, symbol: str, leverage: int) -> Outcome:
        def ensure() -> Outcome:
            return self.desk.ensure_setup(symbol, self.desk.venue.symbol_config(symbol).margin_type, leverage)

        return await self._write("ensure_leverage", symbol, "", ensure)

    # --- reads --------------------------------------------------------------------------------
    async def server_time_ms(self) -> int:
        return await self._read("server_time_ms", "", lambda: self.desk.now_ms)

    async def filters(self) -> dict[str, SymbolFilters]:
        return await self._read("filters", "", self.desk.venue.filters)

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        return await self._read("brackets", symbol, lambda: self.desk.venue.brackets(symbol))

    async def commission_rates(self, symbol: str) -> tuple[Decimal, Decimal]:
        return await self._read("commission_rates", symbol, lambda: self.desk.venue.commission_rates(symbol))

    async def candles(
        self, symbol: str, timeframe: Timeframe, *, start_ms: int | None = None, limit: int = 500
    ) -> list[Candle]:
        def closed() -> list[Candle]:
            if symbol not in self.stage.feeds:
                raise refusal(-1121, "Invalid symbol.")
            feed, now_ms = self.stage.feeds[symbol], self.desk.now_ms
            first_ms = start_ms if start_ms is not None else timeframe.floor(now_ms) - limit * timeframe.ms
            found = feed.candles(timeframe, start_ms=max(first_ms, 0), end_ms=now_ms)
            return found[:limit] if start_ms is not None else found[-limit:]

        return await self._read("candles", symbol, closed)

    async def funding_rates(self, symbol: str, *, start_ms: int) -> list[tuple[int, float]]:
        def settled() -> list[tuple[int, float]]:
            feed, now_ms = self.stage.feeds[symbol], self.desk.now_ms
            times = (at_ms for at_ms in feed.funding_times() if start_ms <= at_ms <= now_ms)
            return [(at_ms, float(rate)) for at_ms in times if (rate := feed.funding(at_ms)) is not None]

        return await self._read("funding_rates", symbol, settled)

    async def mark_price(self, symbol: str) -> MarkPrice:
        return await self._read("mark_price", symbol, lambda: self.desk.prices(symbol))

    async def mark_prices(self, symbols: Collection[str]) -> dict[str, MarkPrice]:
        quoted, prices = self.stage.venue.state.quotes, self.desk.prices
        return await self._read("mark_prices", "", lambda: {name: prices(name) for name in symbols if name in quoted})

    async def day_volumes(self) -> DayVolumes:
        return await self._read("day_volumes", "", lambda: day_volumes(self.stage.feeds, self.desk.now_ms))

    async def book(self, symbol: str) -> Book:
        return await self._read("book", symbol, lambda: self.desk.book(symbol))

    async def account(self) -> Account:
        return await self._read("account", "", self.desk.account)

    async def positions(self, symbol: str | None = None) -> list[Position]:
        return await self._read("positions", symbol or "", lambda: self.desk.venue.positions(symbol))

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        return await self._read("open_orders", symbol or "", lambda: self.desk.venue.open_orders(symbol))

    async def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        return await self._read("open_algos", symbol or "", lambda: self.desk.venue.open_algos(symbol))

    async def order(self, symbol: str, client_id: str) -> Order | None:
        return await self._read("order", symbol, lambda: self._order(symbol, client_id), client_id)

    async def algo(self, symbol: str, client_id: str) -> AlgoOrder | None:
        return await self._read("algo", symbol, lambda: self._algo(symbol, client_id), client_id)

    async def fills(self, symbol: str, *, after_fill_id: int | None = None, start_ms: int | None = None) -> list[Fill]:
        read = self.desk.venue.fills
        return await self._read("fills", symbol, lambda: read(symbol, after_fill_id=after_fill_id, start_ms=start_ms))

    async def past_orders(self, symbol: str, *, start_ms: int) -> list[Order]:
        return await self._read("past_orders", symbol, lambda: self.desk.past_orders(symbol, start_ms))

    async def income(self, *, start_ms: int, end_ms: int | None = None, symbol: str | None = None) -> list[Income]:
        venue = self.desk.venue
        return await self._read(
            "income", symbol or "", lambda: venue.income(start_ms=start_ms, end_ms=end_ms, symbol=symbol)
        )

    async def symbol_config(self, symbol: str) -> SymbolConfig:
        return await self._read("symbol_config", symbol, lambda: self.desk.venue.symbol_config(symbol))

    async def account_modes(self) -> AccountModes:
        return await self._read("account_modes", "", lambda: self.modes)

    async def look(self, symbol: str, request: LookRequest) -> SymbolSnapshot:
        return await self._read("look", symbol, lambda: self.desk.look(symbol, request))

    # --- the way there and back ---------------------------------------------------------------
    async def _write(self, method: str, symbol: str, client_id: str, act: Callable[[], Outcome]) -> Outcome:
        fault = await self._go(method, symbol, client_id, self.latency_s / 2, leaves=True)
        if fault.refuse is not None:
            return refused(fault.refuse, "refused by a fault")
        if fault.lost is Lost.CONNECTION:
            self._left[client_id] -= 1
        elif fault.lost is not Lost.REQUEST and fault.late_s is not None:
            self._under_way(self._later(act, fault.late_s))
        if fault.lost in (Lost.REQUEST, Lost.CONNECTION) or fault.late_s is not None:
            return Unknown(f"{method}: time-out")
        outcome = outcome_of(act)
        await self._sleep(fault.answer_delay_s + self.latency_s / 2)
        if fault.lost is Lost.ANSWER:
            return Unknown(f"{method}: time-out")
        return fault.alter(outcome) if fault.alter is not None else outcome

    async def _later(self, act: Callable[[], Outcome], seconds: float) -> None:
        await self._sleep(seconds)
        outcome_of(act)

    def _under_way(self, work: Coroutine[Any, Any, None]) -> None:
        """What the exchange still does by itself, whatever becomes of the one who asked for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _read(self, method: str, symbol: str, act: Callable[[], _Answer], client_id: str = "") -> _Answer:
        fault = await self._go(method, symbol, client_id, 0.0)
        if fault.refuse is not None:
            raise refusal(fault.refuse, "refused by a fault")
        if fault.error is not None:
            raise fault.error
        if fault.lost is not None:
            raise Unreachable(f"{method}: time-out")
        answer = act()
        await self._sleep(fault.answer_delay_s + self.latency_s)
        return fault.alter(answer) if fault.alter is not None else answer

    async def _go(self, method: str, symbol: str, client_id: str, way_s: float, *, leaves: bool = False) -> Fault:
        self.calls += 1
        fault = self.faults(Call(self.calls, method, symbol, client_id)) or Fault()
        if fault.turn_s:
            await self._sleep(fault.turn_s)
        if leaves:
            self._left[client_id] = self._left.get(client_id, 0) + 1
            if len(self._left) > LEFT_MAX:
                del self._left[next(iter(self._left))]
        await self._sleep(fault.delay_s + way_s)
        return fault

    def _order(self, symbol: str, client_id: str) -> Order | None:
        try:
            return self.desk.venue.order(symbol, client_id=client_id)
        except Refusal:
            return None

    def _algo(self, symbol: str, client_id: str) -> AlgoOrder | None:
        """Conditional orders are found by their id alone, so one of another symbol is none of this one."""
        try:
            found = self.desk.venue.algo(client_id=client_id)
        except Refusal:
            return None
        return found if found.symbol == symbol else None
