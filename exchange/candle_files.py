"""Reads candle, mark-price, intrabar and funding files from data folders into plain arrays, and trusts none of them.

A folder is searched itself and then its sub-folders ``funding``, ``mark`` and ``intrabar``; ``native`` (the
exchange's own 4h and 1d candles) only when such a timeframe is asked for. Nothing else is ever entered, so
``sample``, ``spot`` and ``raw12`` beside the candles do no harm. A folder with a manifest is a store, and is mapped.
Several folders are joined: they may overlap, but not contradict each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import (
    TIME_MAX_MS,
    CandleColumns,
    CandleFileError,
    FloatArray,
    FundingColumns,
    IntArray,
    clock_of,
    contradiction_of,
)
from exchange.candle_store.manifest import is_store
from exchange.candle_store.reading import CandleStore
from exchange.candle_store.series import Kind, Series, candles_of, funding_of
from exchange.unpacking import UnpackingError, blocks_of_lines
from indicators.candle import Timeframe

CANDLE_HEADER = "open_time_ms,open,high,low,close,volume"
FUNDING_HEADER = "funding_time_ms,funding_rate"
_CANDLES_NAME = re.compile(r"^([^-]+)-(\d+[mh])(?:-[^-]+)?\.csv\.gz$")
_UP_TO_1H = [timeframe for timeframe in Timeframe if timeframe.ms <= Timeframe.H1.ms]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a series was found: a file, or a store that has it mapped."""

    place: Path
    series: Series
    store: CandleStore | None = None

    def rows(self) -> FloatArray:
        if self.store is not None:
            return self.store.rows(self.series)
        if self.series.timeframe is None:
            return _read_funding(self.place)
        return _read_candle_rows(self.place, self.series.timeframe)


