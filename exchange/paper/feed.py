"""Keeps the prices on paper those of the real exchange: listens, catches up on what was missed, knows when it is deaf.

A message of the stream is worth its moment. Whatever may have been missed, as a connection was made anew or nothing was
heard for a while, is asked for by REST, candle by candle since the last one that was heard; what the stream says
meanwhile waits. While neither speaks, prices are not known, time on paper stands still, and the bot meets an exchange
that does not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from exchange.binance.codec_prices import Forming, MarkTold
from exchange.binance.price_stream import SYMBOLS_MAX, PriceStream
from exchange.binance.public_prices import PublicPrices
from exchange.binance.stream import Connect
from exchange.clock import Clock
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal
from exchange.paper.world import LiveWorld, Missed
from exchange.priority import Priority
from exchange.sim.core.venue import Venue
from exchange.sim.playback.symbols import filters_of, symbol_rows
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.numerals import Numerals
from indicators.candle import Timeframe

log = logging.getLogger(__name__)

FRESH_S = 5.0
"""Marks come every second: prices that are older than this are not known."""

_WEIGHT_A_SECOND = 10
"""What catching up again and again may cost where the stream is down: a quarter of the limit of an address."""

_ASK_S = 2.5
"""What nobody spoke of for so long is asked for, before it is too old."""

_LOOK_S = 0.25
_CLOCK_S = 60.0
_RULES_S = 600.0
_AGAIN_S = 1.0
_HELD_MAX = 1_000
"""Messages of a symbol that wait while it is caught up with; that takes a second, and each brings five."""
GONE = ("CLOSE", "SETTLING", "DELIVERED")
"""Of a symbol that was traded and is no more (exchangeInfo's status, checked 2026-11)."""


class Feed:
    """``watched`` symbols have prices; others get them when somebody asks for them first."""

    def __init__(
        self,
        *,
        prices: PublicPrices,
        ws_urls: tuple[str, ...],
        emulator: Emulator,
        world: LiveWorld,
        clock: Clock,
        timeframe: Timeframe,
        watched: Iterable[str],
        connect_to: Connect | None = None,
    ) -> None:
        self._prices, self._ws_urls, self._connect_to = prices, ws_urls, connect_to
        self._emulator, self._world, self._clock = emulator, world, clock
        self._timeframe = timeframe
        self.watched: dict[str, None] = {}
        self.refused: RateLimited | None = None
        """What the exchange said when it would not answer us."""

        self._streams: list[PriceStream] = []
        self._listened: set[str] = set()
        self._heard_s: dict[str, float] = {}
        self._behind: dict[str, int] = {}
        """Symbols whose connection is new, and how often that was since they were last caught up with."""

        self._held: dict[str, list[Forming | MarkTold]] = {}
        self._was_fresh = True
        self._group: asyncio.TaskGroup | None = None
        self._wake = asyncio.Event()
        for symbol in sorted({*watched, *self._open()}):
            self.watch(symbol)

    # --- what is known ------------------------------------------------------------------------
    def known_ms(self) -> int | None:
        """The exchange's time; None while the prices of what is open, or of everything, are not known."""
        return self._prices.http.server_now_ms() if self.is_fresh() else None

    def is_fresh(self, symbol: str | None = None) -> bool:
        """Whether prices are known: of all that is open, and of one symbol if it is named."""
        since_s = self._clock.monotonic() - FRESH_S
        heard_s = self._heard_s
        named = () if symbol is None else (symbol,)
        if any(heard_s.get(name, -FRESH_S - 1) < since_s for name in (*self._open(), *named)):
            return False
        return any(at_s >= since_s for at_s in heard_s.values())

    def watch(self, symbol: str) -> None:
        """Have prices of it from now on, if it is traded."""
        filters = self._emulator.state.filters.get(symbol)
        if symbol not in self.watched and filters is not None and filters.status not in GONE:
            self.watched[symbol] = None
            self._wake.set()

    def _open(self) -> set[str]:
        return open_symbols(self._emulator.venue)

    # --- its life -----------------------------------------------------------------------------
    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._keep_up())
            group.create_task(self._keep_time())
            group.create_task(self._keep_rules())

    async def _keep_up(self) -> None:
        next_s = 0.0
        while True:
            self._listen()
            self._say_whether_fresh()
            self._wake.clear()
            wanted = self._wanted()
            if wanted and (self._behind or self._clock.monotonic() >= next_s):
                await self._try_to_catch_up(wanted)
                next_s = self._clock.monotonic() + max(1.0, (len(wanted) + 10) / _WEIGHT_A_SECOND)
                if self._behind:
                    await self._clock.sleep(_AGAIN_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    def _wanted(self) -> list[str]:
        """Symbols that are behind, or of which nobody spoke for a while."""
        since_s = self._clock.monotonic() - _ASK_S
        heard_s = self._heard_s
        return [name for name in self.watched if name in self._behind or heard_s.get(name, since_s - 1) < since_s]

    def _listen(self) -> None:
        """Connections for the symbols that have none yet."""
        new = [symbol for symbol in self.watched if symbol not in self._listened]
        if not new or self._group is None:
            return
        self._listened.update(new)
        for first in range(0, len(new), SYMBOLS_MAX):
            symbols = new[first : first + SYMBOLS_MAX]
            stream = PriceStream(
                symbols=symbols,
                timeframe=self._timeframe,
                base_urls=self._ws_urls,
                clock=self._clock,
                heard=self._hear,
                on_opened=partial(self._connected, symbols),
                connect_to=self._connect_to,
            )
            self._streams.append(stream)
            self._group.create_task(stream.run())

    def _connected(self, symbols: Sequence[str]) -> None:
        """Something of them may have been missed before."""
        for symbol in self.watched.keys() & set(symbols):
            self._behind[symbol] = self._behind.get(symbol, 0) + 1
        self._wake.set()

    def _hear(self, told: Forming | MarkTold) -> None:
        if told.symbol not in self._behind:
            self._take(told)
        elif len(held := self._held.setdefault(told.symbol, [])) < _HELD_MAX:
            held.append(told)

    def _take(self, told: Forming | MarkTold) -> None:
        if told.symbol not in self.watched:
            return
        if isinstance(told, MarkTold):
            self._heard_s[told.symbol] = self._clock.monotonic()
        self._world.hear(told)
        self._go_on()

    def _go_on(self) -> None:
        self._emulator.advance(max(self._emulator.now_ms, self.known_ms() or 0))

    def _say_whether_fresh(self) -> None:
        fresh = self.is_fresh()
        if fresh is self._was_fresh:
            return
        self._was_fresh = fresh
        if fresh:
            log.warning("prices are known again; the exchange on paper answers")
        else:
            self._emulator.hub.cut()
            log.warning("no prices for %.0f s: the exchange on paper does not answer until there are", FRESH_S)

    # --- catching up --------------------------------------------------------------------------
    async def _try_to_catch_up(self, symbols: Sequence[str]) -> None:
        behind = dict(self._behind)
        for symbol in symbols:
            self._held.pop(symbol, None)
        try:
            await self.catch_up(symbols)
        except ExchangeError as error:
            self.refused = error if isinstance(error, RateLimited) else None
            log.info("prices cannot be asked for: %s", error)
            return
        for symbol, times in behind.items():
            if self._behind.get(symbol) == times:
                del self._behind[symbol]
                for told in self._held.pop(symbol, ()):
                    self._take(told)

    async def catch_up(self, symbols: Sequence[str]) -> None:
        """Ask for everything since what was heard last, and walk it. Raises ExchangeError."""
        now_ms = await self._prices.http.server_time_ms(Priority.LOOK)
        marks = await self._prices.marks(symbols)
        asked_s = self._clock.monotonic()
        found = await asyncio.gather(*(self._missed(symbol, marks.get(symbol), now_ms) for symbol in symbols))
        self.refused = None
        self._world.catch_up(dict(zip(symbols, found, strict=True)), now_ms)
        for symbol in symbols:
            if symbol in marks:
                self._heard_s[symbol] = asked_s
        self._go_on()

    async def _missed(self, symbol: str, mark: MarkTold | None, now_ms: int) -> Missed:
        """Of what is open every candle since; of others the newest two."""
        prices, timeframe, here_ms = self._prices, self._timeframe, self._world.now_ms
        first_ms, is_open = timeframe.floor(now_ms) - timeframe.ms, symbol in self._open()
        if is_open:
            heard_ms = self._world.last_heard_ms(symbol)
            first_ms = min(timeframe.floor(here_ms) if heard_ms is None else heard_ms, first_ms)
        candles = await prices.candles(symbol, timeframe, first_ms, now_ms)
        if not is_open:
            return Missed(candles=candles, mark_now=mark)
        marks: list[Forming] = []
        with suppress(Refusal, MalformedReply):  # then the marks are made of the last prices, as in a backtest
            marks = await prices.candles(symbol, timeframe, first_ms, now_ms, of_mark=True)
        rates = await prices.rates(symbol, first_ms) if _may_have_settled(here_ms, now_ms) else {}
        return Missed(candles=candles, marks=marks, mark_now=mark, rates=rates)

    # --- time and rules -----------------------------------------------------------------------
    async def _keep_time(self) -> None:
        while True:
            await self._clock.sleep(_CLOCK_S)
            with suppress(ExchangeError):
                await self._prices.http.server_time_ms(Priority.LOOK)

    async def _keep_rules(self) -> None:
        while True:
            await self._clock.sleep(_RULES_S)
            with suppress(ExchangeError):
                self._take_rules(await self._prices.rules())

    def _take_rules(self, info: object) -> None:
        """Other ticks and lots hold from now on; what is delisted is settled."""
        state, told = self._emulator.state, filters_of(info)
        listed = {str(row["symbol"]) for row in symbol_rows(info)}
        for symbol, known in list(state.filters.items()):
            filters = told.get(symbol, known)
            if symbol not in listed:
                filters = replace(known, status=GONE[0])
            if filters != known:
                state.filters[symbol], self._emulator.numerals[symbol] = filters, Numerals.of(filters)
        self.settle_gone()

    def settle_gone(self) -> None:
        """As the exchange does with what is delisted: orders are cancelled, positions closed at their last mark."""
        emulator = self._emulator
        for symbol, filters in list(emulator.state.filters.items()):
            if filters.status not in GONE:
                continue
            self.watched.pop(symbol, None)
            self._behind.pop(symbol, None)
            for stream in self._streams:
                stream.leave_out(symbol)
            if symbol in self._open() and symbol in emulator.state.quotes:
                log.warning("%s is not traded any more: it is settled at its last mark", symbol)
                emulator.write(partial(emulator.venue.settle, symbol))


def open_symbols(venue: Venue) -> set[str]:
    """Symbols that hold or wait for something: none of their prices may be missed."""
    state = venue.state
    held = {symbol for symbol, holding in state.holdings.items() if holding.quantity}
    return held | set(state.orders.open_symbols()) | set(state.algos.open_symbols())


def _may_have_settled(since_ms: int, now_ms: int) -> bool:
    """Rates are settled at full hours."""
    return since_ms // 3_600_000 != now_ms // 3_600_000
