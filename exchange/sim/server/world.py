"""Moves the venue along recorded prices, bar by bar, in the one order that backtests use too.

At the end of a bar, T: funding, then the jump to the opens of the new candles with the triggers they hit, then the
candles that ended are announced; decisions of clients come after that (semantics: order within one instant).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from decimal import Decimal

import msgspec

from exchange.sim.core.events import Batch
from exchange.sim.core.venue import Venue
from exchange.sim.playback.candle_path import Bar, Mark
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.price_walk import PriceWalk


class Heard(msgspec.Struct, frozen=True):
    """What was told of the minute under way of prices that nobody recorded: highest and lowest so far."""

    open_ms: int
    last: tuple[Decimal, Decimal]
    mark_open_ms: int
    mark: tuple[Decimal, Decimal]


class World:
    """Venue and prices. ``on_close`` is told when candles have just closed. All feeds have bars of one length."""

    is_recorded = True

    def __init__(
        self,
        venue: Venue,
        feeds: Mapping[str, SymbolFeed],
        *,
        bar_ms: int,
        marks: Mapping[str, Mark] | None = None,
    ) -> None:
        self.venue = venue
        self.feeds = dict(sorted(feeds.items()))
        (self.timeframe,) = {feed.step for feed in self.feeds.values()}
        self.data_end_ms = max(feed.end_ms for feed in self.feeds.values())
        self.on_close: Callable[[int], None] = lambda _: None
        self._begin_bar(bar_ms, marks)
        self._instant: Iterator[Batch] | None = None
        self._motion: Generator[Batch, None, None] | None = None
        self._target_ms = 0

    @classmethod
    def begin(cls, venue: Venue, feeds: Mapping[str, SymbolFeed], start_ms: int) -> World:
        """A world whose prices are those of that moment, before anybody has an order."""
        step = next(iter(feeds.values())).step
        world = cls(venue, feeds, bar_ms=step.floor(start_ms))
        for moves in (world._walk.open(), world._walk.run(start_ms)):
            for _ in moves:
                raise AssertionError("something happened to an account that has nothing")
        return world

    @property
    def now_ms(self) -> int:
        return self.venue.now_ms

    @property
    def ended(self) -> bool:
        """True when there are no more prices: the clock has stopped."""
        return self.now_ms >= self.data_end_ms and self._instant is None

    @property
    def marks(self) -> dict[str, Mark]:
        """How far each symbol's path through the bar under way has come."""
        return self._walk.marks

    @property
    def heard(self) -> Mapping[str, Heard]:
        """Of recorded prices nothing has to be told."""
        return {}

    def bar(self, symbol: str) -> Bar | None:
        """The candle under way; None between two that were recorded with a gap."""
        return self._bars.get(symbol)

    def step(self, until_ms: int) -> Batch | None:
        """Go on to the next thing that happens to the account, at most until then; None: that time is reached.

        A movement that stopped at an event goes on when the same time is asked for again, on the very same lines:
        clients that answer each event get what a backtest gets.
        """
        until_ms = max(self.now_ms, min(until_ms, self.data_end_ms))
        while True:
            if self._motion is not None and until_ms < self._target_ms:
                self._let_go()
            if self._motion is None:
                self._motion, self._target_ms = self._moves(until_ms), until_ms
            batch = next(self._motion, None)
            if batch is not None:
                return batch
            self._motion = None
            if self._target_ms >= until_ms:
                return None

    def finish_instant(self) -> Iterator[Batch]:
        """Complete what a bar's turn still owes, and let go of a movement under way: prices may then be set."""
        self._let_go()
        yield from self._owed()

    def _let_go(self) -> None:
        if self._motion is not None:
            self._motion.close()
            self._motion = None

    def _moves(self, until_ms: int) -> Generator[Batch, None, None]:
        while True:
            yield from self._owed()
            end_ms = self.bar_ms + self.timeframe.ms
            yield from self._walk.run(min(until_ms, end_ms))
            if until_ms < end_ms:
                return
            self._instant = self._turn(end_ms)

    def _owed(self) -> Iterator[Batch]:
        """The rest of the instant at which a bar turns. It survives a movement that is given up."""
        if self._instant is not None:
            for batch in self._instant:  # noqa: UP028 - "yield from" would close it together with this generator
                yield batch
            self._instant = None

    def _turn(self, at_ms: int) -> Iterator[Batch]:
        for symbol, feed in self.feeds.items():
            rate = feed.funding(at_ms)
            if rate is not None:
                self.venue.settle_funding(symbol, rate, at_ms)
        funded = self.venue.drain()
        self._begin_bar(at_ms, None)
        for batch in self._walk.open():
            yield (*funded, *batch)
            funded = ()
        self.on_close(at_ms)
        if funded:
            yield funded

    def _begin_bar(self, bar_ms: int, marks: Mapping[str, Mark] | None) -> None:
        self.bar_ms = bar_ms
        bars = {symbol: feed.bar(bar_ms) for symbol, feed in self.feeds.items()}
        self._bars = {symbol: bar for symbol, bar in bars.items() if bar is not None}
        self._walk = PriceWalk(self.venue, self._bars, marks)
