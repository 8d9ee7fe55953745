"""Candles, day statistics and funding as of now, from the recorded past and the bar that is forming."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from operator import add

import msgspec

from exchange.errors import Refusal
from exchange.sim.playback.candle_path import Prices, Quote
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.server.forming import forming
from exchange.sim.server.numerals import Numerals
from exchange.sim.server.world import World
from indicators.candle import Timeframe

DAY_MS = Timeframe.D1.ms
FUNDING_MS = Timeframe.H8.ms
_WEEK_MS, _MONDAY_MS = 7 * DAY_MS, 4 * DAY_MS  # weeks begin on Monday; the epoch was a Thursday

INTERVALS_MS = {**{timeframe.value: timeframe.ms for timeframe in Timeframe}, "1w": _WEEK_MS}
"""What can be made of bars, if these are short enough. 3d and 1M are refused as a wrong interval (-1120)."""


class Kline(msgspec.Struct, frozen=True, gc=False):
    """One candle as listed; ``volume`` is in the base asset. Floats, as recorded: nothing is traded at these."""

    open_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def quote_volume(self) -> float:
        """Not recorded: the volume at the middle of the candle."""
        return self.volume * (self.open + self.high + self.low + self.close) / 4

    @property
    def trades(self) -> int:
        """Not recorded: as if each trade were 1,000 USDT."""
        return int(self.quote_volume / 1_000)


class Market:
    """Questions about the prices of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def klines(
        self, symbol: str, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Kline]:
        """Ascending; closed ones, and last the forming one. Without ``start_ms`` the newest."""
        step_ms = self._length_ms(interval)
        feed, now_ms = self._world.feeds[symbol], self._world.now_ms
        last_open = now_ms if end_ms is None else min(end_ms, now_ms)
        if start_ms is None:
            first = max(floor(last_open, step_ms) - (limit - 1) * step_ms, 0)
            found = self._between(symbol, step_ms, first, last_open)
            if len(found) < limit and first > feed.start_ms:  # candles are missing: look further back
                found = self._between(symbol, step_ms, feed.start_ms, last_open)
            return found[-limit:]
        first = max(start_ms, floor(feed.start_ms, step_ms))  # earlier there was nothing, so the first ones are listed
        found = self._between(symbol, step_ms, first, min(last_open, first + limit * step_ms))
        if len(found) < limit and first + limit * step_ms < last_open:  # candles are missing: look further on
            found = self._between(symbol, step_ms, first, last_open)
        return found[:limit]

    def mark_klines(
        self, symbol: str, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Kline]:
        """The same of the mark price; nothing is traded at it, so its volume is zero."""
        step_ms = self._length_ms(interval)
        now_ms = self._world.now_ms
        last_open = now_ms if end_ms is None else min(end_ms, now_ms)
        if start_ms is None:
            start_ms = floor(last_open, step_ms) - (limit - 1) * step_ms
        start_ms = max(start_ms, floor(self._world.feeds[symbol].start_ms, step_ms))
        bar_ms = self._world.timeframe.ms
        last = min(last_open, start_ms + limit * step_ms)
        bars = [self._mark_bar(symbol, at_ms) for at_ms in range(max(_ceil(start_ms, bar_ms), 0), last + 1, bar_ms)]
        return grouped([bar for bar in bars if bar is not None], step_ms, now_ms)[:limit]

    def closed(self, symbol: str, interval: str, end_ms: int) -> Kline | None:
        """The candle that closed at that time."""
        step_ms = self._length_ms(interval)
        if floor(end_ms, step_ms) != end_ms:
            return None
        found = self._between(symbol, step_ms, end_ms - step_ms, end_ms - 1)
        return found[0] if found else None

    def day(self, symbol: str) -> Kline | None:
        """The last 24 hours as one candle."""
        now_ms = self._world.now_ms
        bars = self._between(symbol, self._world.timeframe.ms, now_ms - DAY_MS, now_ms)
        return _joined(bars, now_ms - DAY_MS, now_ms) if bars else None

    def next_funding_ms(self) -> int:
        """Every eight hours, at 00, 08 and 16 UTC."""
        return floor(self._world.now_ms, FUNDING_MS) + FUNDING_MS

    def funding_rate(self, symbol: str) -> Decimal:
        """What will be settled next; as on the exchange, the rate of the interval under way."""
        return self._world.feeds[symbol].funding(self.next_funding_ms()) or Decimal(0)

    def funding_history(self, symbol: str, start_ms: int, end_ms: int) -> list[tuple[int, Decimal, Decimal]]:
        """(time, rate, mark price) of settlements up to now, ascending."""
        feed, now_ms = self._world.feeds[symbol], self._world.now_ms
        found = []
        for at_ms in feed.funding_times():
            rate, bar = feed.funding(at_ms), feed.bar(at_ms)
            if start_ms <= at_ms <= min(end_ms, now_ms) and rate is not None and bar is not None:
                found.append((at_ms, rate, bar[0].mark.open))
        return found

    def forming_prices(self, symbol: str, *, of_mark: bool = False) -> Prices | None:
        """The bar under way; None in a gap of the data, or before its first price."""
        bar, quote = self._world.bar(symbol), self._world.venue.state.quotes.get(symbol)
        if bar is None or quote is None:
            return None
        return forming(bar, self._world.marks[symbol], quote, of_mark=of_mark)

    def quote(self, symbol: str) -> Quote | None:
        return self._world.venue.state.quotes.get(symbol)

    def _between(self, symbol: str, step_ms: int, first_ms: int, last_ms: int) -> list[Kline]:
        """Candles that open in [first, last], closed or forming."""
        feed, now_ms = self._world.feeds[symbol], self._world.now_ms
        direct = _DIRECT.get(step_ms)
        if direct is not None:
            found = _recorded(feed, direct, first_ms, min(last_ms + step_ms, now_ms))
        else:
            days = _recorded(feed, Timeframe.D1, _ceil(first_ms, step_ms), min(last_ms + step_ms, now_ms))
            found = [kline for kline in grouped(days, step_ms, now_ms) if kline.end_ms <= now_ms]
        opened = floor(now_ms, step_ms)
        if first_ms <= opened <= last_ms:
            forming_now = self._forming(symbol, step_ms, opened)
            found += [forming_now] if forming_now is not None else []
        return [kline for kline in found if first_ms <= kline.open_ms <= last_ms]

    def serves(self, interval: str) -> bool:
        """Whether candles of an interval can be made of this world's bars."""
        return interval in INTERVALS_MS and INTERVALS_MS[interval] % self._world.timeframe.ms == 0

    def _length_ms(self, interval: str) -> int:
        """Length of an interval by its Binance name; -1120 for one that is not served."""
        if not self.serves(interval):
            raise Refusal(-1120, "Invalid interval.")
        return INTERVALS_MS[interval]

    def _forming(self, symbol: str, step_ms: int, opened_ms: int) -> Kline | None:
        bar = self._forming_bar(symbol)
        bars = _recorded(self._world.feeds[symbol], self._world.timeframe, opened_ms, self._world.bar_ms)
        bars += [bar] if bar is not None else []
        return _joined(bars, opened_ms, opened_ms + step_ms) if bars else None

    def _forming_bar(self, symbol: str) -> Kline | None:
        prices, opened = self.forming_prices(symbol), self._world.bar_ms
        if prices is None:
            return None
        step = self._world.timeframe
        whole = self._world.feeds[symbol].candles(step, start_ms=opened, end_ms=opened + step.ms)
        traded = whole[0].volume * (self._world.now_ms - opened) / step.ms if whole else 0.0
        numerals = Numerals.of(self._world.venue.state.filters[symbol])
        return Kline(
            opened,
            opened + step.ms,
            float(numerals.on_tick(prices.open)),
            float(numerals.on_tick(prices.high)),
            float(numerals.on_tick(prices.low)),
            float(numerals.on_tick(prices.close)),
            round(traded, 3),
        )

    def _mark_bar(self, symbol: str, at_ms: int) -> Kline | None:
        end_ms = at_ms + self._world.timeframe.ms
        if at_ms > self._world.bar_ms:
            return None
        if at_ms == self._world.bar_ms:
            prices = self.forming_prices(symbol, of_mark=True)
            return None if prices is None else _flat(at_ms, end_ms, prices)
        bar = self._world.feeds[symbol].bar(at_ms)
        if bar is None:
            return None
        marks = [stretch.mark for stretch in bar]
        whole = Prices(marks[0].open, max(m.high for m in marks), min(m.low for m in marks), marks[-1].close)
        return _flat(at_ms, end_ms, whole)


