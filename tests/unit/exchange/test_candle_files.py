"""Data folders: what is found, what is joined, and how bad files are named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_columns import CandleFileError
from exchange.candle_files import CandleFolders, read_candles
from indicators.candle import Candle, Timeframe

HOUR = 3_600_000
T0 = 1_704_067_200_000  # 2024-01-01 00:00
HEADER = "open_time_ms,open,high,low,close,volume\n"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "klines"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def hours(first: int, last: int, *, price: float = 100.0) -> str:
    rows = [f"{T0 + n * HOUR},{price},{price + 2},{price - 2},{price + 1},{n}" for n in range(first, last)]
    return HEADER + "\n".join(rows) + "\n"


def test_candles_come_back_exactly_as_written(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-1h.csv.gz", HEADER + f"{T0},42314,42603.2,42289.6,42503.5,8459.477\n")
    columns = CandleFolders([tmp_path]).candles("BTCUSDT")
    assert columns.length == 1
    assert columns.candle(0) == Candle(T0, 42314.0, 42603.2, 42289.6, 42503.5, 8459.477)
    assert columns.open_time_ms.dtype == np.int64


def test_the_arrays_cannot_be_changed(tmp_path: Path) -> None:
    columns = read_candles(write(tmp_path / "A-1h.csv.gz", hours(0, 3)), "A", Timeframe.H1)
    for array in (columns.open_time_ms, columns.close):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_symbols_are_those_with_hourly_candles_and_side_folders_are_never_entered(tmp_path: Path) -> None:
    for name in ("ETHUSDT-1h", "BTCUSDT-1h", "BTCUSDT-4h", "BTCUSDT-mark-1h", "sample/SOLUSDT-1h", "spot/ADAUSDT-1h"):
        write(tmp_path / f"{name}.csv.gz", hours(0, 4))
    folders = CandleFolders([tmp_path])
    assert folders.symbols() == ("BTCUSDT", "ETHUSDT")
    with pytest.raises(CandleFileError, match=r"SOLUSDT-1h\.csv\.gz: not found in"):
        folders.candles("SOLUSDT")


def test_funding_mark_and_intrabar_are_found_beside_or_below(tmp_path: Path) -> None:
    write(tmp_path / "mark" / "BTCUSDT-mark-1h.csv.gz", hours(0, 2))
    write(tmp_path / "BTCUSDT-funding.csv.gz", f"funding_time_ms,funding_rate\n{T0},0.0001\n{T0 + 8 * HOUR},-0.00025\n")
    minutes = "".join(f"{T0 + n * 60_000},1,1,1,1,1\n" for n in range(3))
    write(tmp_path / "intrabar" / "BTCUSDT-1m-2024-01-01.csv.gz", HEADER + minutes)
    write(tmp_path / "BTCUSDT-5m-2024-01-01.csv.gz", HEADER + f"{T0},1,1,1,1,1\n")
    folders = CandleFolders([tmp_path])
    mark, funding = folders.mark("BTCUSDT"), folders.funding("BTCUSDT")
    assert mark is not None
    assert mark.length == 2
    assert funding is not None
    assert funding.rate.tolist() == [0.0001, -0.00025]
    assert [(columns.timeframe, columns.length) for columns in folders.intrabar("BTCUSDT")] == [("1m", 3), ("5m", 1)]
    assert folders.mark("ETHUSDT") is None
    assert folders.funding("ETHUSDT") is None
    assert folders.intrabar("ETHUSDT") == ()


def test_native_long_candles_come_only_from_files_of_that_name(tmp_path: Path) -> None:
    write(tmp_path / "native" / "BTCUSDT-4h.csv.gz", HEADER + f"{T0},1,1,1,1,1\n")
    assert CandleFolders([tmp_path]).candles("BTCUSDT", Timeframe.H4).length == 1
    with pytest.raises(CandleFileError, match="BTCUSDT-1d"):
        CandleFolders([tmp_path]).candles("BTCUSDT", Timeframe.D1)


def test_folders_are_joined_in_order_of_time(tmp_path: Path) -> None:
    write(tmp_path / "new" / "BTCUSDT-1h.csv.gz", hours(3, 6))
    write(tmp_path / "old" / "BTCUSDT-1h.csv.gz", hours(0, 4))
    columns = CandleFolders([tmp_path / "new", tmp_path / "old"]).candles("BTCUSDT")
    assert columns.open_time_ms.tolist() == [T0 + n * HOUR for n in range(6)]


def test_folders_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a" / "BTCUSDT-1h.csv.gz", hours(0, 3))
    write(tmp_path / "b" / "BTCUSDT-1h.csv.gz", hours(2, 5, price=101.0))
    with pytest.raises(
        CandleFileError, match=r"b/BTCUSDT-1h.* differs from .*a/BTCUSDT-1h.* at 2024-01-01 02:00:00 UTC"
    ):
        CandleFolders([tmp_path / "a", tmp_path / "b"]).candles("BTCUSDT")


@pytest.mark.parametrize(
    ("rows", "line", "what"),
    [
        (f"{T0},1,2\n", 2, "3 values, expected 6"),
        (f"{T0},1,1,1,1,1\n\n{T0 + HOUR},1,1,1,1,1\n", 3, "1 values, expected 6"),
        (f"{T0},1,1,1,1,1\n{T0 + HOUR},1,1,x,1,1\n", 3, "'x' is not a number"),
        (f"{T0},1,nan,1,1,1\n", 2, "not finite"),
        (f"{T0},1,inf,1,1,1\n", 2, "not finite"),
        (f"{T0 + 1},1,1,1,1,1\n", 2, "not a multiple of 3600000 ms"),
        (f"{T0 // 1000},1,1,1,1,1\n", 2, "not a multiple"),
        (f"{T0},1,1,1,1,1\n{T0},1,1,1,1,1\n", 3, "does not come after"),
        (f"{T0},0,1,0,1,1\n", 2, "low is not above zero"),
        (f"{T0},2,2,1.5,1,1\n", 2, "low is above"),
        (f"{T0},2,1.5,1,1,1\n", 2, "high is below"),
        (f"{T0},1,1,1,1,-1\n", 2, "volume is below zero"),
        ("", 2, "no rows"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path: Path, rows: str, line: int, what: str) -> None:
    path = write(tmp_path / "BTCUSDT-1h.csv.gz", HEADER + rows)
    with pytest.raises(CandleFileError) as error:
        CandleFolders([tmp_path]).candles("BTCUSDT")
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert what in str(error.value)


def test_a_file_that_is_no_gzip_or_has_another_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "A-1h.csv.gz").write_bytes(b"open_time_ms,open")
    (tmp_path / "B-1h.csv.gz").write_bytes(gzip.compress(hours(0, 50).encode())[:-20])
    write(tmp_path / "C-1h.csv.gz", "time,o,h,l,c,v\n1,1,1,1,1,1\n")
    folders = CandleFolders([tmp_path])
    for symbol, what in (("A", "is not gzip'ed"), ("B", "cannot be read"), ("C", "the header is")):
        with pytest.raises(CandleFileError, match=rf"{symbol}-1h\.csv\.gz:1: .*{what}"):
            folders.candles(symbol)


def test_a_funding_rate_above_one_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-funding.csv.gz", f"funding_time_ms,funding_rate\n{T0},1.5\n")
    with pytest.raises(CandleFileError, match=":2: a funding rate is a fraction"):
        CandleFolders([tmp_path]).funding("BTCUSDT")


def test_a_missing_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match="no such folder"):
        CandleFolders([tmp_path / "nowhere"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the full candle set is not on this machine")
def test_the_full_candle_set_reads_without_a_complaint() -> None:
    folders = CandleFolders([SHARED, SHARED / "sample"])
    assert len(folders.symbols()) == 9
    for symbol in folders.symbols():
        assert folders.candles(symbol).length > 20_000
        folders.funding(symbol), folders.mark(symbol), folders.intrabar(symbol)
