"""Hands out recorded candles one bar at a time: as bars to walk through, as funding rates, and as history."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property

import numpy as np
from msgspec.structs import replace

from exchange.candle_columns import CandleColumns, FloatArray, FundingColumns, IntArray
from exchange.candle_files import CandleFolders
from exchange.day_volumes import DayVolumes
from exchange.filters import decimal_of
from exchange.sim.playback.bounds import Bounds
from exchange.sim.playback.candle_path import Bar, Prices, Quote, Stretch, bar, stretch
from exchange.sim.playback.past_ticks import ShownDecimals, shown_by
from indicators.candle import Candle, Timeframe

_HOUR_MS = Timeframe.H1.ms


class SymbolFeed:
    """Everything recorded of one symbol. ``step`` is the length of its bars: that of the candles it was given."""

    def __init__(
        self,
        *,
        candles: CandleColumns,
        mark: CandleColumns | None = None,
        intrabar: Sequence[CandleColumns] = (),
        funding: FundingColumns | None = None,
    ) -> None:
        self.symbol = candles.symbol
        self.step = candles.timeframe
        self._candles = candles
        self._columns = {self.step: candles}
        self._mark = mark
        self._intrabar = [columns for columns in intrabar if columns.timeframe is not self.step]
        self._rates = _by_hour(funding)
        self._funding_times = sorted(self._rates)
        self._hour: tuple[int, dict[int, tuple[Stretch, ...]]] = (-1, {})

    @cached_property
    def bounds(self) -> Bounds:
        """Where prices cannot have been."""
        return Bounds(self._candles, self._mark, self._intrabar, self.step)

    @cached_property
    def shown_decimals(self) -> tuple[ShownDecimals, ...]:
        """The finest decimals that its prices had, and since when."""
        return shown_by(self._candles, self._intrabar)

    @classmethod
    def read(cls, folders: CandleFolders, symbol: str, step: Timeframe = Timeframe.H1) -> SymbolFeed:
        """From files; raises CandleFileError. ``step``: the length of its bars, up to 1h."""
        return cls(
            candles=read_step(folders, symbol, step),
            mark=folders.mark(symbol),
            intrabar=folders.intrabar(symbol, step),
            funding=folders.funding(symbol),
        )

    @property
    def has_mark(self) -> bool:
        """False when the mark is a smoothed last (the report says so)."""
        return self._mark is not None

    @property
    def candles_of_bars(self) -> CandleColumns:
        """The candles that its bars are, as long as nothing finer was recorded."""
        return self._candles

    @property
    def mark_candles(self) -> CandleColumns | None:
        """The mark as it was recorded."""
        return self._mark

    def bars_with_finer(self, count: int) -> IntArray:
        """Numbers of the first so many bars, from the first candle on, in which something finer was recorded."""
        found = [(columns.open_time_ms - self.start_ms) // self.step.ms for columns in self._intrabar]
        every = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))
        return every[(every >= 0) & (every < count)]

    @property
    def start_ms(self) -> int:
        """Open time of the first candle."""
        return int(self._candles.open_time_ms[0])

    @property
    def end_ms(self) -> int:
        """When the last candle closes."""
        return int(self._candles.open_time_ms[-1]) + self.step.ms

    def bar(self, open_ms: int) -> Bar | None:
        """The bar that opens then, in its finest complete form; None when it was not recorded.

        Finer candles than those of the mark have marks of their own made up: smoothed from their last, and never
        beyond what the mark's own candle says.
        """
        hour_ms = open_ms - open_ms % _HOUR_MS
        if self._hour[0] != hour_ms:
            self._hour = (hour_ms, self._bars_of(hour_ms))
        found = self._hour[1].get(open_ms)
        return None if found is None else bar(found)

    def _bars_of(self, hour_ms: int) -> dict[int, tuple[Stretch, ...]]:
        """The stretches of every bar of an hour, by its open time."""
        opens = range(hour_ms, hour_ms + _HOUR_MS, self.step.ms)
        plain = {open_ms: parts for open_ms in opens if (parts := self._parts(open_ms))}
        mark = _at(self._mark, hour_ms)
        if mark is None:
            return plain
        every = [part for parts in plain.values() for part in parts]
        ends = (bool(every) and every[0].open_ms == hour_ms, bool(every) and every[-1].end_ms == hour_ms + _HOUR_MS)
        marked = iter(within(mark, every, opens=ends[0], closes=ends[1]))
        return {open_ms: tuple(next(marked) for _ in parts) for open_ms, parts in plain.items()}

    def _parts(self, open_ms: int) -> tuple[Stretch, ...]:
        """One bar in its finest complete form, with smoothed marks."""
        index = _place(self._candles, open_ms)
        if index is None:
            return ()
        for columns in self._intrabar:
            found = columns.between(open_ms, open_ms + self.step.ms)
            if found.stop - found.start == self.step.ms // columns.timeframe.ms:
                return tuple(_stretch(columns, number) for number in range(found.start, found.stop))
        return (_stretch(self._candles, index),)

    def has_bar(self, open_ms: int) -> bool:
        return _place(self._candles, open_ms) is not None

    def traded(self, now_ms: int) -> Decimal:
        """Within 24 hours, in the quote asset: not recorded, so whole bars, each at its middle."""
        bars = self.candles(self.step, start_ms=now_ms - Timeframe.D1.ms, end_ms=now_ms)
        total = sum(bar.volume * (bar.open + bar.high + bar.low + bar.close) / 4 for bar in bars)
        return Decimal(f"{total:.2f}")

    def opening(self, open_ms: int) -> Quote | None:
        """The prices at which the bar begins that opens then; None when it was not recorded."""
        plain = self._plain(open_ms)
        if plain is not None:
            price = decimal_of(self._candles.open.item(plain))
            return Quote(price, price)
        found = self.bar(open_ms)
        return None if found is None else Quote(found[0].last.open, found[0].mark.open)

    def marks_of_bars(self) -> FloatArray | None:
        """The mark with which each bar begins, from the first to the last, NaN where it was not recorded; None where
        finer candles have a say in it. Read-only."""
        if self._intrabar or (self._mark is not None and self.step is not self._mark.timeframe):
            return None
        times, count = self._candles.open_time_ms, (self.end_ms - self.start_ms) // self.step.ms
        if self._mark is None and count == len(times):
            return self._candles.open
        marks = np.full(count, np.nan)
        marks[(times - self.start_ms) // self.step.ms] = self._candles.open
        if self._mark is not None:
            places = (self._mark.open_time_ms - self.start_ms) // self.step.ms
            inside = (places >= 0) & (places < len(marks))
            places, opens = places[inside], self._mark.open[inside]
            there = ~np.isnan(marks[places])
            marks[places[there]] = opens[there]
        return marks

    def marks_at_opens(self, from_ms: int, until_ms: int) -> list[Decimal]:
        """The marks with which the bars begin that open in [from, until), all of which were recorded."""
        if self._mark is None and not self._intrabar:
            return [
                decimal_of(price) for price in self._candles.open[self._candles.between(from_ms, until_ms)].tolist()
            ]
        found = [self.opening(open_ms) for open_ms in range(from_ms, until_ms, self.step.ms)]
        return [quote.mark for quote in found if quote is not None]

    def closing(self, open_ms: int) -> Quote | None:
        """The prices at which the bar ends that opens then; None when it was not recorded."""
        plain = self._plain(open_ms)
        if plain is not None:
            price = decimal_of(self._candles.close.item(plain))
            return Quote(price, price)
        found = self.bar(open_ms)
        return None if found is None else Quote(found[-1].last.close, found[-1].mark.close)

    def _plain(self, open_ms: int) -> int | None:
        """Where the candle is that is the whole bar, its marks smoothed, so that they begin and end with the last."""
        return _place(self._candles, open_ms) if self.is_plain else None

    @property
    def is_plain(self) -> bool:
        """Whether each candle is a whole bar, and the mark a smoothed last."""
        return self._mark is None and not self._intrabar

    def funding_ahead(self, from_ms: int, until_ms: int) -> int:
        """The first settlement in [from, until); ``until_ms`` if there is none."""
        index = bisect_left(self._funding_times, from_ms)
        return min(self._funding_times[index], until_ms) if index < len(self._funding_times) else until_ms

    def funding(self, at_ms: int) -> Decimal | None:
        """The rate settled at this full hour, or None."""
        return self._rates.get(at_ms)

    def funding_times(self) -> list[int]:
        """All full hours with a settlement, in order."""
        return list(self._funding_times)

    def candles(self, timeframe: Timeframe, *, start_ms: int, end_ms: int) -> list[Candle]:
        """Closed candles that open at or after ``start_ms`` and close by ``end_ms``; long ones are made of bars."""
        columns = self._columns.get(timeframe) or self._aggregate(timeframe)
        found = columns.between(start_ms, end_ms - timeframe.ms + 1)
        return [columns.candle(index) for index in range(found.start, found.stop)]

    def _aggregate(self, timeframe: Timeframe) -> CandleColumns:
        if not self.step.divides(timeframe):
            raise ValueError(f"{self.symbol}: {timeframe} candles are not served, only those made of {self.step}")
        self._columns[timeframe] = aggregated(self._candles, timeframe)
        return self._columns[timeframe]


def day_volumes(feeds: Mapping[str, SymbolFeed], now_ms: int) -> DayVolumes:
    """Of every symbol that is played."""
    return DayVolumes({name: feed.traded(now_ms) for name, feed in feeds.items()})


def read_step(folders: CandleFolders, symbol: str, step: Timeframe) -> CandleColumns:
    """Candles of a timeframe up to 1h, made of shorter ones where there are no files of it."""
    found = folders.parts(symbol, step)
    return found if found.timeframe is step else aggregated(found, step)


def within(mark: Prices, parts: Sequence[Stretch], *, opens: bool, closes: bool) -> list[Stretch]:
    """Parts of an hour with marks that together are its recorded mark, and never beyond it.

    Where in the hour the mark had its extremes is not in the data: the part with the lowest last price has the lowest
    mark. ``opens``, ``closes``: the hour's first and last moment are among the parts.
    """
    if not parts:
        return []
    marks = [_clamped(part.mark, mark) for part in parts]
    if opens:
        marks[0] = replace(marks[0], open=mark.open)
    if closes:
        marks[-1] = replace(marks[-1], close=mark.close)
    lowest = min(range(len(parts)), key=lambda index: parts[index].last.low)
    highest = max(range(len(parts)), key=lambda index: parts[index].last.high)
    marks[lowest] = replace(marks[lowest], low=mark.low)
    marks[highest] = replace(marks[highest], high=mark.high)
    return [replace(part, mark=_possible(found)) for part, found in zip(parts, marks, strict=True)]


def _clamped(prices: Prices, limits: Prices) -> Prices:
    def clamp(price: Decimal) -> Decimal:
        return min(max(price, limits.low), limits.high)

    return Prices(clamp(prices.open), clamp(prices.high), clamp(prices.low), clamp(prices.close))


def _possible(prices: Prices) -> Prices:
    """A candle whose extremes hold its open and close."""
    ends = (prices.open, prices.close)
    return replace(prices, high=max(prices.high, *ends), low=min(prices.low, *ends))


def _at(columns: CandleColumns | None, open_ms: int) -> Prices | None:
    index = None if columns is None else _place(columns, open_ms)
    return None if columns is None or index is None else _prices(columns, index)


def aggregated(columns: CandleColumns, timeframe: Timeframe) -> CandleColumns:
    """Longer candles, made of what there is of each: as at an exchange, which makes them of its trades.

    The first and the last are there only if they are whole. Volumes are added one after the other, as live.
    """
    times, step = columns.open_time_ms, columns.timeframe.ms
    group = times // timeframe.ms
    first = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
    last = np.append(first[1:], columns.length) - 1
    whole = last - first == timeframe.ms // step - 1
    kept = whole.copy()
    kept[1:-1] = True
    first, last, whole = first[kept], last[kept], whole[kept]
    volume = np.zeros(len(first))
    for part in range(timeframe.ms // step):
        there = first + part <= last
        volume[there] += columns.volume[first[there] + part]
    ends = last[-1] + 1 if len(last) else 0
    return CandleColumns(
        symbol=columns.symbol,
        timeframe=timeframe,
        open_time_ms=group[first] * timeframe.ms,
        open=columns.open[first],
        high=_reduced(np.maximum, columns.high[:ends], first),
        low=_reduced(np.minimum, columns.low[:ends], first),
        close=columns.close[last],
        volume=volume,
    )


def _reduced(how: np.ufunc, column: FloatArray, first: IntArray) -> FloatArray:
    """One number for each group of neighbours that begins at ``first`` and ends where the next one begins."""
    found: FloatArray = how.reduceat(column, first) if len(first) else column[:0]
    return found


def _place(columns: CandleColumns, open_ms: int) -> int | None:
    """Where the candle that opens then is; a table of places would need twice the memory of the candles themselves."""
    times = columns.open_time_ms
    if not len(times):
        return None
    index = (open_ms - times.item(0)) // columns.timeframe.ms  # where it is if no candle is missing before
    if not 0 <= index < len(times) or times.item(index) != open_ms:
        index = int(np.searchsorted(times, open_ms))
    return index if index < len(times) and times.item(index) == open_ms else None


def _by_hour(funding: FundingColumns | None) -> dict[int, Decimal]:
    """Recorded settlement times can be some milliseconds late; they belong to the full hour before."""
    if funding is None:
        return {}
    rows = zip(funding.time_ms.tolist(), funding.rate.tolist(), strict=True)
    return {at_ms - at_ms % _HOUR_MS: decimal_of(rate) for at_ms, rate in rows}


def _stretch(columns: CandleColumns, index: int) -> Stretch:
    open_ms = int(columns.open_time_ms[index])
    return stretch(open_ms, open_ms + columns.timeframe.ms, _prices(columns, index))


def _prices(columns: CandleColumns, index: int) -> Prices:
    return Prices(
        open=decimal_of(float(columns.open[index])),
        high=decimal_of(float(columns.high[index])),
        low=decimal_of(float(columns.low[index])),
        close=decimal_of(float(columns.close[index])),
    )
