"""`data check`: every fault with file, line and kind; exit 4 where there is one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

HEADER = "open_time_ms,open,high,low,close,volume\n"
T0 = 1_704_067_200_000
HOUR = 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten hours of two symbols, of which one has a hole before line 6 and a low of 0.01 in line 8."""
    rows = [f"{T0 + n * HOUR},42000,42300,41900,42100,1\n" for n in range(11)]
    (tmp_path / "data").mkdir()
    for symbol, found in (("ETHUSDT", rows), ("BTCUSDT", [*rows[:4], *rows[5:]])):
        text = HEADER + "".join(found)
        if symbol == "BTCUSDT":
            lines = text.splitlines(keepends=True)
            lines[7] = lines[7].replace("41900", "0.01")
            text = "".join(lines)
        (tmp_path / "data" / f"{symbol}-1h.csv.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path / "data"


def test_the_shipped_candles_are_fine(fsm) -> None:
    ended = fsm("data", "check")
    assert (ended.code, ended.stderr) == (0, "")
    assert "12 files, 111,186 rows: fine" in ended.stdout
    assert fsm("data", "check", "--json", "--symbols", "BTCUSDT").document["faults"] == []


def test_the_price_steps_of_the_time_are_told(fsm) -> None:
    ended = fsm("data", "check")
    assert "price step of SOLUSDT 0.001 (as its candles show), 0.01 from 2025-05-02 07:00 on" in ended.stdout
    assert "price step of BTCUSDT" not in ended.stdout
    assert fsm("data", "check", "--json", "--symbols", "BTCUSDT,SOLUSDT").document["ticks"] == {
        "BTCUSDT": [{"from": "2024-01-01T00:00:00Z", "tick": "0.1", "known_by": "later rules and candles"}],
        "SOLUSDT": [
            {"from": "2024-01-01T00:00:00Z", "tick": "0.001", "known_by": "candles"},
            {"from": "2025-05-02T07:00:00Z", "tick": "0.01", "known_by": "later rules and candles"},
        ],
    }


def test_faults_are_named_and_end_with_4(fsm, folder: Path) -> None:
    ended = fsm("data", "check", "--data", folder)
    path = folder / "BTCUSDT-1h.csv.gz"
    assert ended.code == 4
    assert f"{path}:6  gap   1 candle is missing before this one, from 2024-01-01 04:00:00 UTC on" in ended.stdout
    assert f"{path}:8  low   the low (0.01) is 1/4,205,000 of what the candles beside it show" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "2 files, 21 rows: 1 gap, 1 low"
    assert fsm("data", "check", "--data", folder, "--symbols", "ETHUSDT").code == 0


def test_the_document_has_file_line_and_kind(fsm, folder: Path) -> None:
    ended = fsm("data", "check", "--data", folder, "--json")
    assert ended.code == 4
    document = ended.document
    assert (document["files"], document["rows"], document["unlisted"]) == (2, 21, 0)
    assert document["counts"] == {"gap": 1, "low": 1}
    gap, low = document["faults"]
    assert (gap["file"], gap["line"], gap["kind"]) == (str(folder / "BTCUSDT-1h.csv.gz"), 6, "gap")
    assert gap["open_time_ms"] == T0 + 4 * HOUR
    assert low["kind"] == "low"


def test_a_symbol_without_a_file_and_a_folder_that_is_none_are_wrong_usage(fsm, folder: Path) -> None:
    ended = fsm("data", "check", "--data", folder, "--symbols", "BTCUSDT,XRPUSDT")
    assert (ended.code, "XRPUSDT-1h.csv.gz: not found in" in ended.stderr) == (2, True)
    assert fsm("data", "check", "--data", folder / "nowhere").code == 2


def test_one_file_is_one_file(fsm, folder: Path) -> None:
    ended = fsm("data", "check", "--data", folder, "--symbols", "ETHUSDT")
    assert ended.stdout.splitlines()[-1] == "1 file, 11 rows: fine"
