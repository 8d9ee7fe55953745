"""The real client before the emulator's own routes, as a crash sweep's exchange: a client for each life of the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from exchange.binance.client import BinanceClient
from exchange.secrets import Credentials, Secret
from exchange.sim.account_api import AccountApi
from exchange.sim.core.reasons import refused
from exchange.sim.core.venue import Venue
from exchange.sim.playback.symbols import shipped_exchange_info
from exchange.sim.port_faults import Call, Fault, Faults
from exchange.sim.server.clock import SimClock
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.gateway import Answer, Gateway
from exchange.sim.server.keys import keys_of
from exchange.sim.server.limiter import Limiter
from exchange.sim.server.memory import Asked, Blow, MemoryTransport
from exchange.sim.server.request_log import RequestLog
from exchange.sim.server.world import World
from exchange.types import AlgoRequest, Outcome
from fsm.proofs.crashsweep.stage import CrashingBot
from fsm.proofs.wire.line import REST_URL

READS = frozenset({"look", "open_orders", "open_algos"})
"""What a script may keep unread; other reads of the client go through untouched."""


def _now_s() -> float:
    """Of the loop; zero while a case is being set up."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


class Clear:
    """Weather in which nothing befalls a request."""

    def befalls(self, asked: Asked) -> Blow | None:
        return None

    def arrives(self, asked: Asked) -> None:
        return

    def answered(self, asked: Asked, answer: Answer | None) -> None:
        return

    def stream_late_s(self) -> float:
        return 0.0


class WiredPort:
    """The client's methods, and the hand that moves the emulator's market. A script's faults are made here."""

    def __init__(self, emulator: Emulator, clock: Any) -> None:
        self.nudge: Callable[[str], None] = lambda symbol: None
        self.faults: Faults = lambda call: None
        self.calls = 0
        self._emulator = emulator
        self._clock = clock
        self._transport = MemoryTransport(Gateway(emulator, RequestLog()), Clear())
        self.renew()

    def renew(self) -> None:
        """A new process has a client of its own, and budgets that are free again, as if it began a minute later."""
        used, fresh = self._emulator.limiter, Limiter()
        used.weight, used.funding = fresh.weight, fresh.funding
        used.orders_10s, used.orders_1m = fresh.orders_10s, fresh.orders_1m
        keys = self._emulator.credentials
        credentials = Credentials(api_key=Secret(keys.api_key), api_secret=Secret(keys.api_secret))
        self.client = BinanceClient(
            base_url=REST_URL, clock=self._clock, credentials=credentials, transport=self._transport
        )

    def __getattr__(self, method: str) -> Any:
        found = getattr(self.client, method)
        if method.startswith("place_"):

            async def place(request: Any) -> Outcome:
                fault = self._fault(method, request.symbol, request.client_id)
                if fault.refuse is not None:
                    return refused(fault.refuse, "refused by a fault")
                await asyncio.sleep(fault.turn_s)
                outcome: Outcome = await found(request)
                return outcome

            return place
        if method not in READS:
            return found

        async def read(*args: Any, **named: Any) -> Any:
            fault = self._fault(method)
            if fault.error is not None:
                raise fault.error
            return await found(*args, **named)

        return read

    def _fault(self, method: str, symbol: str = "", client_id: str = "") -> Fault:
        self.calls += 1
        return self.faults(Call(self.calls, method, symbol, client_id)) or Fault()

    def place_at_once(self, request: AlgoRequest) -> Outcome:
        """As somebody else's request would take effect while nobody here can run."""
        return self._emulator.write(lambda: AccountApi(self._emulator.venue).place_algo(request))

    async def advance(self, until_ms: int, answered: Callable[[], Awaitable[None]]) -> None:
        reached = False
        while not reached:
            progress = self._emulator.advance(until_ms, until_event=True)
            reached = progress.reached
            symbols = sorted({str(event["symbol"]) for event in progress.events if event.get("symbol")})
            for symbol in symbols:
                self.nudge(symbol)
            if symbols:
                await answered()


def wire(r: CrashingBot) -> None:
    """Put the real client and an emulator where the port was, before anything has happened."""
    state = r.venue.state
    venue = Venue(
        filters=state.filters,
        brackets=state.brackets,
        balance=state.ledger.wallet,
        maker_rate=state.settings.maker_rate,
        taker_rate=state.settings.taker_rate,
        slippage=state.settings.slippage,
    )
    prices = World.begin(venue, r.stage.feeds, r.start_ms)
    emulator = Emulator(
        world=prices,
        clock=SimClock(prices.now_ms, 0.0, _now_s),
        credentials=keys_of(1),
        exchange_info=shipped_exchange_info(),
        seed=1,
        monotonic=_now_s,
    )
    r.venue = venue
    port = WiredPort(emulator, r.clock)
    r.port = port  # type: ignore[assignment]  # it has what a in-process bot uses of it
    r.on_life = port.renew
