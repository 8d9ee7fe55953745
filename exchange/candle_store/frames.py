"""Reads and writes freqtrade's JSON, and with the extra ``data`` (pyarrow) Feather and Parquet."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from exchange.candle_columns import CandleFileError, FloatArray
from exchange.candle_store.series import Series
from exchange.candle_store.tables import Table, TableError, finished
from exchange.unpacking import PLAIN_BYTES_MAX
from indicators.candle import Timeframe

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "needs pyarrow: install the extra with  pip install 'fsm-futures-bot[data]'  (or pip install pyarrow)"
_CANDLES = ("time", "open", "high", "low", "close", "volume")
_TIMES = ("open_time_ms", "open_time", "date", "timestamp", "time", "funding_time_ms", "datetime")
_RATES = ("funding_rate", "fundingRate", "open", "rate")


def is_frame(path: Path) -> bool:
    """Whether a file is one of these."""
    return path.name.lower().endswith((".feather", ".parquet", ".json", ".json.gz"))


def read_frame(path: Path, *, funding: bool, named: Timeframe | None) -> Table:
    """Rows count from 1, as there are no lines. Raises CandleFileError."""
    raw = _json(path, funding=funding) if ".json" in path.name.lower() else _arrow(path, funding=funding)
    if not len(raw):
        raise TableError(str(path), 1, "no rows; fetch the file again")
    columns = ("time", "rate") if funding else _CANDLES
    return finished(str(path), raw, np.arange(1, len(raw) + 1), columns, funding=funding, named=named)


def write_frame(path: Path, series: Series, rows: FloatArray) -> None:
    """One series as others read it: times as freqtrade has them, in UTC. Raises CandleFileError."""
    names = ("date", *series.columns[1:])
    if path.suffix == ".json":
        listed = [[int(row[0]), *row[1:]] for row in rows.tolist()]
        path.write_bytes(msgspec.json.encode(listed))
        return
    try:
        import pyarrow as pa
        from pyarrow import feather, parquet
    except ImportError:
        raise CandleFileError(f"{path}:1: {MISSING}") from None
    times = pa.array(rows[:, 0].astype(np.int64)).cast(pa.timestamp("ms", tz="UTC"))
    table = pa.table([times, *(pa.array(rows[:, index]) for index in range(1, len(names)))], names=list(names))
    if path.suffix == ".feather":
        feather.write_feather(table, path, compression="lz4")
    else:
        parquet.write_table(table, path)


def _json(path: Path, *, funding: bool) -> FloatArray:
    """freqtrade's: a list of [ms, open, high, low, close, volume]; a funding rate stands where the open does."""
    try:
        if path.stat().st_size > PLAIN_BYTES_MAX:
            raise TableError(str(path), 1, f"larger than {PLAIN_BYTES_MAX:,} bytes")
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = msgspec.json.decode(content, type=list[list[float | None]])
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise TableError(str(path), 1, f"is no list of candles in JSON ({error}); fetch it again") from None
    width = next((index for index, row in enumerate(rows, start=1) if len(row) < (2 if funding else 6)), None)
    if width is not None:
        raise TableError(
            str(path), width, f"{len(rows[width - 1])} values, expected 6: time, open, high, low, close, volume"
        )
    used = 2 if funding else 6
    return np.array([row[:used] for row in rows], dtype=np.float64).reshape(-1, used)


def _arrow(path: Path, *, funding: bool) -> FloatArray:
    table = _opened(path)
    names = set(table.column_names)
    time = next((name for name in _TIMES if name in names), None)
    rate = next((name for name in _RATES if name in names), None)
    wanted = [time, rate] if funding else [time, *_CANDLES[1:]]
    missing = [name for name in wanted if name not in names]
    if missing or time is None:
        has = ", ".join(table.column_names)
        raise CandleFileError(f"{path}:1: no column {missing[0] or 'date'} among {has}; name it {missing[0] or 'date'}")
    columns = [_times(path, table, time), *(_numbers(path, table, str(name)) for name in wanted[1:])]
    return np.column_stack(columns)


def _opened(path: Path) -> pa.Table:
    try:
        from pyarrow import ArrowException, feather, parquet
    except ImportError:
        raise CandleFileError(f"{path}:1: {MISSING}") from None
    try:
        return feather.read_table(path) if path.suffix == ".feather" else parquet.read_table(path)
    except (ArrowException, OSError, ValueError) as error:
        what = " ".join(str(error).split())[:200]
        raise CandleFileError(f"{path}:1: cannot be read as {path.suffix[1:]} ({what}); fetch the file again") from None


def _times(path: Path, table: pa.Table, name: str) -> FloatArray:
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_timestamp(column.type):
        found: Any = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64())
        return np.asarray(found.to_numpy(), dtype=np.float64)
    return _numbers(path, table, name)


def _numbers(path: Path, table: pa.Table, name: str) -> FloatArray:
    import pyarrow as pa

    try:
        return np.asarray(table.column(name).cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    except pa.ArrowException as error:
        raise CandleFileError(f"{path}:1: column {name} is not numbers ({error}); fetch the file again") from None