_DIRECT = {timeframe.ms: timeframe for timeframe in Timeframe}


def floor(at_ms: int, step_ms: int) -> int:
    """Open time of the candle that contains the moment."""
    offset = _MONDAY_MS if step_ms == _WEEK_MS else 0
    return at_ms - (at_ms - offset) % step_ms


def grouped(parts: Sequence[Kline], step_ms: int, now_ms: int) -> list[Kline]:
    """Short candles joined to longer ones; a closed one only where every part is there."""
    groups: dict[int, list[Kline]] = {}
    for part in parts:
        groups.setdefault(floor(part.open_ms, step_ms), []).append(part)
    return [
        _joined(found, opened, opened + step_ms)
        for opened, found in groups.items()
        if len(found) * (found[0].end_ms - found[0].open_ms) == step_ms or opened + step_ms > now_ms
    ]


def _ceil(at_ms: int, step_ms: int) -> int:
    return floor(at_ms + step_ms - 1, step_ms)


def _recorded(feed: SymbolFeed, timeframe: Timeframe, start_ms: int, end_ms: int) -> list[Kline]:
    return [
        Kline(
            candle.open_time_ms,
            candle.open_time_ms + timeframe.ms,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
        )
        for candle in feed.candles(timeframe, start_ms=start_ms, end_ms=end_ms)
    ]


def _joined(parts: Sequence[Kline], open_ms: int, end_ms: int) -> Kline:
    return Kline(
        open_ms,
        end_ms,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        reduce(add, (part.volume for part in parts)),
    )


def _flat(at_ms: int, end_ms: int, prices: Prices) -> Kline:
    return Kline(
        at_ms,
        end_ms,
        float(prices.open),
        float(prices.high),
        float(prices.low),
        float(prices.close),
        0.0,
    )
