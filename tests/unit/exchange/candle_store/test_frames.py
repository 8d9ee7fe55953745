"""Feather and Parquet, as freqtrade and pyarrow write them, give the candles that they hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from exchange.candle_store.frames import write_frame
from exchange.candle_store.importing import joined, read_files
from exchange.candle_store.recognising import Named
from exchange.candle_store.series import candles_of, funding_of
from indicators.candle import Timeframe
from tests.archives import recorded

ROOT = Path(__file__).parents[4]
BTC = candles_of("BTCUSDT", Timeframe.H1)
ROWS = np.array([[float(cell) for cell in row] for row in recorded("BTCUSDT-1h")[:500]])


def table(unit: str = "ms", *, with_zone: bool = True) -> pa.Table:
    """As freqtrade writes it: a time with a zone, and five numbers."""
    times = pa.array(ROWS[:, 0].astype(np.int64)).cast(pa.timestamp("ms", tz="UTC" if with_zone else None))
    columns = [times.cast(pa.timestamp(unit, tz=times.type.tz)), *(pa.array(ROWS[:, n]) for n in range(1, 6))]
    return pa.table(columns, names=["date", "open", "high", "low", "close", "volume"])


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("with_zone", [True, False])
@pytest.mark.parametrize("name", ["BTC_USDT_USDT-1h-futures.feather", "BTCUSDT-1h.parquet"])
def test_candles_come_back(tmp_path: Path, unit: str, with_zone: bool, name: str) -> None:
    path = tmp_path / name
    write = feather.write_feather if name.endswith("feather") else parquet.write_table
    write(table(unit, with_zone=with_zone), path)
    read = read_files([path], Named())
    assert read.problems == []
    assert np.array_equal(joined(BTC, read.tables[BTC]).rows, ROWS)


def test_freqtrades_funding_has_its_rates_where_the_open_is(tmp_path: Path) -> None:
    path = tmp_path / "BTC_USDT_USDT-1h-funding_rate.feather"
    rates = pa.table(
        [table().column("date"), pa.array(np.full(500, 0.0001)), pa.array(np.zeros(500))], ["date", "open", "close"]
    )
    feather.write_feather(rates, path)
    found = joined(funding_of("BTCUSDT"), read_files([path], Named()).tables[funding_of("BTCUSDT")]).rows
    assert found[:, 1].tolist() == [0.0001] * 500


@pytest.mark.parametrize("kind", ["feather", "parquet", "json"])
def test_what_is_written_is_read_again(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"BTCUSDT-1h.{kind}"
    write_frame(path, BTC, ROWS)
    assert np.array_equal(joined(BTC, read_files([path], Named()).tables[BTC]).rows, ROWS)


def test_funding_in_json_has_a_time_and_a_rate_and_no_more(tmp_path: Path) -> None:
    """freqtrade 2026.9 finds nothing in a file with a further column."""
    path, hour_8 = tmp_path / "BTCUSDT-funding.json", 28_800_000
    write_frame(path, funding_of("BTCUSDT"), np.array([[0.0, 0.0001, 60_000.0], [hour_8, -0.0002, 61_000.0]]))
    assert json.loads(path.read_bytes()) == [[0, 0.0001], [hour_8, -0.0002]]


@pytest.mark.parametrize("content", [b"", b"nothing", b"ARROW1"])
@pytest.mark.parametrize("kind", ["feather", "parquet"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / f"BTCUSDT-1h.{kind}"
    path.write_bytes(content)
    (problem,) = read_files([path], Named()).problems
    assert problem.startswith(f"{path}:1: cannot be read as {kind}")
    assert problem.endswith("fetch the file again")


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1h.parquet"
    parquet.write_table(table().drop_columns(["close"]), path)
    (problem,) = read_files([path], Named()).problems
    assert problem.startswith(f"{path}:1: no column close among date, open, high, low, volume; name it close")


def test_without_pyarrow_it_is_said_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1h.feather"
    path.write_bytes(b"x")
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from exchange.candle_store.importing import read_files\n"
        "from exchange.candle_store.recognising import Named\n"
        f"print(read_files([Path({str(path)!r})], Named()).problems[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{path}:1: needs pyarrow: install the extra with  pip install")
