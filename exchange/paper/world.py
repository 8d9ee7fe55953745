"""Prices as they come: moves the simulated exchange along what another one tells of its own, and never ahead of it.

What is told of a candle is its open, its extremes so far and its close, so no wick is lost between two messages: an
extreme that is new was visited since the last one. What nobody heard, because the line was down or this program was,
is walked afterwards candle by candle, at the times at which it happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from exchange.binance.codec_prices import Forming, MarkTold
from exchange.candle_columns import CandleColumns
from exchange.sim.core.events import Batch
from exchange.sim.core.venue import Venue
from exchange.sim.playback.candle_path import Bias, Prices, Quote, Stretch, smoothed
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.server.world import Heard, World
from indicators.candle import Timeframe

NEVER_MS = 10**14
"""Live prices have no end."""

Leg = dict[str, Stretch]
"""What prices do next, of every symbol that is told of."""


class LiveFeed(SymbolFeed):
    """Of a symbol of which nothing is recorded."""

    def __init__(self, symbol: str) -> None:
        super().__init__(candles=CandleColumns.none(symbol, Timeframe.M1))

    @property
    def start_ms(self) -> int:
        return 0

    @property
    def end_ms(self) -> int:
        return NEVER_MS


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a symbol while nobody listened: candles ascending, from the one under way at that time."""

    candles: Sequence[Forming]
    marks: Sequence[Forming] = ()
    mark_now: MarkTold | None = None
    rates: Mapping[int, Decimal] = {}


