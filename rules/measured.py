"""Columns that many rules over the same candles share: what a feature measures and a condition says is found once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from indicators.holes import Hole
from indicators.series import Series
from indicators.workspace import Workspace
from rules.features import CandlesRead
from rules.language.arrays import FloatArray

T = TypeVar("T")

COLUMNS_MAX = 512
"""Columns of one symbol that are kept; the oldest goes first. Three years of hours take 210 kB each."""

FINDINGS_MAX = 256
"""Truths of conditions and courses of regimes that are kept, the oldest going first; a truth takes 26 kB."""

WORKSPACES_FILL = 64
"""After so many new columns what was computed on the way to them is let go."""


class Stretch:
    """Candles ``first`` to ``end`` of a series, which indicators read without a break."""

    def __init__(self, series: Series, first: int, end: int) -> None:
        self.first, self.end = first, end
        self.workspace = Workspace(series if first == 0 else series.since(int(series.open_time_ms[first])))


class Measured:
    """Of the candles that one symbol's rules read. The series and holes of a timeframe are always the same."""

    def __init__(self) -> None:
        self._stretches: dict[CandlesRead, list[Stretch]] = {}
        self._columns: dict[tuple[object, ...], FloatArray] = {}
        self._findings: dict[Hashable, Any] = {}
        self._new = 0

    def stretches(self, candles: CandlesRead, series: Series, holes: Sequence[Hole]) -> list[Stretch]:
        found = self._stretches.get(candles)
        if found is None:
            found = self._stretches[candles] = stretches_of(series, holes)
        return found

    def finding(self, key: Hashable, find: Callable[[], T]) -> T:
        """What was found under ``key``, which says everything that it depends on; nobody may change it."""
        if key not in self._findings:
            while len(self._findings) >= FINDINGS_MAX:
                del self._findings[next(iter(self._findings))]
            self._findings[key] = find()
        kept: T = self._findings[key]
        return kept

    def column(self, key: tuple[object, ...], compute: Callable[[], FloatArray]) -> FloatArray:
        """The column kept under ``key``, which says everything that it depends on; read-only."""
        column = self._columns.get(key)
        if column is None:
            column = compute()
            column.setflags(write=False)
            while len(self._columns) >= COLUMNS_MAX:
                del self._columns[next(iter(self._columns))]
            self._columns[key] = column
            self._new += 1
            if self._new % WORKSPACES_FILL == 0:
                self.let_go()
        return column

    def let_go(self) -> None:
        """Of what was computed on the way to the columns; another column begins it anew."""
        self._stretches.clear()


def stretches_of(series: Series, holes: Sequence[Hole]) -> list[Stretch]:
    """A series from its beginning, and anew behind each hole that restarts it."""
    breaks = [hole for hole in holes if hole.timeframe is series.timeframe and hole.restarts]
    edges_ms = [edge for hole in breaks for edge in (hole.first_ms, hole.end_ms)]
    edges = [0, *series.open_time_ms.searchsorted(edges_ms).tolist(), series.length]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Stretch(series, first, end) for first, end in pairs if first < series.length or not series.length]
