"""Reads tables that are written as text: lines with commas, with a header or without, to numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from exchange.candle_columns import FloatArray, IntArray
from exchange.candle_store.cells import NO_NUMBER, NO_TIME, PRICES, number_in, places_of, time_in, wanted_of
from exchange.candle_store.tables import Table, TableError, finished
from exchange.unpacking import UnpackingError
from indicators.candle import Timeframe

Blocks = Iterator[list[str]]

_BY_WIDTH = {
    6: ("time", *PRICES),
    12: ("time", *PRICES, "end"),
}
"""Candles without a header: ours, and Binance's own twelve columns (GET /fapi/v1/klines, checked 2026-11)."""

_FUNDING_BY_WIDTH = {2: ("time", "rate"), 3: ("time", "hours", "rate")}


def read_table(place: str, blocks: Blocks, *, funding: bool, named: Timeframe | None) -> Table:
    """Read it. ``named`` is the timeframe that its name says. Raises TableError."""
    try:
        raw, lines, columns = _read(place, blocks, funding=funding)
    except UnpackingError as error:
        raise TableError(place, error.line, error.message) from None
    return finished(place, raw, lines, columns, funding=funding, named=named)


def _read(place: str, blocks: Blocks, *, funding: bool) -> tuple[FloatArray, IntArray, tuple[str, ...]]:
    """Numbers of the columns that are used, their lines, and what they are."""
    layout: _Layout | None = None
    found: list[FloatArray] = []
    numbers: list[IntArray] = []
    number = 1
    for block in blocks:
        lines = block
        if layout is None:
            layout = _layout(place, lines[0] if lines else "", funding=funding)
            if layout.has_header:
                lines, number = lines[1:], 2
        while lines and not lines[-1].strip():
            lines = lines[:-1]
        if lines:
            found.append(layout.numbers(place, lines, number))
            numbers.append(np.arange(number, number + len(lines), dtype=np.int64))
        number += len(block) - (1 if number == 2 else 0)
    if layout is None:
        raise TableError(place, 1, "the file is empty; fetch it again")
    if not found:
        raise TableError(place, number, "no rows after the header; fetch the file again")
    return np.concatenate(found), np.concatenate(numbers), layout.columns


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the columns that are used stand, of how many there are."""

    columns: tuple[str, ...]
    places: tuple[int, ...]
    width: int
    has_header: bool

    def numbers(self, place: str, lines: list[str], number: int) -> FloatArray:
        """The used columns of each line, as numbers."""
        if all(line.count(",") == self.width - 1 for line in lines):
            try:
                return np.loadtxt(lines, dtype=np.float64, delimiter=",", ndmin=2, comments=None, usecols=self.places)
            except ValueError:
                pass
        return np.array([self._row(place, line, number + index) for index, line in enumerate(lines)])

    def _row(self, place: str, line: str, number: int) -> list[float]:
        cells = line.split(",")
        if not line.strip():
            raise TableError(place, number, "an empty line; delete it, or fetch the file again")
        if len(cells) != self.width:
            what = f"{len(cells)} values, expected {self.width}: {line[:80]!r}"
            advice = "write numbers with a point and without commas, or fetch" if '"' in line else "fetch"
            raise TableError(place, number, f"{what}; {advice} the file again")
        named = zip(self.columns, self.places, strict=True)
        try:
            return [_cell(place, number, name, cells[column]) for name, column in named]
        except TableError:
            if places_of(cells, self.columns).keys() != set(self.columns):
                raise
            raise TableError(place, number, "the header stands here once more; delete this line") from None


def _layout(place: str, first: str, *, funding: bool) -> _Layout:
    cells = [cell.strip().strip('"') for cell in first.split(",")]
    if len(cells) == 1:
        raise TableError(place, 1, _no_table(first))
    known = _FUNDING_BY_WIDTH if funding else _BY_WIDTH
    if _is_number(cells[0]) or _is_number(cells[1]):
        columns = known.get(len(cells))
        if columns is None:
            widths = " or ".join(map(str, known))
            raise TableError(
                place,
                1,
                f"{len(cells)} values and no header, expected {widths} values; add a line that names the columns",
            )
        return _Layout(columns, tuple(range(len(columns))), len(cells), False)
    wanted, further = wanted_of(funding=funding)
    places = places_of(cells, (*wanted, *further))
    missing = [name for name in wanted if name not in places]
    if missing and _separated_otherwise(first):
        raise TableError(place, 1, _no_table(first))
    if missing:
        what = f"no column is called {missing[0]} in the header {first[:80]!r}"
        raise TableError(place, 1, f"{what}; name the columns {', '.join(wanted)}")
    return _Layout(tuple(places), tuple(places.values()), len(cells), True)


def _no_table(first: str) -> str:
    if not first.strip():
        return "the first line is empty; fetch the file again"
    if first.lstrip().startswith("<"):
        return "this is a web page, not a table: the download was answered with an error; fetch the file again"
    if _separated_otherwise(first):
        return "values are separated by something else than commas; write them with commas"
    return f"{first[:80]!r} is no row of a table; delete what stands above the first row, or fetch the file again"


def _separated_otherwise(line: str) -> bool:
    return ";" in line or "\t" in line


def _cell(place: str, number: int, name: str, text: str) -> float:
    try:
        return time_in(text) if name == "time" else number_in(text)
    except ValueError:
        written = text.strip().strip('"')[:40]
        raise TableError(place, number, f"{written!r} {NO_TIME if name == 'time' else NO_NUMBER}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
