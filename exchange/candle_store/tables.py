"""Reads the rows of one table, whatever its columns are called and its times are written in, and says what is wrong.

A table is refused at its first row that is none. A row that cannot be true counts as missing, as live (R66).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import TIME_MAX_MS, CandleFileError, FloatArray, IntArray, contradiction_of
from exchange.candle_store.manifest import Rejected
from exchange.candle_store.series import Kind, Series
from exchange.unpacking import UnpackingError
from indicators.candle import Timeframe

Flags = npt.NDArray[np.bool_]
Blocks = Iterator[list[str]]

_PRICES = ("open", "high", "low", "close", "volume")
_ALIASES = {
    "time": ("opentime", "opentimems", "timestamp", "time", "date", "datetime", "unix", "ts", "calctime", "fundingtime",
             "fundingtimems", "opentimeutc"),
    "open": ("open", "o"), "high": ("high", "h"), "low": ("low", "l"), "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "volumebase"),
    "end": ("closetime", "closetimems"),
    "rate": ("fundingrate", "lastfundingrate", "rate"),
    "hours": ("fundingintervalhours", "intervalhours"),
}  # fmt: skip
_BY_WIDTH = {
    6: ("time", *_PRICES),
    12: ("time", *_PRICES, "end"),
}
"""Candles without a header: ours, and Binance's own twelve columns (GET /fapi/v1/klines, checked 2026-11)."""

_FUNDING_BY_WIDTH = {2: ("time", "rate"), 3: ("time", "hours", "rate")}
_UNITS = ((10**11, 1_000.0), (10**14, 1.0), (10**17, 1e-3), (float("inf"), 1e-6))  # seconds, ms, µs, ns
HOUR_MS = 3_600_000
"""Settlements are stamped up to some milliseconds late, never early, and belong to the full hour."""

_SINCE_MS = 1_230_768_000_000  # 2009: before the first coin nothing was traded
_UTC = re.compile(r"(Z|\+00:?00| ?UTC)$")


@dataclass(slots=True)
class Table:
    """The rows of one table: (time in ms, prices and volume) or (time, rate, hours), ascending, each time once.

    ``lines`` has the line of each; ``rejected`` those that count as missing; ``repeated`` counts rows told twice alike.
    """

    place: str
    rows: FloatArray
    lines: IntArray
    timeframe: Timeframe | None
    rejected: list[Rejected] = field(default_factory=list)
    repeated: int = 0


class TableError(CandleFileError):
    """A table that cannot be used: ``place:line: what; what to do``."""

    def __init__(self, place: str, line: int, message: str) -> None:
        super().__init__(f"{place}:{line}: {message}")
        self.place, self.line, self.message = place, line, message


def read_table(place: str, blocks: Blocks, *, funding: bool, named: Timeframe | None) -> Table:
    """Read it. ``named`` is the timeframe that its name says. Raises TableError."""
    try:
        raw, lines, columns = _read(place, blocks, funding=funding)
    except UnpackingError as error:
        raise TableError(place, error.line, error.message) from None
    return finished(place, raw, lines, columns, funding=funding, named=named)


def finished(
    place: str, raw: FloatArray, lines: IntArray, columns: Sequence[str], *, funding: bool, named: Timeframe | None
) -> Table:
    """Checked rows out of the numbers of a table. Raises TableError."""
    check = _Checked(place, raw, lines)
    check.to_milliseconds()
    check.ascend()
    if funding:
        hours = check.raw[:, columns.index("hours")] if "hours" in columns else np.zeros(len(check.raw))
        whole = check.raw[:, 0] - check.raw[:, 0] % HOUR_MS
        rows = np.column_stack([whole, check.raw[:, columns.index("rate")], hours])
        return check.table(rows, None, _rate_wrong(rows))
    timeframe = _timeframe(check, named)
    rows = np.column_stack([check.raw[:, columns.index(name)] for name in ("time", *_PRICES)])
    wrong = contradiction_of(rows)
    if "end" in columns:
        short = np.floor(_in_ms(check.raw[:, columns.index("end")])) != rows[:, 0] + timeframe.ms - 1
        wrong = np.where((wrong == "") & short, f"it does not end with the {timeframe} candle that it begins", wrong)
    return check.table(rows, timeframe, wrong)


