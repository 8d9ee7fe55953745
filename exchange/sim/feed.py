"""Hands out recorded candles one bar at a time: as bars to walk through, as funding rates, and as history."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from exchange.candle_files import CandleColumns, CandleFolders, FloatArray, FundingColumns, IntArray
from exchange.filters import decimal_of
from exchange.sim.path import Bar, Prices, Stretch, bar, stretch
from indicators.candle import Candle, Timeframe

_HOUR_MS = Timeframe.H1.ms


class SymbolFeed:
    """Everything recorded of one symbol."""

    def __init__(
        self,
        *,
        candles: CandleColumns,
        mark: CandleColumns | None = None,
        intrabar: Sequence[CandleColumns] = (),
        funding: FundingColumns | None = None,
    ) -> None:
        self.symbol = candles.symbol
        self._columns = {Timeframe.H1: candles}
        self._mark = mark
        self._intrabar = {columns.timeframe: columns for columns in intrabar}
        self._rates = _by_hour(funding)

    @classmethod
    def read(cls, folders: CandleFolders, symbol: str) -> SymbolFeed:
        """From files; raises CandleFileError."""
        return cls(
            candles=folders.candles(symbol),
            mark=folders.mark(symbol),
            intrabar=folders.intrabar(symbol),
            funding=folders.funding(symbol),
        )

    @property
    def has_mark(self) -> bool:
        """False when the mark is a smoothed last (the report says so)."""
        return self._mark is not None

    @property
    def start_ms(self) -> int:
        """Open time of the first candle."""
        return int(self._columns[Timeframe.H1].open_time_ms[0])

    @property
    def end_ms(self) -> int:
        """When the last candle closes."""
        return int(self._columns[Timeframe.H1].open_time_ms[-1]) + _HOUR_MS

    def bar(self, open_ms: int) -> Bar | None:
        """The hour that opens then, in its finest complete form; None when it was not recorded.

        Finer candles have no mark of their own: theirs is smoothed from their last.
        """
        index = _place(self._columns[Timeframe.H1], open_ms)
        if index is None:
            return None
        for timeframe, columns in self._intrabar.items():
            found = columns.between(open_ms, open_ms + _HOUR_MS)
            if found.stop - found.start == _HOUR_MS // timeframe.ms:
                return bar([_stretch(columns, number) for number in range(found.start, found.stop)])
        mark_index = None if self._mark is None else _place(self._mark, open_ms)
        marks = _prices(self._mark, mark_index) if self._mark is not None and mark_index is not None else None
        prices = _prices(self._columns[Timeframe.H1], index)
        return (stretch(open_ms, open_ms + _HOUR_MS, prices, marks),)

    def funding(self, at_ms: int) -> Decimal | None:
        """The rate settled at this full hour, or None."""
        return self._rates.get(at_ms)

    def funding_times(self) -> list[int]:
        """All full hours with a settlement, in order."""
        return sorted(self._rates)

    def candles(self, timeframe: Timeframe, *, start_ms: int, end_ms: int) -> list[Candle]:
        """Closed candles that open at or after ``start_ms`` and close by ``end_ms``; long ones are made of 1h."""
        columns = self._columns.get(timeframe) or self._aggregate(timeframe)
        found = columns.between(start_ms, end_ms - timeframe.ms + 1)
        return [columns.candle(index) for index in range(found.start, found.stop)]

    def _aggregate(self, timeframe: Timeframe) -> CandleColumns:
        if timeframe.ms < _HOUR_MS:
            raise ValueError(f"{self.symbol}: {timeframe} candles are not served, only 1h and longer")
        self._columns[timeframe] = aggregated(self._columns[Timeframe.H1], timeframe)
        return self._columns[timeframe]


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
    index = int(np.searchsorted(columns.open_time_ms, open_ms))
    return index if index < columns.length and columns.open_time_ms[index] == open_ms else None


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
