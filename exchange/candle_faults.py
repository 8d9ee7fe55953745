"""Looks through candle and funding files for rows that are wrong or missing, and names each: file, line, kind.

A reader stops at the first row that it cannot use, and carries what is missing (candle_files.py, indicators/holes.py).
Here everything is listed, also what can be true and hardly is, such as a price a thousand times its neighbours'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import TIME_MAX_MS, CandleFileError, FloatArray, IntArray, clock_of, contradiction_of
from exchange.candle_files import CANDLE_HEADER, FUNDING_HEADER, lines_after_header, numbers_of, wrong_in
from exchange.candle_store.manifest import is_store
from exchange.candle_store.reading import CandleStore, advice
from exchange.candle_store.series import Series
from indicators.candle import Timeframe

Flags = npt.NDArray[np.bool_]

LISTED_MAX = 100
"""So many faults of a kind are listed for each file; all are counted."""

TIMES_USUAL = 10.0
"""A price this many times those beside it, or so small a part of them, is a slip in writing it down."""

LOW_USUAL = 0.2
"""Wicks of four fifths happen in a crash, once in years; a low below that is worth a look."""

_NEIGHBOURS = 3
_PLACES = (".", "funding", "mark", "intrabar", "native")
_NAME = re.compile(r"^([A-Z0-9]+)-(?:mark-)?(" + "|".join(Timeframe) + r"|funding)(?:-.*)?\.csv\.gz$")
_PRICES = ("open", "high", "low", "close")


class FaultKind(StrEnum):
    """What is wrong with a row, or with a whole file."""

    FILE = "file"  # nothing can be read
    NUMBER = "number"  # too few values, none, or no number at all
    TIME = "time"  # not in milliseconds, or not where a candle of this timeframe begins
    ORDER = "order"  # before a row above it
    DUPLICATE = "duplicate"  # told twice, and the same
    CONTRADICTION = "contradiction"  # cannot be true: a high below the close, or the same candle told differently
    TICK = "tick"  # a price ten and more times off its neighbours: a comma in the wrong place
    LOW = "low"  # a low that nothing beside it has been near
    GAP = "gap"  # candles that are missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One finding; ``line`` counts from 1, the header, and in a store the rows. ``open_ms`` 0: no time can be read."""

    file: Path
    line: int
    kind: FaultKind
    open_ms: int
    message: str

    @property
    def row(self) -> int:
        """Counted from 1, without the header."""
        return self.line if self.file.suffix == ".npy" else max(self.line - 1, 0)


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """One series of a store."""

    store: CandleStore
    series: Series

    @property
    def path(self) -> Path:
        return self.store.path(self.series)


@dataclass(slots=True)
class Findings:
    """What was looked at, and what is wrong with it."""

    files: list[Path] = field(default_factory=list)
    rows: int = 0
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[FaultKind] = field(default_factory=Counter)


def files_in(folders: Sequence[Path], symbols: Sequence[str]) -> list[Path | StoredSeries]:
    """Every file and series that a command would read of these symbols (none named: of all). Raises CandleFileError."""
    found: list[Path | StoredSeries] = []
    seen: set[str] = set()
    for folder in folders:
        if not folder.is_dir():
            raise CandleFileError(f"{folder}: no such folder; --data takes a folder of candle files, or a store")
        if is_store(folder):
            store = CandleStore(folder)
            kept = [series for series in sorted(store.entries) if not symbols or series.symbol in symbols]
            found += [StoredSeries(store, series) for series in kept]
            seen |= {series.symbol for series in kept}
            continue
        listed = sorted(path for place in _PLACES for path in (folder / place).glob("*.csv.gz"))
        files = [path for path in listed if (name := _NAME.match(path.name)) and (not symbols or name[1] in symbols)]
        found += files
        seen |= {path.name.partition("-")[0] for path in files}
    missing = sorted(set(symbols) - seen)
    if missing or not found:
        where = ", ".join(str(folder) for folder in folders)
        raise CandleFileError(f"{', '.join(missing) or 'SYMBOL'}-1h.csv.gz: not found in {where}")
    return found


def look_through(places: Sequence[Path | StoredSeries]) -> Iterator[Findings]:
    """What is wrong with files and series, and where those of one name contradict each other; one report each."""
    before: dict[str, list[_Rows]] = {}
    for place in places:
        path = place if isinstance(place, Path) else place.path
        try:
            rows = _Rows.read(place) if isinstance(place, Path) else _Rows.stored(place)
        except CandleFileError as error:
            line, _, message = str(error).removeprefix(f"{path}:").partition(": ")
            fault = Fault(file=path, line=int(line), kind=FaultKind.FILE, open_ms=0, message=message)
            yield Findings([path], 0, [fault], Counter([FaultKind.FILE]))
            continue
        name = path.name.removesuffix(".csv.gz") if isinstance(place, Path) else place.series.name
        others = before.setdefault(name, [])
        yield rows.findings(others)
        others.append(rows)


