"""Archives as they come give the candles that they hold, and what cannot be used is named with line and advice."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_columns import CandleFileError
from exchange.candle_files import CandleFolders
from exchange.candle_store.importing import files_under, joined, read_files
from exchange.candle_store.recognising import Named, named_by
from exchange.candle_store.series import Kind, candles_of, funding_of
from exchange.candle_store.writing import StoreWriter
from exchange.sim.playback.symbols import shipped_folder
from indicators.candle import Timeframe
from tests.archives import (
    FUNDING_HEADER,
    KLINES_HEADER,
    day_of,
    kline,
    klines,
    month_of,
    packed,
    published,
    recorded,
)

BTC = candles_of("BTCUSDT", Timeframe.H1)
JANUARY = [row for row in recorded("BTCUSDT-1h") if month_of(row) == "2024-01"]


def rows_of(*paths: Path, said: Named | None = None, series=BTC) -> np.ndarray:
    read = read_files(files_under(paths), said or Named())
    assert read.problems == []
    assert list(read.tables) == [series]
    return joined(series, read.tables[series]).rows


def expected(rows: list[list[str]]) -> np.ndarray:
    return np.array([[float(cell) for cell in row] for row in rows])


class TestArchives:
    def test_months_and_days_with_and_without_header_are_joined(self, tmp_path: Path) -> None:
        """Overlapping ones, as who fetches daily archives until the month is out has them."""
        folder = published(tmp_path, "BTCUSDT", ["2024-01", "2024-02", "2024-03"], ["2024-03-31", "2024-04-01"])
        wanted = [r for r in recorded("BTCUSDT-1h") if month_of(r) in ("2024-01", "2024-02", "2024-03")]
        wanted += [r for r in recorded("BTCUSDT-1h") if day_of(r) == "2024-04-01"]
        assert np.array_equal(rows_of(folder), expected(wanted))

    @pytest.mark.parametrize("header", [True, False])
    @pytest.mark.parametrize("in_us", [True, False])
    @pytest.mark.parametrize("packing", ["zip", "csv", "csv.gz"])
    def test_every_shape(self, tmp_path: Path, header: bool, in_us: bool, packing: str) -> None:
        text = klines(JANUARY, header=header, in_us=in_us)
        path = tmp_path / f"BTCUSDT-1h-2024-01.{packing}"
        if packing == "zip":
            packed(path, text)
        else:
            path.write_bytes(text.encode() if packing == "csv" else gzip.compress(text.encode()))
        assert np.array_equal(rows_of(path), expected(JANUARY))

    def test_milliseconds_become_microseconds_from_one_month_to_the_next(self, tmp_path: Path) -> None:
        """As in the spot archives with 2025; joined by hand it can happen within one file."""
        rows = [r for r in recorded("BTCUSDT-1h") if month_of(r) in ("2024-12", "2025-01")]
        old = [r for r in rows if month_of(r) == "2024-12"]
        new = [r for r in rows if month_of(r) == "2025-01"]
        folder = tmp_path / "data/spot/monthly/klines/BTCUSDT/1h"
        packed(folder / "BTCUSDT-1h-2024-12.zip", klines(old, header=False))
        packed(folder / "BTCUSDT-1h-2025-01.zip", klines(new, header=False, in_us=True))
        assert np.array_equal(rows_of(tmp_path / "data"), expected(rows))
        one = tmp_path / "BTCUSDT-1h.csv"
        one.write_text(klines(old, header=False) + klines(new, header=False, in_us=True))
        assert np.array_equal(rows_of(one), expected(rows))

    def test_marks_are_told_from_last_prices_by_their_folder(self, tmp_path: Path) -> None:
        rows = [row for row in recorded("BTCUSDT-mark-1h") if month_of(row) == "2024-05"]
        name = "BTCUSDT-1h-2024-05.zip"
        path = packed(tmp_path / "markPriceKlines/BTCUSDT/1h" / name, klines(rows, header=True))
        mark = candles_of("BTCUSDT", Timeframe.H1, mark=True)
        assert np.array_equal(rows_of(path, series=mark), expected(rows))
        loose = packed(tmp_path / name, klines(rows, header=True))
        (problem,) = read_files([loose], Named()).problems
        assert problem.startswith(f"{loose}!BTCUSDT-1h-2024-05.csv:2: no candle has a volume")
        assert "--kind mark" in problem
        assert np.array_equal(rows_of(loose, said=Named(kind=Kind.MARK), series=mark), expected(rows))

    @pytest.mark.parametrize("header", [True, False])
    def test_funding_keeps_its_intervals_and_belongs_to_full_hours(self, tmp_path: Path, header: bool) -> None:
        rows = recorded("BTCUSDT-funding")[:90]
        lines = [f"{int(at_ms) + 7},{4 if number < 6 else 8},{rate}" for number, (at_ms, rate) in enumerate(rows)]
        text = "\n".join([FUNDING_HEADER, *lines] if header else lines) + "\n"
        path = packed(tmp_path / "fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip", text)
        found = rows_of(path, series=funding_of("BTCUSDT"))
        assert found[:, 0].tolist() == [int(row[0]) for row in rows]
        assert found[:, 1].tolist() == [float(row[1]) for row in rows]
        assert found[:, 2].tolist() == [4.0] * 6 + [8.0] * 84

    def test_a_check_sum_beside_an_archive_is_compared(self, tmp_path: Path) -> None:
        folder = published(tmp_path, "BTCUSDT", ["2024-01"])
        (path,) = files_under([folder])
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        (problem,) = read_files([path], Named()).problems
        assert problem.startswith(f"{path}:1: its SHA-256 is not the one in {path.name}.CHECKSUM; fetch")


class TestPlainFiles:
    @pytest.mark.parametrize(
        ("header", "line"),
        [
            ("timestamp,open,high,low,close,volume", "{ms},{o},{h},{l},{c},{v}"),
            ("date,open,high,low,close,volume", "{iso},{o},{h},{l},{c},{v}"),
            ("Date,Symbol,Volume,Close,Low,High,Open", "{iso}+00:00,BTCUSDT,{v},{c},{l},{h},{o}"),
            ("date,open,high,low,close,volume", "{iso}Z,{o},{h},{l},{c},{v}"),
            ("unix,open,high,low,close,volume", "{s},{o},{h},{l},{c},{v}"),
            ("\ufeffopen_time,open,high,low,close,volume", "{ms},{o},{h},{l},{c},{v}\r"),
            ('"Open time","Open","High","Low","Close","Volume"', '"{ms}","{o}","{h}","{l}","{c}","{v}"'),
        ],
    )
    def test_whatever_the_columns_are_called(self, tmp_path: Path, header: str, line: str) -> None:
        lines = []
        for at_ms, o, h, low, c, v in JANUARY:
            iso = str(np.datetime64(int(at_ms), "ms").astype("datetime64[s]")).replace("T", " ")
            lines.append(line.format(ms=at_ms, s=int(at_ms) // 1000, iso=iso, o=o, h=h, l=low, c=c, v=v))
        path = tmp_path / "BTCUSDT-1h.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        assert np.array_equal(rows_of(path), expected(JANUARY))

    def test_a_time_with_another_zone_is_that_moment(self, tmp_path: Path) -> None:
        path = tmp_path / "BTCUSDT-1h.csv"
        path.write_text("date,open,high,low,close,volume\n2024-01-01 02:00:00+02:00,1,1,1,1,1\n")
        assert rows_of(path)[0, 0] == 1_704_067_200_000

    def test_the_newest_may_come_first(self, tmp_path: Path) -> None:
        path = tmp_path / "BTCUSDT_1h.csv"
        path.write_text("\n".join(",".join(row) for row in reversed(JANUARY)))
        assert np.array_equal(rows_of(path), expected(JANUARY))

    def test_what_the_name_does_not_say_is_seen_in_the_rows_or_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "my candles.csv"
        path.write_text("\n".join(",".join(row) for row in JANUARY))
        (problem,) = read_files([path], Named()).problems
        assert problem == f"{path}:1: its name does not say of which symbol it is; add --symbol BTCUSDT"
        assert np.array_equal(rows_of(path, said=Named(symbol="BTCUSDT")), expected(JANUARY))

    def test_freqtrades_json(self, tmp_path: Path) -> None:
        path = tmp_path / "futures" / "BTC_USDT_USDT-1h-futures.json"
        path.parent.mkdir()
        path.write_text(json.dumps([[int(row[0]), *map(float, row[1:])] for row in JANUARY]))
        assert np.array_equal(rows_of(path), expected(JANUARY))

    @pytest.mark.parametrize(
        ("name", "named"),
        [
            ("BTCUSDT-1m-2024-01-31.zip", Named(symbol="BTCUSDT", timeframe=Timeframe.M1)),
            ("klines/BTCUSDT-1m-2024-01.csv", Named(symbol="BTCUSDT", kind=Kind.LAST, timeframe=Timeframe.M1)),
            ("1000PEPEUSDT-fundingRate-2024-01.zip", Named(symbol="1000PEPEUSDT", kind=Kind.FUNDING)),
            ("ETH_USDT_USDT-4h-mark.feather", Named(symbol="ETHUSDT", kind=Kind.MARK, timeframe=Timeframe.H4)),
            ("ETH_USDT_USDT-8h-funding_rate.feather", Named(symbol="ETHUSDT", kind=Kind.FUNDING)),
            ("BTCUSDT-mark-1h.csv.gz", Named(symbol="BTCUSDT", kind=Kind.MARK, timeframe=Timeframe.H1)),
            ("SOLUSDT-5m-2025-04-07_11.csv.gz", Named(symbol="SOLUSDT", timeframe=Timeframe.M5)),
            ("BTCUSDT.csv", Named(symbol="BTCUSDT")),
            ("candles.csv", Named()),
        ],
    )
    def test_names(self, name: str, named: Named) -> None:
        assert named_by(Path(name)) == named


ROWS = [kline(row) for row in JANUARY[:48]]
CSV = "BTCUSDT-1h-2024-01.csv"


def with_line(number: int, line: str) -> str:
    """The month's rows, of which line ``number`` (1 is the header) reads like this."""
    lines = [KLINES_HEADER, *ROWS]
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


