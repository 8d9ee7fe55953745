"""Fills a store from an exchange: asks for what is missing, and keeps it in steps, so that it may die at any moment.

What the store has is all that is remembered. So a download that was ended goes on where the store ends, asks again for
holes, and comes to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from exchange.candle_columns import FloatArray
from exchange.candle_store.manifest import Rejected
from exchange.candle_store.reading import CandleStore
from exchange.candle_store.series import Series
from exchange.candle_store.writing import StoreWriter

PAGE = 1_500
KEPT_AFTER_SHARE = 8
"""New rows are kept when they are an eighth of what is there: every row is written nine times at most, and of an hour
of downloading no more than some minutes are lost."""

FUNDING_HOUR_MS = 3_600_000
PASSES = 2
"""A hole in one answer is asked for once more before it is left as it is."""

Progress = Callable[[int, int], None]
"""Takes how many rows there are of how many that may be."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Page:
    """One answer. ``last_ms`` is the time of its last row, whatever that row is worth; None: there was none."""

    rows: FloatArray
    rejected: tuple[Rejected, ...] = ()
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What an exchange says of symbols, in its own words. ``known`` names all that it lists."""

    known: frozenset[str]
    symbols: dict[str, dict[str, object]]
    funding: dict[str, dict[str, object]]


class HistorySource(Protocol):
    """Where history comes from."""

    async def now_ms(self) -> int: ...

    async def candles(self, series: Series, start_ms: int, end_ms: int, most: int = PAGE) -> Page: ...

    async def funding(self, symbol: str, start_ms: int) -> Page: ...

    async def rules(self, symbols: Collection[str]) -> Rules: ...


class Download:
    """Series after series into one store. Raises what the source does, and CandleFileError."""

    def __init__(self, source: HistorySource, writer: StoreWriter) -> None:
        self._source, self._writer = source, writer

    async def series(self, series: Series, from_ms: int | None, to_ms: int, progress: Progress) -> None:
        """Everything of it in [from, to) that has ended by ``to``. ``from_ms`` None: from its beginning."""
        if series.timeframe is None:
            await self._funding(series, from_ms, to_ms, progress)
            return
        step = series.timeframe.ms
        end_ms = to_ms - to_ms % step
        start_ms = -(-from_ms // step) * step if from_ms is not None else await self._beginning(series, end_ms)
        if start_ms is None or start_ms >= end_ms:
            progress(1, 1)
            return
        total = (end_ms - start_ms) // step
        for _ in range(PASSES):
            for first_ms, last_ms in self._missing(series, start_ms, end_ms):
                await self._stretch(
                    series, first_ms, last_ms, lambda at_ms: progress((at_ms - start_ms) // step, total)
                )
        progress(total, total)

    async def _beginning(self, series: Series, end_ms: int) -> int | None:
        """When the exchange's first candle of it opens; None where it has none."""
        page = await self._source.candles(series, 0, end_ms, 1)
        return page.last_ms

    def _missing(self, series: Series, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
        """Stretches [first, end) without candles; those that one answer covers are one."""
        assert series.timeframe is not None
        step, found = series.timeframe.ms, list[tuple[int, int]]()
        if series not in self._writer.entries:
            return iter([(start_ms, end_ms)])
        times = CandleStore(self._writer.folder).columns(series)["open_time_ms"]
        times = times[np.searchsorted(times, start_ms) : np.searchsorted(times, end_ms)]
        edges = np.concatenate(([start_ms - step], times, [end_ms]))
        for index in np.flatnonzero(np.diff(edges) > step).tolist():
            first_ms, last_ms = int(edges[index]) + step, int(edges[index + 1])
            if found and last_ms - found[-1][0] <= PAGE * step:
                found[-1] = (found[-1][0], last_ms)
            else:
                found.append((first_ms, last_ms))
        return iter(found)

    async def _stretch(self, series: Series, first_ms: int, end_ms: int, reached: Callable[[int], None]) -> None:
        """Ascending from its beginning, so that what is kept of it has no holes of its own."""
        assert series.timeframe is not None
        step, next_ms, kept = series.timeframe.ms, first_ms, _Kept(self._writer, series)
        while next_ms < end_ms:
            page = await self._source.candles(series, next_ms, end_ms)
            kept.take(page)
            if page.last_ms is None:
                break
            next_ms = series.timeframe.floor(page.last_ms) + step
            reached(min(next_ms, end_ms))
        kept.flush()
        reached(end_ms)

    async def _funding(self, series: Series, from_ms: int | None, to_ms: int, progress: Progress) -> None:
        """Nobody knows when settlements should be: what is missing at the beginning is kept at once or not at all."""
        entry = self._writer.entries.get(series)
        start_ms = from_ms or 0
        if entry is not None and start_ms < entry.first_ms:
            before = _Kept(self._writer, series, at_once=True)
            await self._settlements(series, start_ms, entry.first_ms, before)
            before.flush()
        next_ms = start_ms if entry is None else max(entry.last_ms + FUNDING_HOUR_MS, start_ms)
        after = _Kept(self._writer, series)
        await self._settlements(series, next_ms, to_ms, after)
        after.flush()
        progress(1, 1)

    async def _settlements(self, series: Series, start_ms: int, end_ms: int, kept: _Kept) -> None:
        next_ms = start_ms
        while next_ms < end_ms:
            page = await self._source.funding(series.symbol, next_ms)
            rows = page.rows[page.rows[:, 0] < end_ms]
            kept.take(Page(rows=rows))
            if page.last_ms is None or page.last_ms < next_ms:
                break
            next_ms = page.last_ms + 1


class _Kept:
    """Rows that wait to be written together."""

    def __init__(self, writer: StoreWriter, series: Series, *, at_once: bool = False) -> None:
        self._writer, self._series, self._at_once = writer, series, at_once
        self._rows: list[FloatArray] = []
        self._rejected: list[Rejected] = []

    def take(self, page: Page) -> None:
        self._rows.append(page.rows)
        self._rejected += page.rejected
        entry = self._writer.entries.get(self._series)
        waiting = sum(map(len, self._rows))
        if not self._at_once and waiting * KEPT_AFTER_SHARE > (0 if entry is None else entry.rows):
            self.flush()

    def flush(self) -> None:
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, len(self._series.columns)))
        rows = rows[np.concatenate((np.ones(min(len(rows), 1), dtype=np.bool_), np.diff(rows[:, 0]) > 0))]
        if self._series in self._writer.entries:  # what is there stays: a hole was asked for, not what lies around it
            known = CandleStore(self._writer.folder).columns(self._series)[self._series.columns[0]]
            rows = rows[~np.isin(rows[:, 0], known)]
        if len(rows) or (self._rejected and self._series in self._writer.entries):
            self._writer.add(self._series, rows, self._rejected)
            self._rejected = []
        self._rows = []
