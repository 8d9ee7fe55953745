"""What is wrong with candle files: every kind named with its line, and nothing said of files that are right."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from exchange.candle_columns import CandleFileError
from exchange.candle_faults import LISTED_MAX, FaultKind, files_in, look_through
from exchange.sim.playback.symbols import shipped_folder

HOUR = 3_600_000
T0 = 1_704_067_200_000  # 2024-01-01 00:00
HEADER = "open_time_ms,open,high,low,close,volume"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "klines"


def rows(count: int = 12) -> list[str]:
    """A header and so many hours, so that the list's index is the line less one."""
    return [HEADER, *(f"{T0 + n * HOUR},42000,42300.5,41900,42100.5,{n}" for n in range(count))]


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


def found(*paths: Path) -> list[tuple[str, int, str]]:
    return [(fault.file.name, fault.line, fault.kind) for one in look_through(paths) for fault in one.faults]


def changed(line: int, row: str) -> list[str]:
    lines = rows()
    lines[line - 1] = row
    return lines


def at(line: int, prices: str = "42000,42300.5,41900,42100.5,1") -> str:
    return f"{T0 + (line - 2) * HOUR},{prices}"


FAULTY: dict[str, tuple[list[str], list[tuple[int, str]]]] = {
    "a candle is missing": ([*rows()[:5], *rows()[6:]], [(6, "gap")]),
    "three candles are missing": ([*rows()[:5], *rows()[8:]], [(6, "gap")]),
    "a row twice": ([*rows()[:6], *rows()[5:]], [(7, "duplicate")]),
    "a row twice, further down": ([*rows(), rows()[3]], [(14, "duplicate")]),
    "a row twice with other values": ([*rows()[:6], at(6, "1,1,1,1,1"), *rows()[6:]], [(7, "contradiction")]),
    "a high below the close": (changed(5, at(5, "42000,42050,41900,42100.5,1")), [(5, "contradiction")]),
    "a low above the open": (changed(5, at(5, "42000,42300,42001,42100.5,1")), [(5, "contradiction")]),
    "a price of 0": (changed(5, at(5, "42000,42300,0,42100.5,1")), [(5, "contradiction")]),
    "a volume below 0": (changed(5, at(5, "42000,42300,41900,42100.5,-1")), [(5, "contradiction")]),
    "every price times a thousand": (changed(5, at(5, "42000000,42300500,41900000,42100500,1")), [(5, "tick")]),
    "every price a thousandth": (changed(5, at(5, "42,42.3,41.9,42.1,1")), [(5, "tick")]),
    "a high times a thousand": (changed(5, at(5, "42000,42300500,41900,42100.5,1")), [(5, "tick")]),
    "a close times a thousand": (
        changed(5, at(5, "42000,42300,41900,42100500,1")),
        [(5, "contradiction"), (5, "tick")],
    ),
    "the first row times a thousand": (changed(2, at(2, "42000000,42300500,41900000,42100500,1")), [(2, "tick")]),
    "the last row times a thousand": (changed(13, at(13, "42000000,42300500,41900000,42100500,1")), [(13, "tick")]),
    "two rows times a thousand": (
        [*rows()[:5], *(at(line, "42000000,42300500,41900000,42100500,1") for line in (6, 7)), *rows()[7:]],
        [(6, "tick"), (7, "tick")],
    ),
    "prices in another unit from a row on": (
        [*rows()[:7], *(at(line, "42,42.3,41.9,42.1,1") for line in range(8, 14))],
        [(8, "tick")],
    ),
    "a low of 0.01": (changed(5, at(5, "42000,42300.5,0.01,42100.5,1")), [(5, "low")]),
    "two rows exchanged": ([*rows()[:4], rows()[5], rows()[4], *rows()[6:]], [(6, "order")]),
    "a word": (changed(5, at(5, "42000,oops,41900,42100.5,1")), [(5, "number"), (6, "gap")]),
    "not a number": (changed(5, at(5, "42000,nan,41900,42100.5,1")), [(5, "number")]),
    "no end": (changed(5, at(5, "42000,inf,41900,42100.5,1")), [(5, "number")]),
    "too few values": (changed(13, at(13, "42000,42300")), [(13, "number")]),
    "an empty line": ([*rows(), ""], [(14, "number")]),
    "a second too late": (changed(13, f"{T0 + 11 * HOUR + 1000},1,1,1,1,1"), [(13, "time")]),
    "in seconds": (changed(2, f"{T0 // 1000},42000,42300.5,41900,42100.5,1"), [(2, "time")]),
    "in microseconds": (changed(13, f"{T0 * 1000 + 11 * HOUR * 1000},42000,42300.5,41900,42100.5,1"), [(13, "time")]),
    "another header": (["time,o,h,l,c,v", *rows()[1:]], [(1, "file")]),
    "no rows": ([HEADER], [(2, "file")]),
    "a byte that is no text": (changed(5, at(5, "42000,42300,é,42100.5,1")), [(5, "file")]),
}


