"""Reads and writes freqtrade's JSON, and with the extra ``data`` (pyarrow) Feather and Parquet."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from exchange.candle_columns import CandleFileError, FloatArray
from exchange.candle_store.cells import NO_NUMBER, NO_TIME, PRICES, number_in, places_of, time_in, wanted_of
from exchange.candle_store.series import Kind, Series
from exchange.candle_store.tables import Table, TableError, finished
from exchange.unpacking import UnpackingError, content_of
from indicators.candle import Timeframe

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "needs pyarrow: install the extra with  pip install 'fsm-futures-bot[data]'  (or pip install pyarrow)"
Rows = list[list[float | str | None]]
Columns = tuple[str, ...]


def is_frame(path: Path) -> bool:
    """Whether a file is one of these."""
    return path.name.lower().endswith((".feather", ".parquet", ".json", ".json.gz"))


def read_frame(path: Path, *, funding: bool, named: Timeframe | None) -> Table:
    """Rows count from 1, as there are no lines. Raises CandleFileError."""
    read = _json if ".json" in path.name.lower() else _arrow
    columns, raw = read(path, funding=funding)
    if not len(raw):
        raise TableError(str(path), 1, "no rows; fetch the file again")
    return finished(str(path), raw, np.arange(1, len(raw) + 1), columns, funding=funding, named=named)


def write_frame(path: Path, series: Series, rows: FloatArray) -> None:
    """One series as others read it: times as freqtrade has them, in UTC. Raises CandleFileError."""
    names = ("date", *series.columns[1:])
    if path.suffix == ".json":
        width = (
            2 if series.kind is Kind.FUNDING else len(names)
        )  # freqtrade finds no rates where there is more than them
        listed = [[int(row[0]), *row[1:width]] for row in rows.tolist()]
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


def _json(path: Path, *, funding: bool) -> tuple[Columns, FloatArray]:
    """A list of [ms, open, high, low, close, volume, …]: freqtrade's, whose funding rates stand where the open does, or
    the exchange's own answer, with the end of each candle behind them and numbers as text.
    """
    rows = _decoded(path)
    columns = ("time", "rate") if funding else ("time", *PRICES)
    width = next((index for index, row in enumerate(rows, start=1) if len(row) < len(columns)), None)
    if width is not None:
        raise TableError(
            str(path), width, f"{len(rows[width - 1])} values, expected 6: time, open, high, low, close, volume"
        )
    if not funding and all(len(row) > len(columns) for row in rows):
        columns = (*columns, "end")
    return columns, _floats(path, [row[: len(columns)] for row in rows]).reshape(-1, len(columns))


def _decoded(path: Path) -> Rows:
    try:
        content = content_of(path)
    except UnpackingError as error:
        raise TableError(str(path), error.line, error.message) from None
    try:
        return msgspec.json.decode(content, type=Rows)
    except msgspec.DecodeError as error:
        try:  # Python writes NaN, which JSON does not know
            return msgspec.convert(json.loads(content), type=Rows)
        except (ValueError, RecursionError):
            what = f"is no list of candles in JSON ({error}); fetch it again"
            raise TableError(str(path), _row_of(str(error), content), what) from None


def _row_of(error: str, content: bytes) -> int:
    """Where in a list of lists it is that an error speaks of."""
    if found := re.search(r"\$\[(\d+)\]", error):
        return int(found[1]) + 1
    found = re.search(r"byte (\d+)", error)
    return max(content.count(b"[", 0, int(found[1]) if found else len(content)) - 1, 1)


def _floats(path: Path, rows: Rows) -> FloatArray:
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError:
        return np.array([[_float(path, number, cell) for cell in row] for number, row in enumerate(rows, start=1)])


def _float(path: Path, number: int, cell: float | str | None) -> float:
    try:
        return float("nan") if cell is None else cell if isinstance(cell, float) else number_in(str(cell))
    except ValueError:
        raise TableError(str(path), number, f"{cell!r} {NO_NUMBER}") from None


def _arrow(path: Path, *, funding: bool) -> tuple[Columns, FloatArray]:
    table = _opened(path)
    names = table.column_names
    wanted, further = wanted_of(funding=funding)
    places = places_of(names, (*wanted, *further))
    if funding and "rate" not in places:  # freqtrade's
        at_open = places_of(names, ("open",)).get("open")
        places |= {} if at_open is None else {"rate": at_open}
    missing = next((name for name in wanted if name not in places), None)
    if missing is not None:
        name = "date" if missing == "time" else missing
        raise CandleFileError(f"{path}:1: no column {name} among {', '.join(names)}; name it {name}")
    twice = next((names[place] for place in places.values() if names.count(names[place]) > 1), None)
    if twice is not None:
        raise CandleFileError(f"{path}:1: two columns are called {twice}; rename the one that is not meant")
    columns = tuple(name for name in (*wanted, *further) if name in places)
    return columns, np.column_stack([_column(path, table, places[name], name) for name in columns])


def _opened(path: Path) -> pa.Table:
    try:
        from pyarrow import ArrowException, feather, parquet
    except ImportError:
        raise CandleFileError(f"{path}:1: {MISSING}") from None
    try:
        if path.suffix == ".feather":
            return feather.read_table(path)
        with parquet.ParquetFile(path) as file:
            return file.read()
    except (ArrowException, OSError, ValueError) as error:
        what = " ".join(str(error).split())[:200]
        raise CandleFileError(f"{path}:1: cannot be read as {path.suffix[1:]} ({what}); fetch the file again") from None


def _column(path: Path, table: pa.Table, place: int, meaning: str) -> FloatArray:
    """Numbers; of a time in milliseconds. What is written as text is read as in a file of text."""
    import pyarrow as pa

    name, column = table.column_names[place], table.column(place)
    is_time = meaning in ("time", "end")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_time and pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_decimal(column.type):  # cast at once, numbers are off in their last digit
        column = column.cast(pa.string())
    if is_time and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _cells(path, name, column.to_pylist(), is_time=True)
    try:
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    except pa.ArrowException:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            what = f"column {name} holds {column.type} and no numbers"
            raise CandleFileError(f"{path}:1: {what}; fetch the file again") from None
    return _cells(path, name, column.to_pylist(), is_time=False)


def _cells(path: Path, name: str, cells: list[Any], *, is_time: bool) -> FloatArray:
    read, wrong = (time_in, NO_TIME) if is_time else (number_in, NO_NUMBER)
    found = np.empty(len(cells))
    for index, cell in enumerate(cells):
        try:
            found[index] = np.nan if cell is None else read(cell)
        except ValueError:
            raise TableError(str(path), index + 1, f"{cell[:40]!r} in column {name} {wrong}") from None
    return found
