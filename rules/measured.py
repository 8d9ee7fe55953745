"""Columns that many rules over the same candles share: what a feature measures and a condition says is found once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from indicators.holes import Hole
from indicators.series import Series
from indicators.workspace import Workspace
from rules.features import CandlesRead
from rules.language.arrays import FloatArray

T = TypeVar("T")

KEPT_BYTES = 64 * 2**20
"""Of columns, truths of conditions and courses of regimes that are kept for other rules, over all symbols; the oldest
goes first. Of three years of hours a column takes 210 kB, a truth or a course 26 kB."""

WORKSPACES_FILL = 64
"""After so many new columns, over all symbols, what was computed on the way to them is let go."""


class Stretch:
    """Candles ``first`` to ``end`` of a series, which indicators read without a break."""

    def __init__(self, series: Series, first: int, end: int) -> None:
        self.first, self.end = first, end
        self.workspace = Workspace(series if first == 0 else series.since(int(series.open_time_ms[first])))


class Measured:
    """Of the candles that one symbol's rules read. The series and holes of a timeframe are always the same."""

    def __init__(self, symbols: int = 1, kept_bytes: int = KEPT_BYTES) -> None:
        """``symbols``: how many have their share of what is held on the way; ``kept_bytes``: of this one."""
        self._stretches: dict[CandlesRead, list[Stretch]] = {}
        self._kept: dict[Hashable, Any] = {}
        self._bytes, self._bytes_max = 0, kept_bytes
        self._new, self._new_max = 0, max(1, WORKSPACES_FILL // symbols)

    def stretches(self, candles: CandlesRead, series: Series, holes: Sequence[Hole]) -> list[Stretch]:
        found = self._stretches.get(candles)
        if found is None:
            found = self._stretches[candles] = stretches_of(series, holes)
        return found

    def finding(self, key: Hashable, find: Callable[[], T]) -> T:
        """What was found under ``key``, which says everything that it depends on; nobody may change it."""
        found: T | None = self._kept.get(key)
        return self._keep(key, find()) if found is None else found

    def column(self, key: tuple[object, ...], compute: Callable[[], FloatArray]) -> FloatArray:
        """The column kept under ``key``, which says everything that it depends on; read-only."""
        column: FloatArray | None = self._kept.get(key)
        if column is None:
            column = compute()
            column.setflags(write=False)
            self._new += 1
            self._keep(key, column)
        return column

    def _keep(self, key: Hashable, found: T) -> T:
        self._kept[key] = found
        self._bytes += _size(found)
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            self._bytes -= _size(self._kept.pop(next(iter(self._kept))))
        return found

    def settle(self) -> None:
        """A variant has what it needs for now: let go of what was computed on the way, if it is much."""
        if self._new >= self._new_max:
            self.let_go()

    def let_go(self) -> None:
        """Of what was computed on the way to the columns; another column begins it anew."""
        self._stretches.clear()
        self._new = 0


def _size(found: Any) -> int:
    """Bytes of the columns in it."""
    if isinstance(found, np.ndarray):
        return found.nbytes
    return sum(map(_size, found)) if isinstance(found, tuple) else 0


def stretches_of(series: Series, holes: Sequence[Hole]) -> list[Stretch]:
    """A series from its beginning, and anew behind each hole that restarts it."""
    breaks = [hole for hole in holes if hole.timeframe is series.timeframe and hole.restarts]
    edges_ms = [edge for hole in breaks for edge in (hole.first_ms, hole.end_ms)]
    edges = [0, *series.open_time_ms.searchsorted(edges_ms).tolist(), series.length]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Stretch(series, first, end) for first, end in pairs if first < series.length or not series.length]
