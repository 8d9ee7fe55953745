"""The exchange as a run of torture has it: behind the port, or as an emulator that the real client speaks to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from msgspec.structs import replace

from exchange.binance.client import BinanceClient
from exchange.binance.codec_events import user_event
from exchange.events import Sink, StreamEvent
from exchange.filters import SymbolFilters
from exchange.port import EventStream, Exchange
from exchange.sim.core.events import OrderUpdated, VenueEvent, touched
from exchange.sim.core.venue import Venue
from exchange.sim.in_process import Stage
from exchange.sim.server.clock import SimClock
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.gateway import Gateway
from exchange.sim.server.keys import keys_of
from exchange.sim.server.listing import Told
from exchange.sim.server.memory import MemoryTransport
from exchange.sim.server.numerals import Numerals
from exchange.sim.server.request_log import RequestLog
from exchange.sim.server.user_events import messages
from exchange.sim.server.world import World as Prices
from exchange.types import AlgoRequest, MarginType, OrderRequest, Outcome
from fsm.live.context.clock import Clock
from fsm.proofs.torture.candle_lists import CandleLists
from fsm.proofs.torture.checkers import InvariantChecker
from fsm.proofs.torture.fault_schedule import FaultSchedule
from fsm.proofs.torture.market import Market
from fsm.proofs.torture.plan import Plan
from fsm.proofs.torture.tortured_port import KillSwitch, TorturedPort
from fsm.proofs.torture.wire_fault_schedule import WireFaultSchedule
from fsm.proofs.wire.line import Line
from fsm.proofs.wire.words import event_tells

_Result = TypeVar("_Result")
LATE_S = 3.0


def _now_s() -> float:
    """Of the loop; zero while a run is being set up."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


class Mouth(Protocol):
    """What one process speaks and hears with."""

    exchange: Exchange

    def listen(self, sink: Sink) -> EventStream: ...


class Front(Protocol):
    """``hears``: its stream tells the bot by itself. ``calm_s`` is how long a look at everything held takes at most."""

    faults: FaultSchedule
    candles: CandleLists
    hears: bool
    calm_s: float

    @property
    def writes(self) -> int: ...

    @property
    def calls(self) -> int: ...

    def mouth(self) -> Mouth: ...

    def is_paused(self) -> bool:
        """The exchange has asked this process to wait, and it does."""
        ...

    def advance(self, until_ms: int) -> list[str]:
        """Let the market go on, up to the first thing that happens to the account; whose it was."""
        ...

    def drain(self) -> None:
        """Something was done to the venue by another hand: tell of it."""
        ...

    def change_rules(self, filters: SymbolFilters) -> None:
        """The exchange has other rules for a symbol from now on."""
        ...

    def tell(self, symbol: str, how: Told) -> None:
        """What it tells of a symbol from now on."""
        ...

    def settle(self, symbol: str) -> None:
        """It is delisted: its orders are cancelled, its position is closed at the mark."""
        ...