class LiveWorld(World):
    """``heard`` is what was told of the candle under way, by symbol; it is saved with the account."""

    is_recorded = False

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        heard: Mapping[str, Heard] | None = None,
        timeframe: Timeframe = Timeframe.M1,
    ) -> None:
        """``timeframe`` is that of the candles that are told."""
        feeds = {symbol: LiveFeed(symbol) for symbol in symbols}
        super().__init__(venue, feeds, bar_ms=Timeframe.M1.floor(venue.now_ms))
        self._told = timeframe
        self._heard = dict(heard or {})
        self._rates: dict[str, dict[int, Decimal]] = {}
        self._ahead: deque[Leg] = deque()
        self._told_ms: dict[str, int] = {}
        self._moving: Iterator[Batch] | None = None

    @property
    def heard(self) -> Mapping[str, Heard]:
        return self._heard

    # --- what is told -------------------------------------------------------------------------
    def hear(self, told: Forming | MarkTold) -> None:
        """A message as it arrives: prices go there now, at the next ``step``, which comes before the next message."""
        if isinstance(told, MarkTold):
            self._hear_mark(told)
        else:
            self._hear_candle(told)

    def catch_up(self, missed: Mapping[str, Missed], until_ms: int) -> None:
        """Everything that happened since, up to now: walked by the next ``step`` at the times when it did."""
        legs: dict[int, Leg] = {}
        for symbol, found in missed.items():
            for at_ms, rate in found.rates.items():
                self._expect(symbol, at_ms, rate)
            marks = {candle.open_ms: candle for candle in found.marks}
            for candle in found.candles:
                stretch = self._stretch(candle, marks.get(candle.open_ms), until_ms)
                if stretch is not None:
                    legs.setdefault(candle.open_ms, {})[symbol] = stretch
            if found.mark_now is not None:
                self._expect(symbol, found.mark_now.funding_ms, found.mark_now.rate)
                self._mark_at_end(legs, symbol, found.mark_now)
        self._ahead += (legs[open_ms] for open_ms in sorted(legs))

    def last_heard_ms(self, symbol: str) -> int | None:
        """When the newest candle opened that was told of a symbol."""
        found = self._heard.get(symbol)
        return None if found is None else found.open_ms

    # --- going on -----------------------------------------------------------------------------
    def step(self, until_ms: int) -> Batch | None:
        """As on recorded prices; a movement is always walked to its end."""
        if self._moving is None:
            self._moving = self._onward(max(self.now_ms, until_ms))
        batch = next(self._moving, None)
        if batch is None:
            self._moving = None
            self.bar_ms = Timeframe.M1.floor(self.now_ms)
        return batch

    def finish_instant(self) -> Iterator[Batch]:
        """Nothing is owed between two movements."""
        return iter(())

    def _onward(self, until_ms: int) -> Iterator[Batch]:
        while self._ahead:
            leg = self._ahead.popleft()
            yield from self._settled(min(stretch.open_ms for stretch in leg.values()))
            yield from self._walked(leg)
        yield from self._settled(until_ms)
        yield from self.venue.advance(max(self.now_ms, until_ms), {})

    def _walked(self, leg: Leg) -> Iterator[Batch]:
        """To the opens, past both extremes (which comes first is asked of the account), to the closes."""
        venue = self.venue
        leg = {symbol: stretch for symbol, stretch in leg.items() if symbol in venue.state.quotes}
        if not leg:
            return
        venue.state.candles.update(leg)
        begin_ms = max(self.now_ms, min(stretch.open_ms for stretch in leg.values()))
        end_ms = max(begin_ms, max(stretch.end_ms for stretch in leg.values()) - 1)
        if venue.state.is_idle(leg):
            yield from venue.advance(end_ms, {name: _quote(found, "close") for name, found in leg.items()})
            return
        third_ms = (end_ms - begin_ms) // 3
        yield from venue.advance(begin_ms, {name: _quote(found, "open") for name, found in leg.items()})
        lows_first = {name: venue.bias(name) is Bias.LOW_FIRST for name in leg}
        for at_ms, extremes in ((begin_ms + third_ms, ("low", "high")), (begin_ms + 2 * third_ms, ("high", "low"))):
            quotes = {name: _quote(found, extremes[0 if lows_first[name] else 1]) for name, found in leg.items()}
            yield from venue.advance(max(self.now_ms, at_ms), quotes)
        yield from venue.advance(end_ms, {name: _quote(found, "close") for name, found in leg.items()})

    def _settled(self, until_ms: int) -> Iterator[Batch]:
        """Funding that is due by then, each at its own time."""
        for at_ms in sorted({at_ms for rates in self._rates.values() for at_ms in rates if at_ms <= until_ms}):
            yield from self.venue.advance(max(self.now_ms, at_ms), {})
            for symbol, rates in self._rates.items():
                rate = rates.pop(at_ms, None)
                if rate is not None and symbol in self.venue.state.quotes:
                    self.venue.settle_funding(symbol, rate, self.now_ms)
            batch = self.venue.drain()
            if batch:
                yield batch

    # --- what is made of what is told ---------------------------------------------------------
    def _hear_candle(self, told: Forming) -> None:
        quote, now_ms = self._quote_or_begin(told), self.now_ms
        moved = self._moved(told, quote.last)
        if moved is not None and moved != _flat(quote.last):
            began_ms = self._told_ms.get(told.symbol, now_ms)
            self._told_ms[told.symbol] = now_ms
            self._ahead.append({told.symbol: Stretch(min(began_ms, now_ms), now_ms, moved, _flat(quote.mark))})

    def _hear_mark(self, told: MarkTold) -> None:
        self._expect(told.symbol, told.funding_ms, told.rate)
        quote, heard = self.venue.state.quotes.get(told.symbol), self._heard.get(told.symbol)
        if quote is None or heard is None:
            return
        opened = self._told.floor(told.at_ms)
        high, low = heard.mark if heard.mark_open_ms == opened else (told.price, told.price)
        mark = max(high, told.price), min(low, told.price)
        self._heard[told.symbol] = msgspec.structs.replace(heard, mark_open_ms=opened, mark=mark)
        if told.price != quote.mark:
            self._ahead.append(
                {told.symbol: Stretch(self.now_ms, self.now_ms, _flat(quote.last), _line(quote.mark, told.price))}
            )

    def _moved(self, told: Forming, last: Decimal) -> Prices | None:
        """What is new in what is told of a candle; None for one that is over already."""
        heard = self._heard.get(told.symbol)
        if heard is None or told.open_ms > heard.open_ms:
            moved = Prices(told.open, told.high, told.low, told.close)
            marks = (heard.mark_open_ms, heard.mark) if heard is not None else (0, (Decimal(0), Decimal(0)))
            self._heard[told.symbol] = Heard(told.open_ms, (told.high, told.low), *marks)
            return moved if heard is not None else _line(last, told.close)
        if told.open_ms < heard.open_ms:
            return None
        high, low = heard.last
        extremes = max(high, told.high), min(low, told.low)
        self._heard[told.symbol] = msgspec.structs.replace(heard, last=extremes)
        return _within(last, told, told.high > high, told.low < low)

    def _stretch(self, told: Forming, mark: Forming | None, until_ms: int) -> Stretch | None:
        """A missed candle, or the missed part of one, with the marks of that time: recorded ones if there are."""
        quote = self._quote_or_begin(told)
        before = self._heard.get(told.symbol)
        moved = self._moved(told, quote.last)
        if moved is None:
            return None
        if mark is None:
            marks = smoothed(moved)
        elif before is not None and before.mark_open_ms == mark.open_ms:
            high, low = before.mark
            marks = _within(quote.mark, mark, mark.high > high, mark.low < low)
        else:
            marks = Prices(mark.open, mark.high, mark.low, mark.close)
        end_ms = max(min(told.open_ms + self._told.ms, until_ms), told.open_ms)
        return Stretch(told.open_ms, end_ms, moved, marks)

    def _mark_at_end(self, legs: dict[int, Leg], symbol: str, told: MarkTold) -> None:
        """The mark of now is told by itself, also where no candle of marks was asked for."""
        mine = [open_ms for open_ms, leg in legs.items() if symbol in leg]
        if not mine:
            self._hear_mark(told)
            return
        stretch = legs[max(mine)][symbol]
        marks, price = stretch.mark, told.price
        marks = Prices(marks.open, max(marks.high, price), min(marks.low, price), price)
        legs[max(mine)][symbol] = msgspec.structs.replace(stretch, mark=marks)
        heard = self._heard[symbol]
        self._heard[symbol] = msgspec.structs.replace(
            heard, mark_open_ms=self._told.floor(told.at_ms), mark=(marks.high, marks.low)
        )

    def _quote_or_begin(self, told: Forming) -> Quote:
        """Prices of now; those that are told first are where a symbol begins."""
        return self.venue.state.quotes.setdefault(told.symbol, Quote(told.close, told.close))

    def _expect(self, symbol: str, at_ms: int, rate: Decimal) -> None:
        """A rate that will be settled; the newest word on it holds."""
        if at_ms > self.now_ms:
            self._rates.setdefault(symbol, {})[at_ms] = rate


def _quote(stretch: Stretch, which: str) -> Quote:
    return Quote(getattr(stretch.last, which), getattr(stretch.mark, which))


def _flat(price: Decimal) -> Prices:
    return Prices(price, price, price, price)


def _line(start: Decimal, end: Decimal) -> Prices:
    return Prices(start, max(start, end), min(start, end), end)


def _within(start: Decimal, told: Forming, is_new_high: bool, is_new_low: bool) -> Prices:
    """The rest of a candle: an extreme that is not new was not visited again as far as anybody knows."""
    high = told.high if is_new_high else max(start, told.close)
    low = told.low if is_new_low else min(start, told.close)
    return Prices(start, high, low, told.close)
