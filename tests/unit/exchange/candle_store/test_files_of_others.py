"""Files as people have them, and as they break on the way: read where they are clear, else named with what to do."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from exchange.candle_columns import CandleFileError
from exchange.candle_store.importing import files_under, joined, read_files
from exchange.candle_store.recognising import Named, named_by
from exchange.candle_store.series import candles_of
from indicators.candle import Timeframe
from tests.archives import KLINES_HEADER, kline, recorded

AVAX = candles_of("AVAXUSDT", Timeframe.H1)
CANDLES = recorded("BTCUSDT-1h")[:48]
ROWS = np.array([[float(cell) for cell in row] for row in CANDLES])
LINES = [kline(row) for row in CANDLES]
SIX = [",".join(row) for row in CANDLES]
CSV, ZIP, JSON = "AVAXUSDT-1h-2024-01.csv", "AVAXUSDT-1h-2024-01.zip", "AVAX_USDT_USDT-1h-futures.json"
PLAIN = "\n".join(LINES).encode()
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return packed.getvalue()


def instead_of(row: int, line: str) -> bytes:
    """The lines, of which the one at ``row`` (0 is the first) reads like this."""
    return "\n".join([*LINES[:row], line, *LINES[row + 1 :]]).encode()


def with_cell(row: int, column: int, text: str) -> bytes:
    cells = LINES[row].split(",")
    cells[column] = text
    return instead_of(row, ",".join(cells))


def as_json(row: int | None = None, column: int = 0, value: object = None) -> bytes:
    listed: list[list[object]] = [[int(each[0]), *map(float, each[1:])] for each in CANDLES]
    if row is not None:
        listed[row][column] = value
    return json.dumps(listed).encode()


def read_one(folder: Path, name: str, content: bytes) -> np.ndarray:
    (folder / name).write_bytes(content)
    read = read_files([folder / name], Named())
    assert read.problems == []
    return joined(AVAX, read.tables[AVAX]).rows


def told(folder: Path, name: str, content: bytes) -> str:
    """What is said of a file that cannot be used, without the folder that it lies in."""
    (folder / name).write_bytes(content)
    (problem,) = read_files([folder / name], Named()).problems
    return problem.removeprefix(f"{folder}/")


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "gzip'ed twice": (
        f"{CSV}.gz",
        gzip.compress(gzip.compress(PLAIN)),
        f"{CSV}.gz:1: is gzip'ed once more inside; unpack it (gunzip) and name it .csv.gz again",
    ),
    "a name that says gzip": (
        f"{CSV}.gz",
        PLAIN,
        f"{CSV}.gz:1: is not gzip'ed, whatever its name says; pack it with gzip, or take .gz off it",
    ),
    "gzip in a csv": (CSV, gzip.compress(PLAIN), f"{CSV}:1: is gzip'ed, whatever its name says; name it .csv.gz"),
    "zip in a csv": (CSV, zipped((CSV, PLAIN)), f"{CSV}:1: is a zip archive, whatever its name says; name it .zip"),
    "an archive in an archive": (
        ZIP,
        zipped((ZIP, zipped((CSV, PLAIN)))),
        f"{ZIP}:1: holds another archive, {ZIP}; unpack it and import what is inside",
    ),
    "another symbol inside": (
        ZIP,
        zipped(("ETHUSDT-1h-2024-01.csv", PLAIN)),
        f"{ZIP}!ETHUSDT-1h-2024-01.csv:1: the archive is called AVAXUSDT and the file in it ETHUSDT; "
        "say which it is with --symbol",
    ),
    "another timeframe inside": (
        ZIP,
        zipped(("AVAXUSDT-4h-2024-01.csv", PLAIN)),
        f"{ZIP}!AVAXUSDT-4h-2024-01.csv:1: the archive is called 1h and the file in it 4h; "
        "say which it is with --timeframe",
    ),
    "UTF-16": (CSV, PLAIN.decode().encode("utf-16"), f"{CSV}:1: is written in UTF-16; save it as UTF-8"),
    "an old Mac's lines": (
        CSV,
        PLAIN.replace(b"\n", b"\r"),
        f"{CSV}:1: its lines end with a carriage return alone; save it with the line ends of Unix or Windows",
    ),
    "the header again": (
        CSV,
        "\n".join([KLINES_HEADER, *LINES[:20], KLINES_HEADER, *LINES[20:]]).encode(),
        f"{CSV}:22: the header stands here once more; delete this line",
    ),
    "a remark above": (
        CSV,
        b"https://example.com/candles\n" + PLAIN,
        f"{CSV}:1: 'https://example.com/candles' is no row of a table; delete what stands above the first row",
    ),
    "semicolons and decimal commas": (
        CSV,
        "\n".join(SIX).replace(",", ";").replace(".", ",").encode(),
        f"{CSV}:1: values are separated by something else than commas; write them with commas",
    ),
    "thousands": (
        CSV,
        with_cell(9, 1, '"42,500.10"'),
        f"{CSV}:10: 13 values, expected 12: ",
    ),
    "an empty line": (CSV, "\n".join([*LINES[:9], "", *LINES[9:]]).encode(), f"{CSV}:10: an empty line; delete it"),
    "times of a spreadsheet": (
        CSV,
        "\n".join(f"{int(row[0]):.5e}," + ",".join(row[1:]) for row in CANDLES).encode(),
        f"{CSV}:1: 1.70407e+12 has lost digits, as times do in a spreadsheet; fetch the file again",
    ),
    "json with a word": (
        JSON,
        as_json(9, 1, "n/a"),
        f"{JSON}:10: 'n/a' is not a number; fetch the file again, or write numbers with a point",
    ),
    "json that is cut": (JSON, as_json()[:-30], f"{JSON}:48: is no list of candles in JSON"),
    "json with objects": (JSON, json.dumps([{"o": 1}]).encode(), f"{JSON}:1: is no list of candles in JSON"),
    "json without a time": (JSON, as_json(9, 0), f"{JSON}:10: no time; fetch the file again"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_named_with_its_place_and_what_to_do(tmp_path: Path, what: str) -> None:
    name, content, said = REFUSED[what]
    assert told(tmp_path, name, content).startswith(said)


def test_a_number_with_thousands_says_how_to_write_it(tmp_path: Path) -> None:
    said = told(tmp_path, CSV, with_cell(9, 1, '"42,500.10"'))
    assert said.endswith("; write numbers with a point and without commas, or fetch the file again")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (CSV, with_cell(9, 4, "")),
        (CSV, with_cell(9, 4, "NaN")),
        (JSON, as_json(9, 4, None)),
        (JSON, as_json(9, 4, float("nan"))),
    ],
    ids=["an empty cell", "NaN", "null", "NaN in json"],
)
def test_a_value_that_is_missing_is_a_candle_that_is_missing(tmp_path: Path, name: str, content: bytes) -> None:
    """However a program writes it: pandas leaves the cell empty in csv, and writes null or NaN in JSON."""
    (tmp_path / name).write_bytes(content)
    read = read_files([tmp_path / name], Named())
    assert read.problems == []
    (table,) = read.tables[AVAX]
    assert len(table.rows) == 47
    assert [(row.line, row.message) for row in table.rejected] == [(10, "a number is not finite")]


def test_the_answer_of_the_exchange_is_read_as_it_comes(tmp_path: Path) -> None:
    """GET /fapi/v1/klines: twelve values, numbers as text."""
    answer = [[int(line.split(",")[0]), *line.split(",")[1:6], int(line.split(",")[6]), "1", 1, "1", "1", "0"]
              for line in LINES]  # fmt: skip
    assert np.array_equal(read_one(tmp_path, "AVAXUSDT-1h.json", json.dumps(answer).encode()), ROWS)


def test_a_candle_of_an_answer_that_is_not_closed_yet_counts_as_missing(tmp_path: Path) -> None:
    answer = [[int(line.split(",")[0]), *line.split(",")[1:6], int(line.split(",")[6])] for line in LINES]
    answer[-1][6] -= 60_000
    (tmp_path / "AVAXUSDT-1h.json").write_text(json.dumps(answer))
    (table,) = read_files([tmp_path / "AVAXUSDT-1h.json"], Named()).tables[AVAX]
    assert [row.line for row in table.rejected] == [48]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("AVAX-USDT-1h.csv", "AVAXUSDT"),
        ("AVAX_USDT_1h.csv", "AVAXUSDT"),
        ("AVAX-USDT-SWAP-1h.csv", "AVAXUSDT"),
        ("1000PEPE-USDC-1h.csv", "1000PEPEUSDC"),
        ("avaxusdt-1h.csv", "AVAXUSDT"),
        ("Binance_AVAXUSDT_1h.csv", "AVAXUSDT"),
        ("Binance_AVAXUSDT_2024_1h.csv", "AVAXUSDT"),
    ],
)
def test_pairs_as_others_write_them(name: str, symbol: str) -> None:
    assert (named_by(Path(name)).symbol, named_by(Path(name)).timeframe) == (symbol, Timeframe.H1)


def test_files_that_disagree_say_at_what_time(tmp_path: Path) -> None:
    (tmp_path / CSV).write_bytes(PLAIN)
    (tmp_path / "AVAXUSDT-1h-2024-01-01.csv").write_bytes(with_cell(3, 4, ROWS[3, 2].astype(str)))
    read = read_files(files_under([tmp_path]), Named())
    with pytest.raises(CandleFileError) as error:
        joined(AVAX, read.tables[AVAX])
    said = str(error.value)
    assert said.startswith(f"{tmp_path}/{CSV}:4: differs from {tmp_path}/AVAXUSDT-1h-2024-01-01.csv:4 at ")
    assert " at 2024-01-01 03:00:00 UTC; leave one of the two out, or add --replace and name the right one last" in said


def test_tables_of_one_archive_are_of_its_symbol_where_their_names_say_none(tmp_path: Path) -> None:
    content = zipped(("first.csv", "\n".join(LINES[:20]).encode()), ("second.csv", "\n".join(LINES[20:]).encode()))
    assert np.array_equal(read_one(tmp_path, ZIP, content), ROWS)


class TestFrames:
    """Whatever the columns are called and typed; rows count from 1."""

    @staticmethod
    def table(names: tuple[str, ...] = COLUMNS, **instead: pa.Array) -> pa.Table:
        columns = {
            name: pa.array(ROWS[:, n].astype(np.int64) if n == 0 else ROWS[:, n]) for n, name in enumerate(COLUMNS)
        }
        return pa.table(list((columns | instead).values()), names=list(names))

    @pytest.mark.parametrize(
        "names",
        [
            ("Open time", "Open", "High", "Low", "Close", "Volume"),
            ("unix", "o", "h", "l", "c", "v"),
            ("timestamp", "OPEN", "HIGH", "LOW", "CLOSE", "VOL"),
        ],
    )
    def test_names(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        feather.write_feather(self.table(names), tmp_path / "AVAXUSDT-1h.feather")
        assert np.array_equal(self.read(tmp_path / "AVAXUSDT-1h.feather"), ROWS)

    @pytest.mark.parametrize(
        "times",
        [
            pa.array(ROWS[:, 0].astype(np.int64) * 1000),
            pa.array(ROWS[:, 0].astype(np.int64) // 1000),
            pa.array(ROWS[:, 0].astype(np.int64)).cast(pa.timestamp("ms")).cast(pa.timestamp("s")),
            pa.array(ROWS[:, 0].astype(np.int64)).cast(pa.timestamp("ms", tz="Asia/Tokyo")),
            pa.array([str(np.datetime64(int(at_ms), "ms"))[:16].replace("T", " ") for at_ms in ROWS[:, 0]]),
        ],
        ids=["µs", "s", "seconds without a zone", "Tokyo", "text"],
    )
    def test_times(self, tmp_path: Path, times: pa.Array) -> None:
        parquet.write_table(self.table(open_time=times), tmp_path / "AVAXUSDT-1h.parquet")
        assert np.array_equal(self.read(tmp_path / "AVAXUSDT-1h.parquet"), ROWS)

    def test_days(self, tmp_path: Path) -> None:
        days = self.table(open_time=pa.array(np.arange(19_723, 19_771, dtype=np.int32)).cast(pa.date32()))
        parquet.write_table(days, tmp_path / "AVAXUSDT-1d.parquet")
        read = read_files([tmp_path / "AVAXUSDT-1d.parquet"], Named())
        assert read.problems == []
        assert read.tables[candles_of("AVAXUSDT", Timeframe.D1)][0].rows[1, 0] == 1_704_153_600_000

    @pytest.mark.parametrize("kind", [pa.decimal128(18, 8), pa.string()])
    def test_prices_as_decimals_and_as_text(self, tmp_path: Path, kind: pa.DataType) -> None:
        told = [Decimal(row[4]) if kind != pa.string() else row[4] for row in CANDLES]
        parquet.write_table(self.table(close=pa.array(told, kind)), tmp_path / "AVAXUSDT-1h.parquet")
        assert np.array_equal(self.read(tmp_path / "AVAXUSDT-1h.parquet"), ROWS)

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            (
                table(close=pa.array(["1"] * 20 + ["n/a"] * 28)),
                ":21: 'n/a' in column close is not a number; fetch the file again",
            ),
            (
                table(open_time=pa.array(["2024-01-01 00:00"] * 4 + ["yesterday"] * 44)),
                ":5: 'yesterday' in column open_time is no time in UTC; write milliseconds, or 2024-01-31 15:00:00",
            ),
            (
                table(close=pa.array([[1.0]] * 48)),
                ":1: column close holds list<item: double> and no numbers; fetch the file again",
            ),
            (table(("when", *COLUMNS[1:])), ":1: no column when"),
            (table((*COLUMNS, "close"), again=pa.array(ROWS[:, 1])), ":1: two columns are called close; rename"),
        ],
        ids=["a word", "a word for a time", "lists", "no time", "one name twice"],
    )
    def test_what_cannot_be_read_is_named_with_its_row(self, tmp_path: Path, table: pa.Table, said: str) -> None:
        path = tmp_path / "AVAXUSDT-1h.feather"
        feather.write_feather(table, path)
        (problem,) = read_files([path], Named()).problems
        said = said.replace("no column when", "no column date among when, open, high, low, close, volume; name it")
        assert problem.startswith(f"{path}{said}")

    @staticmethod
    def read(path: Path) -> np.ndarray:
        read = read_files([path], Named())
        assert read.problems == []
        return joined(AVAX, read.tables[AVAX]).rows
