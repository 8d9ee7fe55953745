"""Reads the rows of one table, whatever its columns are called and its times are written in, and says what is wrong.

A table is refused at its first row that is none. A row that cannot be true counts as missing, as live (R66).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import TIME_MAX_MS, CandleFileError, FloatArray, IntArray, clock_of, contradiction_of
from exchange.candle_store.cells import PRICES
from exchange.candle_store.manifest import Rejected
from exchange.candle_store.series import Kind, Series
from indicators.candle import Timeframe

Flags = npt.NDArray[np.bool_]

_UNITS = ((10**11, 1_000.0), (10**14, 1.0), (10**17, 1e-3), (float("inf"), 1e-6))  # seconds, ms, µs, ns
HOUR_MS = 3_600_000
"""Settlements are stamped up to some milliseconds late, never early, and belong to the full hour."""

_ROUNDED_MS = 1_000_000
"""A spreadsheet writes no more of a large number than the six or seven digits that it shows."""

_SINCE_MS = 1_230_768_000_000  # 2009: before the first coin nothing was traded


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


def finished(
    place: str, raw: FloatArray, lines: IntArray, columns: Sequence[str], *, funding: bool, named: Timeframe | None
) -> Table:
    """Checked rows out of the numbers of a table. Raises TableError."""
    check = _Checked(place, raw, lines)
    check.to_milliseconds()
    check.ascend()
    if funding:
        hours = check.raw[:, columns.index("hours")] if "hours" in columns else np.zeros(len(check.raw))
        hours = np.nan_to_num(hours)
        whole = check.raw[:, 0] - check.raw[:, 0] % HOUR_MS
        rows = np.column_stack([whole, check.raw[:, columns.index("rate")], hours])
        return check.table(rows, None, _rate_wrong(rows))
    timeframe = _timeframe(check, named)
    rows = np.column_stack([check.raw[:, columns.index(name)] for name in ("time", *PRICES)])
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
        self.require(~np.isnan(times), lambda i: "no time; fetch the file again")
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
    if not good.all() and (times % _ROUNDED_MS == 0).all():
        check.require(
            good, lambda i: f"{times[i]:.6g} has lost digits, as times do in a spreadsheet; fetch the file again"
        )
    check.require(
        np.asarray(good),
        lambda i: (
            f"no candle of {named} begins at {clock_of(times[i])}; is it one of another timeframe? then say --timeframe"
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
