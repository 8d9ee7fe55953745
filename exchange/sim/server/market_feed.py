"""Publishes market streams as prices move: klines, mark prices, trades, best prices, and each candle's close."""

from __future__ import annotations

from collections.abc import Callable

from exchange.sim.server.hub import Hub
from exchange.sim.server.market import Market
from exchange.sim.server.numerals import Numerals
from exchange.sim.server.payloads_market import Book, day_event, kline_event, mark_event, trade_event
from exchange.sim.server.stream_names import CARRIED, Kind, Stream, stream_of
from exchange.sim.server.world import World

Json = dict[str, object]


class MarketFeed:
    """Messages keep to the exchange's pace in real time; with the clock stepped, each step gives one of each."""

    def __init__(self, world: World, market: Market, hub: Hub, monotonic: Callable[[], float]) -> None:
        self._world = world
        self._market = market
        self._hub = hub
        self._monotonic = monotonic
        self._known: dict[str, Stream | None] = {}
        self._sent_s: dict[str, float] = {}
        self._shown: dict[str, object] = {}
        self._number = 0
        self._numerals = {name: Numerals.of(filters) for name, filters in world.venue.state.filters.items()}

    def moved(self, *, force: bool) -> None:
        """Prices have moved: send what is due. ``force``: everything is."""
        now_s = self._monotonic()
        for stream in self._wanted():
            if not force and now_s < self._sent_s.get(stream.name, -1.0) + stream.period_s:
                continue
            self._sent_s[stream.name] = now_s
            for payload in self._payloads(stream):
                self._hub.publish(stream.name, CARRIED[stream.kind], payload)

    def closed(self, at_ms: int) -> None:
        """Candles have closed at this hour; each is told once, with x true."""
        for stream in self._wanted():
            if stream.kind is not Kind.KLINE or stream.symbol is None:
                continue
            kline = self._market.closed(stream.symbol, stream.detail, at_ms)
            if kline is not None:
                payload = kline_event(stream.symbol, stream.detail, kline, closed=True, at_ms=at_ms)
                self._hub.publish(stream.name, CARRIED[Kind.KLINE], payload)

    def _wanted(self) -> list[Stream]:
        """On live prices nothing is told again: the real exchange tells it."""
        found: list[Stream] = []
        if not self._world.is_recorded:
            return found
        for name in self._hub.wanted():
            if name not in self._known:
                if len(self._known) > 100_000:  # names are the clients' choice; wrong ones must not pile up
                    self._known.clear()
                found_now = stream_of(name, self._world.feeds)
                is_kline = found_now is not None and found_now.kind is Kind.KLINE
                served = found_now is None or not is_kline or self._market.serves(found_now.detail)
                self._known[name] = found_now if served else None
            stream = self._known[name]
            if stream is not None:
                found.append(stream)
        return sorted(found, key=lambda stream: stream.name)

    def _payloads(self, stream: Stream) -> list[object]:
        if stream.symbol is None:
            return [[event for symbol in self._world.feeds if (event := self._mark(symbol)) is not None]]
        if stream.kind is Kind.MARK:
            payload = self._mark(stream.symbol)
        elif stream.kind is Kind.KLINE:
            payload = self._kline(stream.symbol, stream.detail)
        elif stream.kind is Kind.DAY:
            payload = self._day(stream.symbol)
        else:
            payload = self._by_price(stream, stream.symbol)
        return [payload] if payload is not None else []

    def _kline(self, symbol: str, interval: str) -> Json | None:
        now_ms = self._world.now_ms
        found = self._market.klines(symbol, interval, start_ms=None, end_ms=None, limit=1)
        if not found or found[0].end_ms <= now_ms:
            return None
        return kline_event(symbol, interval, found[0], closed=False, at_ms=now_ms)

    def _mark(self, symbol: str) -> Json | None:
        quote = self._market.quote(symbol)
        if quote is None:
            return None
        rate, next_ms = self._market.funding_rate(symbol), self._market.next_funding_ms()
        return mark_event(symbol, quote, rate, next_ms, self._world.now_ms)

    def _day(self, symbol: str) -> Json | None:
        day = self._market.day(symbol)
        return None if day is None else day_event(symbol, day, self._numerals[symbol], self._world.now_ms)

    def _by_price(self, stream: Stream, symbol: str) -> Json | None:
        """Streams that speak only when the price is another one than before."""
        quote = self._market.quote(symbol)
        before = self._shown.get(stream.name)
        if quote is None or quote.last == before:
            return None
        self._shown[stream.name] = quote.last
        self._number += 1
        numerals, now_ms = self._numerals[symbol], self._world.now_ms
        if stream.kind is Kind.TRADE:
            falling = before is not None and quote.last < before  # type: ignore[operator]
            return trade_event(symbol, quote.last, numerals, self._number, falling=falling, at_ms=now_ms)
        state = self._world.venue.state
        book = Book(quote.last, state.settings, state.filters[symbol])
        if stream.kind is Kind.BOOK:
            return book.ticker_event(symbol, self._number, now_ms)
        return book.depth_event(symbol, int(stream.detail), self._number, self._number - 1, now_ms)
