"""Runs the exchange on paper: asks the real one for rules and prices, then serves an account of its own on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from exchange.binance.http import Http
from exchange.binance.public_prices import PublicPrices
from exchange.binance.stream import Connect
from exchange.clock import Clock
from exchange.errors import ExchangeError, Refusal
from exchange.filters import SymbolFilters
from exchange.paper.clock import PaperClock
from exchange.paper.feed import Feed, open_symbols
from exchange.paper.gateway import PaperGateway
from exchange.paper.mirror import Mirror
from exchange.paper.world import LiveWorld
from exchange.priority import Priority
from exchange.refusals import RefusalReason
from exchange.sim.core.venue import Venue
from exchange.sim.playback.rulebook import Rulebook
from exchange.sim.playback.symbols import Row, filters_of
from exchange.sim.server.app import App
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.keys import keys_of
from exchange.sim.server.saved import SavedState, StateError, StateFile
from exchange.sim.server.serve import Process, host
from exchange.sim.server.setup import SimulatedAccount

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""So long a start waits for the real exchange; then whoever started it decides."""

_AGAIN_S = 2.0


class NoPrices(Exception):
    """The real exchange does not answer, so there is nothing to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSetup(SimulatedAccount):
    """Where prices come from, beside what the account is like. ``brackets``: folders with files of the user's own."""

    rest_url: str
    ws_urls: tuple[str, ...]
    symbols: tuple[str, ...]
    brackets: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """An exchange on paper that has its first prices."""

    app: App
    feed: Feed
    gateway: PaperGateway
    mirror: Mirror
    prices: PublicPrices

    async def aclose(self) -> None:
        await self.mirror.aclose()
        await self.prices.http.aclose()


async def serve(setup: PaperSetup, process: Process, clock: Clock) -> None:
    """Until SIGTERM or SIGINT. Raises NoPrices, StateError, CandleFileError, and OSError for a port that is taken."""
    file = None if process.state is None else StateFile(process.state)
    if file is not None:
        file.lock()
    http = Http(base_url=setup.rest_url, clock=clock, steady=True)
    prices, mirror = PublicPrices(http), Mirror(setup.rest_url)
    try:
        paper = await _patiently(setup, prices, mirror, clock, None if file is None else file.read())
        await host(paper.app, process, file, (paper.feed.run,))
    finally:
        await mirror.aclose()
        await http.aclose()


async def _patiently(
    setup: PaperSetup, prices: PublicPrices, mirror: Mirror, clock: Clock, saved: SavedState | None
) -> Paper:
    began_s = clock.monotonic()
    while True:
        try:
            return await begin(setup, prices, mirror, clock, saved)
        except ExchangeError as error:
            if isinstance(error, Refusal) and error.reason is RefusalReason.NOT_SERVED:
                raise NoPrices(f"{setup.rest_url} does not serve this place, and will not: {error}") from error
            if clock.monotonic() - began_s > PATIENCE_S:
                raise NoPrices(f"{setup.rest_url} does not answer: {error}") from error
            log.warning("%s does not answer, and is asked again: %s", setup.rest_url, error)
        await clock.sleep(_AGAIN_S)


async def begin(
    setup: PaperSetup,
    prices: PublicPrices,
    mirror: Mirror,
    clock: Clock,
    saved: SavedState | None = None,
    *,
    connect_to: Connect | None = None,
) -> Paper:
    """With the rules and prices of now; a saved account meets everything that happened since. Raises ExchangeError."""
    now_ms = await prices.http.server_time_ms(Priority.LOOK)
    info = await prices.rules()
    brackets = Rulebook.read(setup.brackets).brackets
    filters = {symbol: found for symbol, found in (await _filters(prices, info)).items() if symbol in brackets}
    if saved is None:
        venue = Venue(
            filters=filters,
            brackets=brackets,
            balance=setup.balance,
            maker_rate=setup.maker_fee_pct / 100,
            taker_rate=setup.taker_fee_pct / 100,
            slippage=setup.slippage_pct / 100,
            stop_depth=setup.stop_depth,
        )
        venue.state.now_ms = now_ms
    else:
        venue = saved.load_venue(filters, brackets)
        lost = sorted({symbol for symbol in open_symbols(venue) if symbol not in filters})
        if lost:
            raise StateError(
                f"the account on paper holds {', '.join(lost)}, and nobody tells its rules or its brackets any more: "
                "put the brackets into var/data/brackets.json, or move the .exchange file away to begin afresh"
            )
    timeframe = await prices.shortest(next(iter(setup.symbols), "BTCUSDT"))
    world = LiveWorld(venue, sorted(filters), {} if saved is None else saved.heard, timeframe)
    known: list[Callable[[], int | None]] = []
    emulator = Emulator(
        world=world,
        clock=PaperClock(world.now_ms, lambda: known[0]()),
        credentials=keys_of(setup.seed if saved is None else saved.seed),
        exchange_info=info,
        seed=setup.seed if saved is None else saved.seed,
        monotonic=clock.monotonic,
        hidden=set() if saved is None else set(saved.hidden),
    )
    feed = Feed(
        prices=prices,
        ws_urls=setup.ws_urls,
        emulator=emulator,
        world=world,
        clock=clock,
        timeframe=timeframe,
        watched=setup.symbols,
        connect_to=connect_to,
    )
    known.append(feed.known_ms)
    feed.settle_gone()
    await feed.catch_up(list(feed.watched))
    gateway = PaperGateway(emulator, feed, mirror)
    app = App(emulator, gateway)
    gateway.keep_time = app.control.keep_time
    return Paper(app=app, feed=feed, gateway=gateway, mirror=mirror, prices=prices)


async def _filters(prices: PublicPrices, info: Row) -> Mapping[str, SymbolFilters]:
    found = filters_of(info)
    hours = await prices.funding_hours()
    return {
        symbol: replace(filters, funding_interval_hours=hours.get(symbol, filters.funding_interval_hours))
        for symbol, filters in found.items()
    }