class PortFront:
    """The simulated exchange at the port: calls, not requests."""

    hears = False
    calm_s = 1.1

    def __init__(
        self, plan: Plan, market: Market, venue: Venue, clock: Clock, checker: InvariantChecker, kill: KillSwitch
    ) -> None:
        self._venue = venue
        self._stage = Stage(venue, {name: market.feeds[name] for name in plan.symbols}, plan.start_ms)
        for _ in self._stage.advance(plan.start_ms):
            raise AssertionError("something happened to an account that has nothing")
        self.faults = FaultSchedule(plan.seed, venue, clock.monotonic)
        self.candles = CandleLists()
        self._port = TorturedPort(
            self._stage,
            sleep=clock.sleep,
            latency_s=plan.latency_s,
            faults=self.faults,
            checker=checker,
            kill=kill,
            candles=self.candles,
            seed=plan.seed,
        )
        self._checker = checker
        self._hearer: PortMouth | None = None
        venue.state.witnesses.append(self._happened)

    @property
    def writes(self) -> int:
        return self._port.writes

    @property
    def calls(self) -> int:
        return self._port.calls

    def mouth(self) -> Mouth:
        self._hearer = PortMouth(self._port)
        return self._hearer

    def is_paused(self) -> bool:
        return False

    def _happened(self, event: VenueEvent) -> None:
        """Fills are told by the stream, half a round trip later, unless it is deaf or late."""
        if not isinstance(event, OrderUpdated) or event.fill is None:
            return
        trouble = self.faults.stream()
        if "lost" not in trouble:
            late_s = LATE_S if "late" in trouble else self._port.latency_s / 2
            asyncio.get_running_loop().call_later(late_s, self._tell, event)

    def _tell(self, event: OrderUpdated) -> None:
        for message in messages(event, self._venue.state.filters):
            told = user_event(message.payload)
            event_tells(self._checker.judge, told)
            if self._hearer is not None and self._hearer.stream is not None:
                self._hearer.stream.tell(told)

    def advance(self, until_ms: int) -> list[str]:
        for batch in self._stage.advance(until_ms):
            symbols = touched(batch)
            if symbols:
                return symbols
        return []

    def drain(self) -> None:
        self._venue.drain()

    def change_rules(self, filters: SymbolFilters) -> None:
        self._venue.state.filters[filters.symbol] = filters

    def tell(self, symbol: str, how: Told) -> None:
        self._port.told_of[symbol] = how

    def settle(self, symbol: str) -> None:
        self._venue.settle(symbol)
        self._venue.drain()