class CandleFolders:
    """One or more data folders or stores, read as if they were one. Every method raises CandleFileError for a bad file.

    ``instead`` are folders for symbols of which the first have nothing at all.
    """

    def __init__(self, folders: Sequence[Path], instead: Sequence[Path] = ()) -> None:
        for folder in (*folders, *instead):
            if not folder.is_dir():
                what = "--data takes a folder of SYMBOL-1h.csv.gz files, or a store that `data import` has filled"
                raise CandleFileError(f"{folder}: no such folder; {what}")
        self._folders = tuple(folder for folder in folders if not is_store(folder))
        self._stores = tuple(CandleStore(folder) for folder in folders if is_store(folder))
        self._named = tuple(folders)
        self._instead = CandleFolders(instead) if instead else None

    def symbols(self, timeframe: Timeframe = Timeframe.H1) -> tuple[str, ...]:
        """Symbols that have candles of this timeframe or of one that it can be made of, sorted."""
        names = (_CANDLES_NAME.match(path.name) for place in self._places(timeframe) for path in place.iterdir())
        parts = {part for part in _UP_TO_1H if part.divides(timeframe)}
        found = {match[1] for match in names if match and match[2] in parts}
        stored = {series for store in self._stores for series in store.entries}
        found |= {series.symbol for series in stored if series.kind is Kind.LAST and series.timeframe in parts}
        return tuple(sorted({*found, *(self._instead.symbols(timeframe) if self._instead else ())}))

    def candles(self, symbol: str, timeframe: Timeframe = Timeframe.H1) -> CandleColumns:
        """Candles of the last price, from files of this very timeframe. Above 1h they are the exchange's own."""
        if (other := self._other(symbol)) is not None:
            return other.candles(symbol, timeframe)
        found = self._find_candles(symbol, timeframe)
        if not found:
            raise CandleFileError(f"{symbol}-{timeframe}.csv.gz: not found in {self._where}")
        return _read_joined(found, symbol, timeframe)

    def parts(self, symbol: str, timeframe: Timeframe) -> CandleColumns:
        """Candles of this timeframe, up to 1h, or the longest shorter ones that it can be made of."""
        if (other := self._other(symbol)) is not None:
            return other.parts(symbol, timeframe)
        for part in reversed([part for part in _UP_TO_1H if part.divides(timeframe)]):
            if found := self._find_candles(symbol, part, beside=self._places(timeframe)):
                return _read_joined(found, symbol, part)
        raise CandleFileError(
            f"{symbol}: no candles of {timeframe} or shorter in {self._where}; a file is named "
            f"{symbol}-{timeframe}.csv.gz, and `data download` or `data import` fill a store"
        )

    def mark(self, symbol: str) -> CandleColumns | None:
        """Candles of the mark price at 1h, or None when no folder has them."""
        if (other := self._other(symbol)) is not None:
            return other.mark(symbol)
        series = candles_of(symbol, Timeframe.H1, mark=True)
        found = self._find((".", "mark"), series) + self._stored(series)
        return _read_joined(found, symbol, Timeframe.H1) if found else None

    def intrabar(self, symbol: str, timeframe: Timeframe = Timeframe.H1) -> tuple[CandleColumns, ...]:
        """Candles finer than these, the finest timeframe first. They usually cover only some days."""
        if (other := self._other(symbol)) is not None:
            return other.intrabar(symbol, timeframe)
        finer = [part for part in _UP_TO_1H if part is not timeframe and part.divides(timeframe)]
        by_timeframe = ((part, self._find_candles(symbol, part)) for part in finer)
        return tuple(_read_joined(found, symbol, part) for part, found in by_timeframe if found)

    def funding(self, symbol: str) -> FundingColumns | None:
        """Funding rates, or None when no folder has them."""
        if (other := self._other(symbol)) is not None:
            return other.funding(symbol)
        series = funding_of(symbol)
        found = self._find((".", "funding"), series) + self._stored(series)
        if len(found) == 1 and found[0].store is not None:
            return found[0].store.funding(symbol)
        if not found:
            return None
        joined = _join([(source.place, source.rows()[:, :2]) for source in found])
        return FundingColumns(symbol=symbol, time_ms=_times(joined), rate=_frozen(joined[:, 1]))

    @property
    def _where(self) -> str:
        return ", ".join(str(folder) for folder in self._named)

    def _other(self, symbol: str) -> CandleFolders | None:
        """Where a symbol's candles are that these folders have none of."""
        if self._instead is None or any(symbol in store.symbols for store in self._stores):
            return None
        files = (path for place in self._places(Timeframe.M1) for path in place.glob(f"{symbol}-*.csv.gz"))
        return self._instead if next(files, None) is None else None

    def _places(self, timeframe: Timeframe) -> list[Path]:
        """Where candles of a timeframe may lie: finer ones than 1h in ``intrabar`` as well."""
        inside = [] if timeframe is Timeframe.H1 else [folder / "intrabar" for folder in self._folders]
        return [*self._folders, *(place for place in inside if place.is_dir())]

    def _find_candles(
        self, symbol: str, timeframe: Timeframe, *, beside: Sequence[Path] | None = None
    ) -> list[_Source]:
        series = candles_of(symbol, timeframe)
        if timeframe.ms >= Timeframe.H1.ms:
            places = (".",) if timeframe is Timeframe.H1 else (".", "native")
            return self._find(places, series) + self._stored(series)
        paths = _dated(self._places(timeframe) if beside is None else beside, symbol, timeframe)
        return [_Source(path, series) for path in paths] + self._stored(series)

    def _stored(self, series: Series) -> list[_Source]:
        return [_Source(store.path(series), series, store) for store in self._stores if series in store.entries]

    def _find(self, places: Iterable[str], series: Series) -> list[_Source]:
        """At most one file a folder: its own, else the sub-folder's."""
        name = f"{series.name}.csv.gz"
        paths = ([folder / place / name for place in places] for folder in self._folders)
        found = [found for candidates in paths for found in [p for p in candidates if p.is_file()][:1]]
        return [_Source(path, series) for path in found]


def _dated(places: Iterable[Path], symbol: str, timeframe: Timeframe) -> list[Path]:
    """Files of finer candles: one for all times, or one for each of some stretches of days."""
    return [
        path
        for place in places
        for pattern in (f"{symbol}-{timeframe}.csv.gz", f"{symbol}-{timeframe}-*.csv.gz")
        for path in sorted(place.glob(pattern))
    ]


def read_candles(path: Path, symbol: str, timeframe: Timeframe) -> CandleColumns:
    """One candle file."""
    return _read_joined([_Source(path, candles_of(symbol, timeframe))], symbol, timeframe)


def _read_joined(sources: Sequence[_Source], symbol: str, timeframe: Timeframe) -> CandleColumns:
    """What one store has is mapped as it is; the rest is read and joined."""
    if len(sources) == 1 and (store := sources[0].store) is not None:
        return CandleColumns(symbol=symbol, timeframe=timeframe, **store.columns(sources[0].series))
    rows = _join([(source.place, source.rows()) for source in sources])
    names = ("open", "high", "low", "close", "volume")
    columns = {name: _frozen(rows[:, index]) for index, name in enumerate(names, start=1)}
    return CandleColumns(symbol=symbol, timeframe=timeframe, open_time_ms=_times(rows), **columns)


def _read_candle_rows(path: Path, timeframe: Timeframe) -> FloatArray:
    """The rows that can be true. One that contradicts itself counts as missing, as from the exchange (R66)."""
    rows = _read_rows(path, CANDLE_HEADER)
    _check_times(path, rows, step_ms=timeframe.ms)
    possible: FloatArray = rows[contradiction_of(rows) == ""]
    if not len(possible):
        raise CandleFileError(f"{path}:2: no row can be true: {contradiction_of(rows)[0]}")
    return possible