class _Rows:
    """The rows of one file with their lines; a row that is none is not among them, and has its fault."""

    def __init__(
        self,
        path: Path,
        timeframe: Timeframe | None,
        rows: FloatArray,
        lines: IntArray,
        unread: Sequence[tuple[int, str]] = (),
    ) -> None:
        self._timeframe = timeframe
        self._path, self._rows, self._lines = path, rows, lines
        self._found = Findings([path], len(rows) + len(unread))
        for line, message in unread:
            self.add(FaultKind.NUMBER, line, 0, message)

    @classmethod
    def read(cls, path: Path) -> _Rows:
        header = FUNDING_HEADER if "-funding" in path.name else CANDLE_HEADER
        columns, number = header.count(",") + 1, 2
        blocks, places, unread = [], [], []
        for lines in lines_after_header(path, header):
            wrong = {}
            block = numbers_of(lines, columns)
            if block is None:
                wrong = {place: what for place, line in enumerate(lines) if (what := wrong_in(line, columns))}
                good = [line for place, line in enumerate(lines) if place not in wrong]
                block = np.array([[float(cell) for cell in line.split(",")] for line in good]).reshape(-1, columns)
            blocks.append(block)
            places.append(np.array([number + place for place in range(len(lines)) if place not in wrong], np.int64))
            unread += [(number + place, what) for place, what in wrong.items()]
            number += len(lines)
        if not blocks:
            raise CandleFileError(f"{path}:2: no rows after the header")
        name = _NAME.match(path.name)
        timeframe = None if name is None or name[2] == "funding" else Timeframe(name[2])
        return cls(path, timeframe, np.concatenate(blocks), np.concatenate(places), unread)

    @classmethod
    def stored(cls, place: StoredSeries) -> _Rows:
        """Rows of a store, counted from 1, and those that were left out of it."""
        store, series = place.store, place.series
        if store.hash_of(series) != store.entries[series].sha256:
            raise CandleFileError(f"{place.path}:1: its SHA-256 is not that of the manifest; {advice(series)}")
        rows = store.rows(series)
        found = cls(place.path, series.timeframe, rows, np.arange(1, len(rows) + 1))
        for row in store.entries[series].rejected:
            kind, message = FaultKind(row.kind), f"{row.message}, so it is left out of {series.name}"
            found.add(kind, row.line, row.open_time_ms, message, file=Path(row.file))
        return found

    def findings(self, others: Sequence[_Rows]) -> Findings:
        """Everything that is wrong here, given the files of the same name before it."""
        usable = self._check_numbers()
        self._rows, self._lines = self._rows[usable], self._lines[usable]
        self._check_order()
        if self._timeframe is not None:
            self._check_gaps(self._timeframe)
            self._check_neighbours(self._timeframe)
        for other in others:
            self._compare(other)
        self._found.faults.sort(key=lambda fault: fault.line)
        return self._found

    def add(self, kind: FaultKind, line: int, open_ms: float, message: str, *, file: Path | None = None) -> None:
        self._found.counts[kind] += 1
        if self._found.counts[kind] <= LISTED_MAX:
            fault = Fault(file=file or self._path, line=line, kind=kind, open_ms=int(open_ms), message=message)
            self._found.faults.append(fault)

    def _check_numbers(self) -> Flags:
        """Each row alone; returns which have a time that can be gone by."""
        rows, step = self._rows, 1 if self._timeframe is None else self._timeframe.ms
        with np.errstate(invalid="ignore"):
            timed = np.isfinite(rows[:, 0]) & (rows[:, 0] > 0) & (rows[:, 0] < TIME_MAX_MS)
            aligned = timed & (rows[:, 0] % step == 0)
            wrong = self._contradictions()
        for index in np.flatnonzero(~aligned | (wrong != "")).tolist():
            line, row = int(self._lines[index]), rows[index]
            open_ms = row[0] if timed[index] else 0
            if not np.isfinite(row).all():
                self.add(FaultKind.NUMBER, line, open_ms, "a number is not finite")
            elif not timed[index]:
                self.add(FaultKind.TIME, line, 0, f"{row[0]:.0f} is no time in milliseconds UTC")
            elif not aligned[index]:
                late = f"{clock_of(row[0])} (+{row[0] % step:.0f} ms)"
                self.add(FaultKind.TIME, line, open_ms, f"no candle of {self._timeframe} begins at {late}")
            else:
                self.add(FaultKind.CONTRADICTION, line, open_ms, str(wrong[index]))
        return np.asarray(aligned)

    def _contradictions(self) -> npt.NDArray[np.str_]:
        if self._timeframe is not None:
            return contradiction_of(self._rows)
        impossible = ~(np.abs(self._rows[:, 1]) < 1)
        return np.where(impossible, "a funding rate is a fraction, so it is between -1 and 1", "")

    def _check_order(self) -> None:
        """Leaves the rows in order of time, each time once."""
        if (np.diff(self._rows[:, 0]) > 0).all():
            return
        latest_ms, latest_line = 0.0, 0
        first: dict[float, int] = {}
        kept = np.ones(len(self._rows), dtype=np.bool_)
        for index, open_ms in enumerate(self._rows[:, 0].tolist()):
            line = int(self._lines[index])
            if open_ms > latest_ms:
                latest_ms, latest_line = open_ms, line
            elif open_ms in first:
                kept[index] = False
                known, row = self._rows[first[open_ms]], self._rows[index]
                there = int(self._lines[first[open_ms]])
                if np.array_equal(known, row, equal_nan=True):
                    self.add(FaultKind.DUPLICATE, line, open_ms, f"{clock_of(open_ms)} is in line {there}, too")
                else:
                    message = f"{clock_of(open_ms)} is in line {there}, too, with other values"
                    self.add(FaultKind.CONTRADICTION, line, open_ms, message)
            else:
                message = f"{clock_of(open_ms)} comes after {clock_of(latest_ms)} in line {latest_line}"
                self.add(FaultKind.ORDER, line, open_ms, message)
            first.setdefault(open_ms, index)
        order = np.flatnonzero(kept)[np.argsort(self._rows[kept, 0], kind="stable")]
        self._rows, self._lines = self._rows[order], self._lines[order]

    def _check_gaps(self, timeframe: Timeframe) -> None:
        times = self._rows[:, 0]
        for index in (np.flatnonzero(np.diff(times) > timeframe.ms) + 1).tolist():
            since_ms = times[index - 1] + timeframe.ms
            count = int((times[index] - since_ms) // timeframe.ms)
            missing = "1 candle is missing" if count == 1 else f"{count:,} candles are missing"
            message = f"{missing} before this one, from {clock_of(since_ms)} on"
            self.add(FaultKind.GAP, int(self._lines[index]), since_ms, message)

    def _check_neighbours(self, timeframe: Timeframe) -> None:
        """Prices against the usual ones of the three candles on either side, where both sides agree that it is off."""
        usable = np.isfinite(self._rows).all(axis=1) & (self._rows[:, 1:5] > 0).all(axis=1)
        rows, lines = self._rows[usable], self._lines[usable]
        if len(rows) <= _NEIGHBOURS:
            return
        level = np.median(rows[:, 1:5], axis=1)
        before, after = _medians_before(level), _medians_before(level[::-1])[::-1]
        most, least = np.fmax(before, after)[:, None], np.fmin(before, after)[:, None]
        prices = rows[:, 1:5]
        high: Flags = np.asarray(prices >= most * TIMES_USUAL)
        low: Flags = np.asarray(prices * TIMES_USUAL <= least)
        low[:, 2] |= prices[:, 2] <= least[:, 0] * LOW_USUAL
        off: Flags = np.asarray((high | low).any(axis=1))
        for index in np.flatnonzero(off).tolist():
            self._add_outlier(int(lines[index]), rows[index], high[index], low[index], float(most[index, 0]))
        there = np.abs(np.log(level[1:] / level[:-1])) >= np.log(TIMES_USUAL)
        near = np.diff(rows[:, 0]) == timeframe.ms
        for index in (np.flatnonzero(there & near & ~off[1:] & ~off[:-1]) + 1).tolist():
            times = level[index] / level[index - 1]
            message = f"from here on prices are {_times_as_much(times)} those before"
            self.add(FaultKind.TICK, int(lines[index]), rows[index, 0], message)

    def _add_outlier(self, line: int, row: FloatArray, high: Flags, low: Flags, usual: float) -> None:
        names = [name for name, here in zip(_PRICES, (high | low).tolist(), strict=True) if here]
        price = row[1 + _PRICES.index(names[0])]
        which = "every price" if len(names) == len(_PRICES) else f"the {' and the '.join(names)}"
        message = f"{which} ({price:.10g}) is {_times_as_much(price / usual)} what the candles beside it show"
        self.add(FaultKind.LOW if names == ["low"] else FaultKind.TICK, line, row[0], message)

    def _compare(self, other: _Rows) -> None:
        """Candles that another file has as well, and differently."""
        _, here, there = np.intersect1d(self._rows[:, 0], other._rows[:, 0], return_indices=True)
        for index, known in zip(here.tolist(), there.tolist(), strict=True):
            if not np.array_equal(self._rows[index], other._rows[known], equal_nan=True):
                message = f"differs from line {int(other._lines[known])} of {other._path}"
                self.add(FaultKind.CONTRADICTION, int(self._lines[index]), self._rows[index, 0], message)


def _medians_before(level: FloatArray) -> FloatArray:
    """The usual price of up to three candles before each; NaN for the first."""
    found = np.full(len(level), np.nan)
    for index in range(1, _NEIGHBOURS):
        found[index] = np.median(level[:index])
    windows = np.lib.stride_tricks.sliding_window_view(level, _NEIGHBOURS)
    found[_NEIGHBOURS:] = np.median(windows[:-1], axis=1)
    return found


def _times_as_much(times: float) -> str:
    return f"{_short(times)} times" if times >= 1 else f"1/{_short(1 / times)} of"


def _short(times: float) -> str:
    return f"{times:,.0f}" if times >= TIMES_USUAL else f"{times:.1f}"