class _Checked:
    """The numbers of a table on their way to rows."""

    def __init__(self, place: str, raw: FloatArray, lines: IntArray) -> None:
        self.place, self.raw, self.lines = place, raw, lines

    def require(self, good: Flags, otherwise: Callable[[int], str]) -> None:
        if not good.all():
            index = int(np.argmin(good))
            raise TableError(self.place, int(self.lines[index]), otherwise(index))

    def to_milliseconds(self) -> None:
        times = _in_ms(self.raw[:, 0])
        good = np.isfinite(times) & (times >= _SINCE_MS) & (times < TIME_MAX_MS)
        self.require(
            np.asarray(good),
            lambda i: f"{self.raw[i, 0]:.16g} is no time of a candle in s, ms or µs since 1970; fetch the file again",
        )
        self.raw = np.column_stack([np.floor(times), self.raw[:, 1:]])

    def ascend(self) -> None:
        """The newest may come first, all the way; otherwise time goes on from line to line, or stands."""
        steps = np.diff(self.raw[:, 0])
        if len(steps) and (steps <= 0).all() and (steps < 0).any():
            self.raw, self.lines = self.raw[::-1], self.lines[::-1]
            steps = np.diff(self.raw[:, 0])
        good = np.concatenate((np.ones(1, dtype=np.bool_), steps >= 0))
        self.require(good, lambda i: "its time is before that of the line above; sort the lines by time")

    def table(self, rows: FloatArray, timeframe: Timeframe | None, wrong: npt.NDArray[np.str_]) -> Table:
        """Without what cannot be true: a row that contradicts itself, or another one of the same time."""
        lines, times = self.lines, rows[:, 0]
        again = np.concatenate((np.zeros(1, dtype=np.bool_), np.diff(times) == 0))
        alike = again.copy()
        alike[1:] &= (rows[1:] == rows[:-1]).all(axis=1)
        contrary = np.flatnonzero(again & ~alike)
        bad = wrong != ""
        for index in contrary.tolist():
            bad |= times == times[index]
        messages = wrong.astype(object)
        for index in contrary.tolist():
            messages[times == times[index]] = (
                f"the candle is told differently in lines {lines[index - 1]} and {lines[index]}"
            )
        rejected = [
            Rejected(
                open_time_ms=int(times[index]),
                kind="contradiction" if np.isfinite(rows[index]).all() else "number",
                file=self.place,
                line=int(lines[index]),
                message=str(messages[index]),
            )
            for index in np.flatnonzero(bad).tolist()
        ]
        kept = ~bad & ~again
        if not kept.any():
            first = rejected[0]
            raise TableError(self.place, first.line, f"no row can be true: {first.message}; fetch the file again")
        return Table(self.place, rows[kept], lines[kept], timeframe, rejected, int(alike.sum()))


def _timeframe(check: _Checked, named: Timeframe | None) -> Timeframe:
    """What the name says, if the rows can be that; what the rows say where no name does."""
    times = check.raw[:, 0]
    steps = np.diff(times)
    steps = steps[steps > 0]
    if named is None:
        if not len(steps):
            raise TableError(
                check.place, int(check.lines[0]), "one row does not say of how long a candle; add --timeframe 1h"
            )
        lengths, counts = np.unique(steps, return_counts=True)
        usual = float(lengths[np.argmax(counts)])
        named = next((known for known in Timeframe if known.ms == usual), None)
        if named is None:
            raise TableError(
                check.place,
                int(check.lines[0]),
                f"rows are {usual / 60_000:g} minutes apart, which no timeframe is; there are {', '.join(Timeframe)}",
            )
    step = named.ms
    good = times % step == 0
    check.require(
        np.asarray(good),
        lambda i: (
            f"no candle of {named} begins at {times[i]:.0f} ms; is it one of another timeframe? then say --timeframe"
        ),
    )
    if len(steps) and steps.min() % step == 0 and (steps > step).all() and len(steps) > 2:
        longer = next((known for known in reversed(Timeframe) if (steps % known.ms == 0).all()), named)
        if longer is not named:
            raise TableError(
                check.place,
                int(check.lines[0]),
                f"its rows are candles of {longer}, not of {named}; say --timeframe {longer} or rename the file",
            )
    return named