@pytest.mark.parametrize(("lines", "faults"), FAULTY.values(), ids=FAULTY)
def test_each_kind_is_named_with_its_line_and_nothing_else_is(tmp_path: Path, lines, faults) -> None:
    path = write(tmp_path / "BTCUSDT-1h.csv.gz", lines)
    assert found(path) == [(path.name, line, kind) for line, kind in faults]


def test_the_message_of_a_gap_and_of_a_slip_say_how_much(tmp_path: Path) -> None:
    lines = [*rows()[:5], *rows()[8:]]
    lines[9] = f"{T0 + 11 * HOUR},42000,42300.5,0.01,42100.5,1"
    (report,) = look_through([write(tmp_path / "BTCUSDT-1h.csv.gz", lines)])
    gap, low = report.faults
    assert gap.message == "3 candles are missing before this one, from 2024-01-01 04:00:00 UTC on"
    assert gap.open_ms == T0 + 4 * HOUR
    assert low.message.startswith("the low (0.01) is 1/4,205,025 of what")
    assert (report.rows, report.counts) == (9, {FaultKind.GAP: 1, FaultKind.LOW: 1})


def test_files_of_several_folders_that_tell_a_candle_differently_contradict_each_other(tmp_path: Path) -> None:
    one = write(tmp_path / "a" / "BTCUSDT-1h.csv.gz", rows())
    other = write(tmp_path / "b" / "BTCUSDT-1h.csv.gz", changed(4, at(4, "42000,42300.5,41900,42100,1")))
    assert found(one, one) == []
    assert found(one, other) == [(other.name, 4, "contradiction")]


def test_funding_has_no_gaps_and_rates_that_are_fractions(tmp_path: Path) -> None:
    lines = ["funding_time_ms,funding_rate", f"{T0},0.0001", f"{T0 + 80 * HOUR},1.5", f"{T0 + 80 * HOUR},1.5"]
    path = write(tmp_path / "BTCUSDT-funding.csv.gz", lines)
    assert found(path) == [
        (path.name, 3, "contradiction"),
        (path.name, 4, "contradiction"),
        (path.name, 4, "duplicate"),
    ]


def test_faults_beyond_a_bound_are_counted_and_not_listed(tmp_path: Path) -> None:
    lines = [HEADER, *(f"{T0 + n * HOUR},1,1,1,1,-1" for n in range(3 * LISTED_MAX))]
    (report,) = look_through([write(tmp_path / "BTCUSDT-1h.csv.gz", lines)])
    assert len(report.faults) == LISTED_MAX
    assert report.counts[FaultKind.CONTRADICTION] == 3 * LISTED_MAX


def test_the_files_that_a_command_would_read_are_looked_at_and_no_others(tmp_path: Path) -> None:
    names = ("BTCUSDT-1h", "mark/BTCUSDT-mark-1h", "funding/BTCUSDT-funding", "intrabar/BTCUSDT-1m-2024-01-01")
    for name in (*names, "native/BTCUSDT-4h", "ETHUSDT-1h", "spot/BTCUSDT-1h", "BTCUSDT-spot-1h", "BTCUSDT-7h"):
        write(tmp_path / f"{name}.csv.gz", rows())
    seen = [str(path.relative_to(tmp_path)) for path in files_in([tmp_path], ["BTCUSDT"])]
    assert sorted(seen) == sorted(f"{name}.csv.gz" for name in (*names, "native/BTCUSDT-4h"))
    assert len(files_in([tmp_path], [])) == len(names) + 2
    with pytest.raises(CandleFileError, match=r"XRPUSDT-1h\.csv\.gz: not found"):
        files_in([tmp_path], ["BTCUSDT", "XRPUSDT"])
    with pytest.raises(CandleFileError, match="no such folder"):
        files_in([tmp_path / "nowhere"], [])


def test_real_candles_have_no_faults() -> None:
    folders = [shipped_folder(), *([SHARED, SHARED / "sample"] if SHARED.is_dir() else [])]
    for folder in folders:
        assert [fault for one in look_through(files_in([folder], [])) for fault in one.faults] == []