def _read_funding(path: Path) -> FloatArray:
    rows = _read_rows(path, FUNDING_HEADER)
    _require(path, np.asarray(np.isfinite(rows).all(axis=1)), "a number is not finite")
    _check_times(path, rows, step_ms=1)
    _require(path, np.abs(rows[:, 1]) < 1, "a funding rate is a fraction, so it is between -1 and 1")
    return rows


def _read_rows(path: Path, header: str) -> FloatArray:
    """All numbers of the file. Times are milliseconds below 2^53, so a float holds them exactly."""
    columns = header.count(",") + 1
    found, number = [], 2
    for lines in lines_after_header(path, header):
        rows = numbers_of(lines, columns)
        if rows is None:
            raise _first_bad_line(path, lines, columns, number)
        found.append(rows)
        number += len(lines)
    if not found:
        raise CandleFileError(f"{path}:2: no rows after the header")
    return np.concatenate(found)


def lines_after_header(path: Path, header: str) -> Iterator[list[str]]:
    """The lines of a file that begins with this header, some thousands at a time. Raises CandleFileError."""
    is_first = True
    try:
        for lines in blocks_of_lines(path):
            if is_first and (written := lines.pop(0).strip()) != header:
                raise CandleFileError(f"{path}:1: the header is {written[:80]!r}, expected {header!r}")
            is_first = False
            if lines:
                yield lines
    except UnpackingError as error:
        raise CandleFileError(f"{path}:{error.line}: {error.message}") from None
    if is_first:
        raise CandleFileError(f"{path}:1: the header is '', expected {header!r}")


def numbers_of(lines: list[str], columns: int) -> FloatArray | None:
    """A row of so many numbers for each line; None where one of them is no such row."""
    if not all(lines):
        return None
    try:
        rows: FloatArray = np.loadtxt(lines, dtype=np.float64, delimiter=",", ndmin=2, comments=None)
    except ValueError:
        return None
    return rows if rows.shape == (len(lines), columns) else None


def wrong_in(line: str, columns: int) -> str:
    """Why a line is no row of so many numbers; empty where it is one."""
    cells = line.split(",")
    if len(cells) != columns:
        return f"{len(cells)} values, expected {columns}: {line[:80]!r}"
    return next((f"{cell[:40]!r} is not a number" for cell in cells if not _is_number(cell)), "")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _first_bad_line(path: Path, lines: list[str], columns: int, number: int) -> CandleFileError:
    for place, line in enumerate(lines, start=number):
        if what := wrong_in(line, columns):
            return CandleFileError(f"{path}:{place}: {what}")
    return CandleFileError(f"{path}:{number}: the rows cannot be read as numbers")


def _check_times(path: Path, rows: FloatArray, *, step_ms: int) -> None:
    times = rows[:, 0]
    _require(path, (times > 0) & (times < TIME_MAX_MS), "the time is not in milliseconds UTC")
    _require(path, times % step_ms == 0, f"the time is not a multiple of {step_ms} ms")
    rising = np.concatenate((np.ones(1, dtype=np.bool_), np.diff(times) > 0))
    _require(path, rising, "the time does not come after the one in the line before")


def _require(path: Path, good: npt.NDArray[np.bool_], otherwise: str) -> None:
    if not good.all():
        raise CandleFileError(f"{path}:{int(np.argmin(good)) + 2}: {otherwise}")


def _join(parts: Sequence[tuple[Path, FloatArray]]) -> FloatArray:
    """All rows in order of time. A row that several files have must be the same in each."""
    if len(parts) == 1:
        return parts[0][1]
    rows = np.concatenate([rows for _, rows in parts])
    sources = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
    order = np.argsort(rows[:, 0], kind="stable")
    rows, sources = rows[order], sources[order]
    repeated = np.flatnonzero(rows[1:, 0] == rows[:-1, 0]) + 1
    for index in repeated[(rows[repeated] != rows[repeated - 1]).any(axis=1)].tolist():
        one, other = parts[int(sources[index - 1])][0], parts[int(sources[index])][0]
        raise CandleFileError(
            f"{other}: differs from {one} at {clock_of(rows[index, 0])}; give only one of the two folders"
        )
    joined: FloatArray = np.delete(rows, repeated, axis=0)
    return joined


def _times(rows: FloatArray) -> IntArray:
    times = rows[:, 0].astype(np.int64)
    times.flags.writeable = False
    return times


def _frozen(column: FloatArray) -> FloatArray:
    copy = np.ascontiguousarray(column)
    copy.flags.writeable = False
    return copy