def _rate_wrong(rows: FloatArray) -> npt.NDArray[np.str_]:
    impossible = ~(np.abs(rows[:, 1]) < 1)
    return np.where(impossible, "a funding rate is a fraction, so it is between -1 and 1", "")


def _in_ms(times: FloatArray) -> FloatArray:
    """By their size, each for itself: Binance's spot archives change from ms to µs with 2025 (checked 2026-11)."""
    sizes = np.abs(times)
    factors = np.select([sizes < most for most, _ in _UNITS], [factor for _, factor in _UNITS], default=1.0)
    return np.asarray(times * factors)


# --- text to numbers --------------------------------------------------------------------------
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
        if len(cells) != self.width:
            shown = line[:80] if line.strip() else "an empty line"
            raise TableError(
                place,
                number,
                f"{len(cells) if line.strip() else 0} values, expected {self.width}: {shown!r}; fetch the file again",
            )
        return [
            _cell(place, number, cells[column], is_time=self.columns[index] == "time")
            for index, column in enumerate(self.places)
        ]


def _cell(place: str, number: int, text: str, *, is_time: bool) -> float:
    written = text.strip().strip('"')
    try:
        if "_" in written:
            raise ValueError
        return float(written)
    except ValueError:
        pass
    if is_time:
        try:
            moment = datetime.fromisoformat(_UTC.sub("", written))
            return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
        except ValueError:
            what = f"{written[:40]!r} is no time in UTC; write milliseconds, or 2024-01-31 15:00:00"
            raise TableError(place, number, what) from None
    raise TableError(
        place, number, f"{written[:40]!r} is not a number; fetch the file again, or write numbers with a point"
    )


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
    spelt = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in cells]
    wanted = ("time", "rate") if funding else ("time", *_PRICES)
    further = ("hours",) if funding else ("end",)
    places = {
        name: next((spelt.index(alias) for alias in _ALIASES[name] if alias in spelt), None)
        for name in (*wanted, *further)
    }
    missing = [name for name in wanted if places[name] is None]
    if missing:
        raise TableError(
            place,
            1,
            f"no column is called {missing[0]} in the header {first[:80]!r}; name the columns {', '.join(wanted)}",
        )
    columns = tuple(name for name, found in places.items() if found is not None)
    return _Layout(columns, tuple(found for found in places.values() if found is not None), len(cells), True)


def _no_table(first: str) -> str:
    if not first.strip():
        return "the first line is empty; fetch the file again"
    if first.lstrip().startswith("<"):
        return "this is a web page, not a table: the download was answered with an error; fetch the file again"
    if ";" in first or "\t" in first:
        return "values are separated by something else than commas; write them with commas"
    return f"{first[:80]!r} is no row of a table; fetch the file again"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def is_all_still(table: Table) -> bool:
    """Nothing was traded in any of these candles: a mark price has no volume."""
    return table.timeframe is not None and not table.rows[:, 5].any()


def kind_of(series_kind: Kind | None, table: Table) -> Kind:
    """Last or mark price, where neither name nor folder says. Raises TableError."""
    if series_kind is not None:
        return series_kind
    if is_all_still(table):
        what = "no candle has a volume, as if of a mark price; say which it is with --kind last or --kind mark"
        raise TableError(table.place, int(table.lines[0]), what)
    return Kind.LAST


def series_of(symbol: str, kind: Kind, table: Table) -> Series:
    return Series(symbol=symbol, kind=kind, timeframe=table.timeframe)
