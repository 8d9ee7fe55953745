"""Adds to a store: a whole new file beside the old one, then the manifest that names it, so that either is whole.

A file is named by its series and its hash. Whoever dies in between leaves a file that no manifest names; it is swept
by whoever writes next. The same rows make the same bytes, however many steps they came in.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import CandleFileError, FloatArray, clock_of
from exchange.candle_store.manifest import (
    Entry,
    Rejected,
    is_store,
    read_manifest,
    replace_file,
    sync_folder,
    write_manifest,
)
from exchange.candle_store.reading import COLUMNS, CandleStore, dtype_of
from exchange.candle_store.series import Series
from exchange.rule_files import Row, RuleKind, dated_name, encoded, rules_in

LOCK = "lock"
REJECTED_MAX = 100
"""So many rows that were left out are listed for each series."""

UNKNOWN_AS_0 = "interval_hours"
"""A column in which 0 contradicts nothing."""

_HASH_DIGITS = 12


class Contradiction(CandleFileError):
    """The store has a candle of that time, and another one."""

    def __init__(self, series: Series, open_ms: int, row: int) -> None:
        super().__init__(f"{series.name} has another candle of {clock_of(open_ms)} already, in row {row}")
        self.open_ms, self.row = open_ms, row


class StoreWriter:
    """The only one that writes to a store, as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        self._entries: dict[Series, Entry] = {}

    def __enter__(self) -> Self:
        """Raises CandleFileError where somebody else writes, or where the folder holds something else."""
        if self.folder.exists() and not is_store(self.folder) and any(self.folder.glob("*.csv.gz")):
            raise CandleFileError(f"{self.folder}: holds candle files; name another folder for the store with --data")
        (self.folder / COLUMNS).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise CandleFileError(f"{self.folder}: another command writes to this store; wait until it ends") from None
        self._entries = read_manifest(self.folder) if is_store(self.folder) else {}
        if not is_store(self.folder):
            write_manifest(self.folder, {})
        self._sweep()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def entries(self) -> dict[Series, Entry]:
        return dict(self._entries)

    def add(self, series: Series, rows: FloatArray, rejected: Sequence[Rejected] = (), *, replace: bool = False) -> int:
        """Rows in order of time, each time once; returns how many of them are new or other than before.

        Raises Contradiction where the store has another row of a time, unless these ``replace`` it.
        """
        old = self._old(series)
        times = rows[:, 0].astype(np.int64)
        kept, changed = self._compared(series, old, times, rows, replace=replace)
        listed = self._rejected(series, rejected, old, times)
        if not changed and self._entries.get(series) is not None and self._entries[series].rejected == listed:
            return 0
        if not changed and not len(times):
            return 0
        self._write(series, self._merged(series, old, kept, rows), listed)
        return changed

    def say(self, kind: RuleKind, rows: Mapping[str, Row], at_ms: int) -> list[str]:
        """Keep what the exchange says of symbols as of that day; returns those of which it says something new."""
        known = rules_in([self.folder], kind)
        last = {symbol: max(found, key=lambda row: row.since_ms or 0).row for symbol, found in known.items()}
        new = {symbol: row for symbol, row in rows.items() if last.get(symbol) != row}
        if new:
            path = self.folder / dated_name(kind, at_ms)
            today = {symbol: row.row for symbol, found in known.items() for row in found if row.path == path}
            replace_file(path, encoded(kind, {**today, **new}.values()))
        return sorted(new)

    def remove(self, series: Series) -> None:
        """Forget a series."""
        del self._entries[series]
        write_manifest(self.folder, self._entries)
        self._sweep()

    def _old(self, series: Series) -> dict[str, npt.NDArray[Any]]:
        if series not in self._entries:
            return {name: np.empty(0) for name in series.columns}
        return CandleStore(self.folder).columns(series)

    def _compared(
        self,
        series: Series,
        old: dict[str, npt.NDArray[Any]],
        times: npt.NDArray[np.int64],
        rows: FloatArray,
        *,
        replace: bool,
    ) -> tuple[npt.NDArray[np.bool_], int]:
        """Which of the old rows stay, and how many new ones say something new."""
        before = old[series.columns[0]]
        kept = np.ones(len(before), dtype=np.bool_)
        if not len(before) or not len(times) or times[0] > before[-1]:
            return kept, len(times)
        _, here, there = np.intersect1d(before, times, assume_unique=True, return_indices=True)
        same = np.ones(len(here), dtype=np.bool_)
        fuller = same.copy()
        for number, name in enumerate(series.columns[1:], start=1):
            known, now = old[name][here], rows[there, number]
            if name == UNKNOWN_AS_0:
                rows[there, number] = np.where(now == 0, known, now)
                fuller &= rows[there, number] == known
                known = np.where(known == 0, rows[there, number], known)
                now = rows[there, number]
            same &= known == now
        if not same.all() and not replace:
            first = int(here[np.argmin(same)])
            raise Contradiction(series, int(before[first]), first + 1)
        kept[here] = False
        return kept, len(times) - int((same & fuller).sum())

    def _merged(
        self, series: Series, old: dict[str, npt.NDArray[Any]], kept: npt.NDArray[np.bool_], rows: FloatArray
    ) -> npt.NDArray[Any]:
        count, first = int(kept.sum()), series.columns[0]
        record = np.zeros((), dtype=dtype_of(series, count + len(rows)))
        for number, name in enumerate(series.columns):
            record[name][:count] = old[name][kept]
            record[name][count:] = rows[:, number]
        if count and len(rows) and record[first][count] < record[first][count - 1]:
            order = np.argsort(record[first], kind="stable")
            for name in series.columns:
                record[name][:] = record[name][order]
        return record

    def _rejected(
        self, series: Series, fresh: Sequence[Rejected], old: dict[str, npt.NDArray[Any]], times: npt.NDArray[np.int64]
    ) -> tuple[Rejected, ...]:
        """Those whose time has no candle now."""
        known = self._entries[series].rejected if series in self._entries else ()
        before = old[series.columns[0]]
        return tuple(
            row
            for row in sorted({*known, *fresh})
            if not _has(before, row.open_time_ms) and not _has(times, row.open_time_ms)
        )[:REJECTED_MAX]

    def _write(self, series: Series, record: npt.NDArray[Any], rejected: tuple[Rejected, ...]) -> None:
        folder = self.folder / COLUMNS
        temporary = folder / f".{series.name}.new"
        with temporary.open("wb") as file:
            np.lib.format.write_array(file, record, version=(1, 0), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        digest = _hash_of(temporary)
        name = f"{series.name}.{digest[:_HASH_DIGITS]}.npy"
        temporary.replace(folder / name)
        sync_folder(folder)
        times = record[series.columns[0]]
        rows, first_ms, last_ms = len(times), int(times[0]), int(times[-1])
        spanned = rows if series.timeframe is None else (last_ms - first_ms) // series.timeframe.ms + 1
        self._entries[series] = Entry(
            file=name,
            sha256=digest,
            rows=rows,
            first_ms=first_ms,
            last_ms=last_ms,
            missing=spanned - rows,
            rejected=rejected,
        )
        write_manifest(self.folder, self._entries)
        self._sweep()

    def _sweep(self) -> None:
        """Files that the manifest does not name; whoever has them mapped keeps them."""
        named = {entry.file for entry in self._entries.values()}
        for path in (self.folder / COLUMNS).iterdir():
            if path.name not in named and (path.suffix in (".npy", ".new")):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.new"):
            path.unlink(missing_ok=True)


def _has(times: npt.NDArray[Any], at_ms: int) -> bool:
    place = int(np.searchsorted(times, at_ms))
    return place < len(times) and int(times[place]) == at_ms


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
