"""Holds one running simulation together: the world, its clock, its limits, its faults, and who listens to it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import msgspec

from exchange.errors import Refusal
from exchange.sim.core.events import AccountUpdated, Batch
from exchange.sim.core.holding import Holding
from exchange.sim.core.orders import AlgoState
from exchange.sim.core.state import TriggerFault, VenueState
from exchange.sim.core.venue import Venue
from exchange.sim.server.auth import Gatekeeper
from exchange.sim.server.clock import SimClock
from exchange.sim.server.faults import About, Effect, Faults
from exchange.sim.server.hub import Hub
from exchange.sim.server.keys import Keys, characters
from exchange.sim.server.limiter import Limiter
from exchange.sim.server.listen_keys import ListenKeys
from exchange.sim.server.listing import Listing
from exchange.sim.server.market import Market
from exchange.sim.server.market_feed import MarketFeed
from exchange.sim.server.modes import Modes
from exchange.sim.server.numerals import Numerals
from exchange.sim.server.params import Params
from exchange.sim.server.user_events import Message, listen_key_expired, messages
from exchange.sim.server.user_feed import UserFeed
from exchange.sim.server.world import World

Row = Mapping[str, object]
Result = TypeVar("Result")


class Progress(msgspec.Struct, frozen=True):
    """How an ``advance`` ended: what happened to the account, and whether the time asked for was reached."""

    events: list[Row]
    reached: bool


@dataclass(slots=True, kw_only=True)
class Emulator:
    """Everything that requests and streams work on. Only the loop that owns it may touch it."""

    world: World
    clock: SimClock
    credentials: Keys
    exchange_info: Row
    seed: int
    monotonic: Callable[[], float]
    slack_ms: int = 0
    limiter: Limiter = field(default_factory=Limiter)
    modes: Modes = field(default_factory=Modes)
    skew_ms: int = 0
    changes: int = 0
    hidden: set[int] = field(default_factory=set)
    countdowns: dict[str, int] = field(default_factory=dict)
    previous: dict[str, Holding] = field(default_factory=dict)
    shows_previous: bool = False
    listing: Listing = field(init=False)
    market: Market = field(init=False)
    hub: Hub = field(init=False)
    faults: Faults = field(init=False)
    gatekeeper: Gatekeeper = field(init=False)
    listen_keys: ListenKeys = field(init=False)
    market_feed: MarketFeed = field(init=False)
    user_feed: UserFeed = field(init=False)
    numerals: dict[str, Numerals] = field(init=False)
    _known: dict[str, Holding] = field(default_factory=dict)
    _told: list[Row] = field(default_factory=list)
    _later: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _ticket: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.listing = Listing(self.exchange_info)
        self.market = Market(self.world)
        self.hub = Hub(self.monotonic)
        self.faults = Faults(self.seed)
        self.gatekeeper = Gatekeeper(self.credentials, self.slack_ms)
        self.listen_keys = ListenKeys(self.seed, self.monotonic)
        self.user_feed = UserFeed(self.hub, self.listen_keys)
        self.market_feed = MarketFeed(self.world, self.market, self.hub, self.monotonic)
        self.numerals = {symbol: Numerals.of(filters) for symbol, filters in self.state.filters.items()}
        self._known = dict(self.state.holdings)
        self.world.on_close = self.market_feed.closed
        self.state.trigger_fault = self._trigger_fault

    # --- reading ------------------------------------------------------------------------------
    @property
    def venue(self) -> Venue:
        return self.world.venue

    @property
    def state(self) -> VenueState:
        return self.world.venue.state

    @property
    def now_ms(self) -> int:
        return self.world.now_ms

    @property
    def server_ms(self) -> int:
        """What the exchange's own clock shows: the time, unless a fault made it jump."""
        return self.now_ms + self.skew_ms

    def symbol(self, params: Params) -> str:
        """The symbol of a request; -1121 when it does not exist here."""
        symbol = params.text("symbol")
        if symbol not in self.world.feeds:
            raise Refusal(-1121, "Invalid symbol.")
        self.listing.check(symbol)
        return symbol

    def symbols(self, params: Params) -> list[str]:
        """The symbol that was sent, or all."""
        listed = [symbol for symbol in self.world.feeds if self.listing.has(symbol)]
        return [self.symbol(params)] if "symbol" in params else listed

    def new_client_id(self) -> str:
        """For orders sent without one."""
        return characters(f"id {self.seed} {self.state.ids_made}")[:22]

    # --- moving -------------------------------------------------------------------------------
    def advance(self, until_ms: int, *, until_event: bool = False) -> Progress:
        """Let time pass until then, or until something happens to the account."""
        events: list[Row] = []
        while True:
            due = self._later[0][0] if self._later else until_ms
            batch = self.world.step(min(until_ms, max(due, self.now_ms)))
            if batch is None and self._later and self._later[0][0] <= self.now_ms:
                self._told = []
                heapq.heappop(self._later)[2]()
                events += self._told
                batch = self.venue.drain()
            if batch is None:
                if self.now_ms >= until_ms or self.world.ended:
                    return Progress(events, reached=True)
                continue
            events += self.tell(batch)
            if until_event and events:
                return Progress(events, reached=False)

    def write(self, action: Callable[[], Result]) -> Result:
        """Change the account, and tell the streams what came of it."""
        try:
            return action()
        finally:
            self.changes += 1
            self.tell(self.venue.drain())

    def move_prices(self, action: Callable[[], Iterator[Batch]]) -> None:
        """Prices do something of their own; they are back on their recorded path with the next movement."""
        for moves in (self.world.finish_instant(), action()):
            for batch in moves:
                self.tell(batch)
        self.tell(self.venue.drain())
        self.market_feed.moved(force=True)

    def later(self, at_ms: int, action: Callable[[], None]) -> None:
        """Have something done when it is that time."""
        heapq.heappush(self._later, (at_ms, next(self._ticket), action))

    def tell(self, batch: Batch) -> list[Row]:
        """Send events to the streams; returns them in short."""
        self._told = told = []
        for event in batch:
            self.changes += 1
            if isinstance(event, AccountUpdated):
                self._remember(event)
            for message in messages(event, self.state.filters):
                told.append(_in_short(message))
                self._send(message)
        return told

    # --- what faults do -----------------------------------------------------------------------
    def side_effects(self, effect: Effect) -> None:
        """The parts of a fault that are not about one answer or one event."""
        self.skew_ms += effect.clock_jump_ms
        self._close(effect)
        if effect.expire_listen_key:
            self.expire_listen_key()
        if effect.cut_streams:
            self.hub.cut()

    def _close(self, effect: Effect) -> None:
        limiter, now_ms, grows_ms, silent = self.limiter, self.now_ms, effect.grow_ms, effect.silent
        if effect.limit_ms:
            limiter.limit_until(now_ms + effect.limit_ms, grows_ms=grows_ms, silent=silent)
        if effect.ban_ms:
            limiter.ban_until(now_ms + effect.ban_ms, grows_ms=grows_ms, silent=silent)
        if effect.firewall_ms:
            limiter.firewall_until(now_ms + effect.firewall_ms, grows_ms=grows_ms)
        if effect.orders_ms:
            limiter.no_orders_until(now_ms + effect.orders_ms, grows_ms=grows_ms, silent=silent)

    def expire_listen_key(self) -> None:
        """The key ends: its streams hear of it, and then nothing any more (they stay open)."""
        key = self.listen_keys.active()
        if key is not None:
            self.user_feed.deliver(listen_key_expired(key, self.now_ms))
            self.listen_keys.forget()

    @contextmanager
    def showing_previous(self, wanted: bool) -> Iterator[None]:
        """While it lasts, positions are told as they were before their last change."""
        self.shows_previous = wanted
        try:
            yield
        finally:
            self.shows_previous = False

    def shown_holding(self, symbol: str) -> Holding:
        """The position that is told about a symbol."""
        actual = self.state.holding(symbol)
        return self.previous.get(symbol, actual) if self.shows_previous else actual

    def _remember(self, event: AccountUpdated) -> None:
        for view in event.positions:
            symbol = view.holding.symbol
            self.previous[symbol] = self._known.get(symbol, Holding(symbol=symbol))
            self._known[symbol] = view.holding

    def _send(self, message: Message) -> None:
        armed = self.faults.pick(About.EVENT, _facts_of(message), self.now_ms)
        self.user_feed.send(message, None if armed is None else armed.effect)
        if armed is not None:
            self.side_effects(armed.effect)

    def _trigger_fault(self, algo: AlgoState) -> TriggerFault | None:
        facts: dict[str, str | int | bool | None] = {
            "symbol": algo.symbol,
            "type": algo.type.value,
            "side": algo.side.value,
            "client_id": algo.client_id,
            "reducing": algo.reduce_only or algo.close_position,
        }
        armed = self.faults.pick(About.TRIGGER, facts, self.now_ms)
        if armed is None:
            return None
        return TriggerFault.REFUSED if armed.effect.reject else TriggerFault.UNFILLED


def _facts_of(message: Message) -> dict[str, str | None]:
    told = message.payload.get("o")
    row = told if isinstance(told, dict) else message.payload
    named = {
        "type": row.get("ot") or row.get("o"),
        "side": row.get("S"),
        "client_id": row.get("c") or row.get("caid"),
        "execution": row.get("x"),
        "status": row.get("X"),
    }
    facts = {name: value for name, value in named.items() if isinstance(value, str)}
    return {"event": message.kind, "symbol": message.symbol, **facts}


def _in_short(message: Message) -> Row:
    return {name: value for name, value in _facts_of(message).items() if value}
