"""Opens a store: series are mapped into memory, and nothing of them is read before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import CandleColumns, CandleFileError, FloatArray, FundingColumns
from exchange.candle_store.manifest import Entry, read_manifest
from exchange.candle_store.series import Series, candles_of, funding_of
from indicators.candle import Timeframe

COLUMNS = "columns"
_BLOCK_BYTES = 1 << 20

Columns = dict[str, npt.NDArray[Any]]


def dtype_of(series: Series, rows: int) -> np.dtype[Any]:
    """One record whose fields are whole columns, one behind the other in the file."""
    times, *others = series.columns
    whole = {"interval_hours"}
    numbers = [(name, "<i8" if name in whole else "<f8", (rows,)) for name in others]
    return np.dtype([(times, "<i8", (rows,)), *numbers])


class CandleStore:
    """A store as it was when it was opened; a later one has other files, and leaves these as they are mapped."""

    def __init__(self, folder: Path) -> None:
        """Raises CandleFileError when its manifest cannot be used."""
        self.folder = folder
        self._entries = read_manifest(folder)

    @property
    def entries(self) -> Mapping[Series, Entry]:
        return self._entries

    def path(self, series: Series) -> Path:
        return self.folder / COLUMNS / self._entries[series].file

    def candles(self, symbol: str, timeframe: Timeframe, *, mark: bool = False) -> CandleColumns | None:
        """Candles of exactly this timeframe, or None. Raises CandleFileError."""
        series = candles_of(symbol, timeframe, mark=mark)
        if series not in self._entries:
            return None
        return CandleColumns(symbol=symbol, timeframe=timeframe, **self.columns(series))

    def funding(self, symbol: str) -> FundingColumns | None:
        """Funding rates, or None. Raises CandleFileError."""
        series = funding_of(symbol)
        if series not in self._entries:
            return None
        times, rates, hours = self.columns(series).values()
        return FundingColumns(symbol=symbol, time_ms=times, rate=rates, interval_hours=hours)

    def columns(self, series: Series) -> Columns:
        """The columns by name, read-only. Raises CandleFileError."""
        try:
            record = self._mapped(series)
        except FileNotFoundError:  # somebody has written since: what the newer manifest names is there
            self._entries = read_manifest(self.folder)
            if series not in self._entries:
                raise CandleFileError(f"{self.folder}: {series.name} is no longer in this store") from None
            record = self._mapped(series)
        return {name: np.asarray(record[name]) for name in series.columns}

    def _mapped(self, series: Series) -> npt.NDArray[Any]:
        entry, path = self._entries[series], self.path(series)
        try:
            found: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            if read_manifest(self.folder).get(series) != entry:
                raise
            raise CandleFileError(f"{path}:1: the file is missing; {advice(series)}") from None
        except (OSError, ValueError, EOFError) as error:
            raise CandleFileError(f"{path}:1: cannot be mapped ({error}); {advice(series)}") from None
        if found.dtype != dtype_of(series, entry.rows) or found.shape != ():
            raise CandleFileError(f"{path}:1: is not the {entry.rows:,} rows of {series.name}; {advice(series)}")
        return found

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted({series.symbol for series in self._entries}))

    def hash_of(self, series: Series) -> str:
        """SHA-256 of its file as it is now. Raises CandleFileError."""
        path, found = self.path(series), hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    found.update(block)
        except OSError as error:
            raise CandleFileError(f"{path}:1: cannot be read ({error.strerror}); {advice(series)}") from None
        return found.hexdigest()

    def rows(self, series: Series) -> FloatArray:
        """All of a series as rows of numbers. Times are below 2^53, so a float holds them exactly."""
        return np.column_stack([column.astype(np.float64) for column in self.columns(series).values()])


def advice(series: Series) -> str:
    """What to do about a series that is damaged."""
    return f"`data remove {series.name}`, then download or import it again"