class PortMouth:
    """The port itself, and fills as the stream tells them; of everything else the driver of the world nudges lanes."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.stream: ToldFills | None = None

    def listen(self, sink: Sink) -> EventStream:
        self.stream = ToldFills(sink)
        return self.stream


class ToldFills:
    """An event stream without a connection, which could be deaf: whoever moves the market tells it."""

    is_open = True

    def __init__(self, sink: Sink) -> None:
        self.received_count = 0
        self._sink = sink

    def tell(self, event: StreamEvent) -> None:
        self.received_count += 1
        self._sink(event)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def expect(self, client_id: str) -> None:
        """Nothing is told again."""


class ClientFront:
    """An emulator behind its own routes, and the real client with the real user stream for each process."""

    hears = True
    calm_s = 3.2

    def __init__(
        self, plan: Plan, market: Market, venue: Venue, clock: Clock, checker: InvariantChecker, kill: KillSwitch
    ) -> None:
        self._clock, self._checker, self._kill = clock, checker, kill
        feeds = {name: market.feeds[name] for name in plan.symbols}
        prices = Prices.begin(venue, feeds, plan.start_ms)
        self._emulator = Emulator(
            world=prices,
            clock=SimClock(prices.now_ms, 0.0, _now_s),
            credentials=keys_of(plan.seed),
            exchange_info=market.exchange_info(),
            seed=plan.seed,
            monotonic=_now_s,
        )
        self._emulator.limiter.tells_wait = plan.seed % 2 == 0
        self.faults: FaultSchedule
        self.candles = CandleLists()
        self._wire = WireFaultSchedule(plan.seed, self._emulator, clock.monotonic, checker, self.candles)
        self.faults = self._wire
        gateway = Gateway(self._emulator, RequestLog())
        self._transport = MemoryTransport(gateway, self._wire, round_trip_s=plan.latency_s)
        self.written: Counter[str] = Counter()
        self._mouth: ClientMouth | None = None

    @property
    def writes(self) -> int:
        return self.written.total()

    @property
    def calls(self) -> int:
        return self._transport.asked

    def mouth(self) -> Mouth:
        self._mouth = ClientMouth(self._emulator, self._transport, self._wire, self._clock, self)
        return self._mouth

    def is_paused(self) -> bool:
        return self._mouth is not None and self._mouth.client.pause() is not None

    def watched(self, client: BinanceClient) -> Exchange:
        return cast(Exchange, WatchedClient(client, self._checker, self._kill, self.written))

    def heard(self, event: Any) -> None:
        event_tells(self._checker.judge, event)

    def advance(self, until_ms: int) -> list[str]:
        progress = self._emulator.advance(until_ms, until_event=True)
        return sorted({str(event["symbol"]) for event in progress.events if event.get("symbol")})

    def drain(self) -> None:
        self._emulator.tell(self._emulator.venue.drain())

    def change_rules(self, filters: SymbolFilters) -> None:
        """What was written with more decimals before is written with them still."""
        emulator, symbol = self._emulator, filters.symbol
        values = {
            "PRICE_FILTER": {"tickSize": f"{filters.tick_size:f}"},
            "LOT_SIZE": {"stepSize": f"{filters.step_size:f}", "minQty": f"{filters.quantity_min:f}"},
            "MARKET_LOT_SIZE": {
                "stepSize": f"{filters.market_step_size:f}",
                "minQty": f"{filters.market_quantity_min:f}",
                "maxQty": f"{filters.market_quantity_max:f}",
            },
        }
        emulator.state.filters[symbol] = replace(
            emulator.listing.change(symbol, values, status=filters.status), symbol=symbol
        )
        known, now = emulator.numerals[symbol], Numerals.of(filters)
        emulator.numerals[symbol] = Numerals(min(known.tick, now.tick), min(known.step, now.step))

    def tell(self, symbol: str, how: Told) -> None:
        self._emulator.listing.tell(symbol, how)

    def settle(self, symbol: str) -> None:
        self._emulator.listing.change(symbol, {}, status="SETTLING")
        self._emulator.write(lambda: self._emulator.venue.settle(symbol))


class ClientMouth(Line):
    """A line whose client is watched."""

    def __init__(
        self,
        emulator: Emulator,
        transport: MemoryTransport,
        faults: WireFaultSchedule,
        clock: Clock,
        front: ClientFront,
    ) -> None:
        super().__init__(emulator, transport, faults, clock, front.heard)
        self.exchange = front.watched(self.client)


class WatchedClient:
    """The real client, whose writes are checked as they leave, and may be the last of the process."""

    def __init__(
        self, client: BinanceClient, checker: InvariantChecker, kill: KillSwitch, written: Counter[str]
    ) -> None:
        self._client, self._checker, self._kill, self._written = client, checker, kill, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def filters(self) -> dict[str, SymbolFilters]:
        found = await self._client.filters()
        self._checker.rules.told(found)
        return found

    async def place_order(self, request: OrderRequest) -> Outcome:
        self._checker.order_leaves(request)
        return await self._write("place_order", lambda: self._client.place_order(request))

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        self._checker.algo_leaves(request)
        return await self._write("place_algo", lambda: self._client.place_algo(request))

    async def cancel_order(self, symbol: str, client_id: str) -> Outcome:
        return await self._write("cancel_order", lambda: self._client.cancel_order(symbol, client_id))

    async def cancel_algo(self, symbol: str, client_id: str) -> Outcome:
        return await self._write("cancel_algo", lambda: self._client.cancel_algo(symbol, client_id))

    async def ensure_margin_type(self, symbol: str, margin_type: MarginType) -> Outcome:
        return await self._write("ensure_margin_type", lambda: self._client.ensure_margin_type(symbol, margin_type))

    async def ensure_leverage(self, symbol: str, leverage: int) -> Outcome:
        return await self._write("ensure_leverage", lambda: self._client.ensure_leverage(symbol, leverage))

    async def _write(self, what: str, call: Callable[[], Awaitable[_Result]]) -> _Result:
        self._written[what] += 1
        await self._kill.passes("before-write")
        outcome = await call()
        await self._kill.passes("after-write")
        await asyncio.sleep(0)
        return outcome


Build = Callable[[Plan, Market, Venue, Clock, InvariantChecker, KillSwitch], Front]
FRONTS: dict[str, Build] = {"port": PortFront, "real": ClientFront}
"""What a run speaks to: the port, or an emulator through the real client."""
