"""`data import`, `list` and `remove`, and backtests on what they make."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from exchange.sim.playback.symbols import shipped_folder
from tests.archives import cells_of, klines, month_of, packed, published, recorded

SPAN = ("--from", "2024-10-01", "--to", "2024-11-15")


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    return published(tmp_path / "fetched", "BTCUSDT", ["2024-01", "2024-02"], ["2024-02-29", "2024-03-01"])


def test_archives_become_a_store_that_is_listed_and_fine(fsm, archives: Path) -> None:
    ended = fsm("data", "import", archives)
    assert (ended.code, "BTCUSDT-1h  1,464  1,464  2024-01-01 00:00  2024-03-01 23:00        0" in ended.stdout) == (
        0,
        True,
    )
    (series,) = fsm("data", "list", "--json").document["series"]
    assert (series["series"], series["rows"], series["missing"]) == ("BTCUSDT-1h", 1464, 0)
    assert Path(series["file"]).is_relative_to("var/data/columns")
    again = fsm("data", "import", archives, "--json").document["series"][0]
    assert (again["rows_new"], again["rows_told_twice"]) == (0, 24)
    assert fsm("data", "check").code == 0


def test_rows_that_cannot_be_true_are_told_now_and_by_check(fsm, tmp_path: Path) -> None:
    rows = [row for row in recorded("BTCUSDT-1h") if month_of(row) == "2024-01"]
    text = klines(rows, header=True).splitlines(keepends=True)
    text[10] = cells_of(text[10], high="1")
    path = tmp_path / "BTCUSDT-1h-2024-01.csv"
    path.write_text("".join(text))
    ended = fsm("data", "import", path)
    assert ended.code == 0
    said = f"{path}:11: contradiction: the high is below the open or the close; it counts as missing"
    assert said in ended.stdout
    checked = fsm("data", "check", "--json")
    assert checked.code == 4
    faults = {
        (fault["kind"], Path(fault["file"]).name.partition(".")[0], fault["line"])
        for fault in checked.document["faults"]
    }
    assert faults == {("contradiction", "BTCUSDT-1h-2024-01", 11), ("gap", "BTCUSDT-1h", 10)}


def test_one_broken_file_is_named_and_the_others_are_taken(fsm, archives: Path) -> None:
    broken = archives / "ETHUSDT-1h-2024-01.csv"
    broken.write_text("open_time,open\n1,2\n")
    ended = fsm("data", "import", archives)
    assert ended.code == 2
    assert f"error: {broken}:1: no column is called high" in ended.stderr
    assert "BTCUSDT-1h" in ended.stdout
    assert fsm("data", "import", archives, "--json").document["problems"] != []


def test_a_file_that_contradicts_the_store_is_refused_or_replaces(fsm, tmp_path: Path, archives: Path) -> None:
    fsm("data", "import", archives)
    rows = [row for row in recorded("BTCUSDT-1h") if month_of(row) == "2024-01"]
    text = klines(rows, header=True).splitlines(keepends=True)
    text[3] = cells_of(text[3], volume="1")
    other = packed(tmp_path / "other" / "BTCUSDT-1h-2024-01.zip", "".join(text))
    refused = fsm("data", "import", other)
    assert refused.code == 2
    assert (
        f"{other}!BTCUSDT-1h-2024-01.csv:4: BTCUSDT-1h has another candle of 2024-01-01 02:00:00 UTC already, in row 3"
        in refused.stderr
    )
    assert "add --replace if the file is right" in refused.stderr
    assert fsm("data", "import", other, "--replace", "--json").document["series"][0]["rows_new"] == 1


def test_a_backtest_on_a_store_is_that_on_the_files(fsm, tmp_path: Path) -> None:
    """The default store is read without being named; the journal is the same, byte for byte."""
    wanted = fsm("backtest", "--data", shipped_folder(), "--symbols", "BTCUSDT,SOLUSDT", *SPAN, "--json").document
    assert fsm("data", "import", shipped_folder()).code == 0
    found = fsm("backtest", "--symbols", "BTCUSDT,SOLUSDT", *SPAN, "--json").document
    del wanted["seconds"], found["seconds"]
    assert found == wanted
    assert found["trades"] > 0


def test_symbols_that_the_store_does_not_have_come_from_the_shipped_candles(fsm, archives: Path) -> None:
    fsm("data", "import", archives)
    found = fsm("backtest", "--symbols", "ETHUSDT", *SPAN, "--json")
    assert found.code == 0
    own = fsm("backtest", "--symbols", "BTCUSDT", *SPAN, "--json")
    assert own.code == 2
    assert "the data covers 2024-01-01" in own.document["error"]["message"]


def test_a_range_that_touches_no_hole_does_not_care_about_one(fsm, tmp_path: Path) -> None:
    text = gzip.decompress((shipped_folder() / "BTCUSDT-1h.csv.gz").read_bytes()).decode().splitlines(keepends=True)
    whole, holed = tmp_path / "whole", tmp_path / "holed"
    for folder, lines in ((whole, text), (holed, [*text[:-200], *text[-150:]])):
        folder.mkdir()
        (folder / "BTCUSDT-1h.csv").write_text("".join(lines))
        assert fsm("data", "import", folder, "--data", f"{folder}-store").code == 0
    found = [
        fsm("backtest", "--data", f"{folder}-store", "--symbols", "BTCUSDT", *SPAN, "--json").document
        for folder in (whole, holed)
    ]
    for name in ("trades", "net_pnl_usdt", "fees_usdt", "candles", "per_symbol", "sharpe", "transitions"):
        assert found[0][name] == found[1][name]
    assert found[1]["candle_holes"] == []
    touched = fsm(
        "backtest", "--data", f"{holed}-store", "--symbols", "BTCUSDT", "--from", "2025-06-20", "--json"
    ).document
    assert {hole["candles"] for hole in touched["candle_holes"]} == {50, 12, 1}


def test_a_series_can_be_taken_out(fsm, archives: Path) -> None:
    fsm("data", "import", archives)
    assert fsm("data", "remove", "XRPUSDT-1h").code == 2
    assert fsm("data", "remove", "BTCUSDT-1h").code == 0
    assert "nothing yet" in fsm("data", "list").stdout
    assert list(Path("var/data/columns").iterdir()) == []


def test_the_numbers_are_those_of_the_archive(fsm, archives: Path) -> None:
    fsm("data", "import", archives)
    (series,) = fsm("data", "list", "--json").document["series"]
    columns = np.load(series["file"], mmap_mode="r")
    rows = [row for row in recorded("BTCUSDT-1h") if month_of(row) in ("2024-01", "2024-02")]
    assert columns["close"][: len(rows)].tolist() == [float(row[4]) for row in rows]