def cells(number: int, **values: str) -> str:
    """A line with other values in some of its columns."""
    names = KLINES_HEADER.split(",")
    row = dict(zip(names, ROWS[number - 2].split(","), strict=True))
    return ",".join((row | values).values())


def as_csv(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / CSV).write_text(text)
        return folder / CSV

    return write


def as_bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def cut_zip(folder: Path) -> Path:
    path = packed(folder / "BTCUSDT-1h-2024-01.zip", with_line(2, ROWS[0]))
    path.write_bytes(path.read_bytes()[:-300])
    return path


def zip_with(*names: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "BTCUSDT-1h-2024-01.zip"
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, "nothing")
        return path

    return write


def bomb(folder: Path) -> Path:
    return packed(folder / "BTCUSDT-1h-2024-01.zip", "0" * 120_000_000)


BROKEN: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "empty": (as_csv(""), 1, "the file is empty; fetch it again"),
    "a header alone": (as_csv(KLINES_HEADER + "\n"), 2, "no rows after the header; fetch the file again"),
    "an error page": (as_csv("<!DOCTYPE html>\n<p>404"), 1, "this is a web page, not a table"),
    "a zip cut short": (cut_zip, 1, "is no zip file, or only the beginning of one"),
    "no zip at all": (as_bytes("BTCUSDT-1h-2024-01.zip", b"<Error>NoSuchKey</Error>"), 1, "is no zip file"),
    "a zip without a table": (zip_with("readme.txt"), 1, "holds no .csv file but readme.txt"),
    "a zip that fills memory": (bomb, 1, "so these are no candles"),
    "gzip cut short": (as_bytes(f"{CSV}.gz", gzip.compress(with_line(2, ROWS[0]).encode())[:-20]), 1, "cannot be read"),
    "a word for a number": (as_csv(with_line(9, cells(9, close="n/a"))), 9, "'n/a' is not a number"),
    "a decimal comma": (as_csv(with_line(4, cells(4, open="42314,5"))), 4, "13 values, expected 12"),
    "a line cut short": (as_csv(with_line(49, ROWS[47][:30])), 49, "values, expected 12"),
    "an empty line": (as_csv(with_line(20, "")), 20, "an empty line"),
    "semicolons": (as_csv(with_line(2, ROWS[0]).replace(",", ";")), 1, "something else than commas"),
    "a column that is missing": (as_csv(with_line(1, KLINES_HEADER.replace("close,", "x,", 1))), 1, "called close"),
    "five columns": (as_csv("\n".join(",".join(row[:5]) for row in JANUARY)), 1, "5 values and no header"),
    "a time of no candle": (as_csv(with_line(6, cells(6, open_time="1704081600500"))), 6, "no candle of 1h begins"),
    "a time in the year 56000": (as_csv(with_line(3, cells(3, open_time="0"))), 3, "is no time of a candle"),
    "a line in the wrong place": (as_csv(with_line(30, ROWS[2])), 30, "its time is before that of the line above"),
    "other candles than it says": (
        lambda folder: Path((folder / "BTCUSDT-1m.csv").write_text("\n".join(ROWS)) and folder / "BTCUSDT-1m.csv"),
        1,
        "its rows are candles of 1h, not of 1m",
    ),
    "no symbol": (as_bytes("klines.csv", with_line(2, ROWS[0]).encode()), 1, "add --symbol"),
    "trades": (as_bytes("BTCUSDT-aggTrades-2024-01.csv", b"1,2\n"), 1, "only klines, markPriceKlines and fundingRate"),
    "not a letter of ASCII": (as_bytes(CSV, with_line(12, "1704103200000,é").encode()), 12, "ASCII"),
    "json of something else": (as_bytes("BTC_USDT_USDT-1h-futures.json", b'{"a": 1}'), 1, "no list of candles"),
    "json with short rows": (
        as_bytes("BTC_USDT_USDT-1h-futures.json", b"[[1704067200000,1,1,1,1,1],[1704070800000,1]]"),
        2,
        "2 values, expected 6",
    ),
    "nothing that can be true": (as_csv("\n".join(f"{r[0]},0,0,0,0,0" for r in JANUARY)), 1, "no row can be true"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_cannot_be_used_is_named_with_line_and_advice(tmp_path: Path, what: str) -> None:
    make, line, message = BROKEN[what]
    path = make(tmp_path)
    (problem,) = read_files([path], Named()).problems
    place, _, said = problem.partition(": ")
    assert place.startswith(str(path))
    assert place.rpartition(":")[2] == str(line)
    assert message in problem
    assert any(
        word in said
        for word in ("fetch", "add", "say", "write", "sort", "leave", "name", "expected", "one inside", "unpack")
    )


class TestRowsThatCannotBeTrue:
    """They count as missing, as live (R66), and are listed."""

    @pytest.mark.parametrize(
        ("line", "kind", "message"),
        [
            (cells(9, high="1"), "contradiction", "the high is below the open or the close"),
            (cells(9, low="0"), "contradiction", "the low is not above zero"),
            (cells(9, volume="-1"), "contradiction", "the volume is below zero"),
            (cells(9, open="nan"), "number", "a number is not finite"),
            (cells(9, close_time="1704092399998"), "contradiction", "it does not end with the 1h candle"),
        ],
    )
    def test_each(self, tmp_path: Path, line: str, kind: str, message: str) -> None:
        path = as_csv(with_line(9, line))(tmp_path)
        (table,) = read_files([path], Named()).tables[BTC]
        (row,) = table.rejected
        assert (row.file, row.line, row.kind) == (str(path), 9, kind)
        assert message in row.message
        assert len(table.rows) == 47

    def test_told_twice_alike_is_one_and_told_differently_none(self, tmp_path: Path) -> None:
        lines = [*ROWS[:10], ROWS[9], *ROWS[10:20], cells(21, close="42000.1", low="1"), *ROWS[20:]]
        path = as_csv("\n".join(lines))(tmp_path)
        (table,) = read_files([path], Named()).tables[BTC]
        assert (len(table.rows), table.repeated) == (47, 1)
        assert [row.line for row in table.rejected] == [21, 22]
        assert "told differently in lines 21 and 22" in table.rejected[0].message

    def test_files_that_differ_are_named_both(self, tmp_path: Path) -> None:
        one = as_csv(with_line(2, ROWS[0]))(tmp_path)
        other = tmp_path / "BTCUSDT-1h-2024-01-01.csv"
        other.write_text(cells(5, close="42000.1", low="1") + "\n")
        read = read_files([one, other], Named())
        with pytest.raises(CandleFileError, match="differs from") as error:
            joined(BTC, read.tables[BTC])
        assert str(error.value).startswith(f"{other}:1: differs from {one}:5 at ")
        assert joined(BTC, read.tables[BTC], later_wins=True).rows[3, 4] == 42000.1


def test_real_candles_come_out_of_a_store_as_from_the_files(tmp_path: Path) -> None:
    """All columns, bit for bit, whatever way they went."""
    with StoreWriter(tmp_path / "store") as writer:
        read = read_files(files_under([shipped_folder()]), Named())
        assert read.problems == []
        for series, tables in read.tables.items():
            writer.add(series, joined(series, tables).rows)
    ours, files = CandleFolders([tmp_path / "store"]), CandleFolders([shipped_folder()])
    assert ours.symbols() == files.symbols()
    for symbol in files.symbols():
        pairs = [(ours.candles(symbol), files.candles(symbol)), (ours.mark(symbol), files.mark(symbol))]
        pairs += list(zip(ours.intrabar(symbol), files.intrabar(symbol), strict=True))
        for mine, theirs in pairs:
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                for name in ("open_time_ms", "open", "high", "low", "close", "volume"):
                    assert np.array_equal(getattr(mine, name), getattr(theirs, name))
