"""Measures the store beside polars: 1m candles of three years and ten symbols, imported, opened, and read.

``python -m benchmarks.candle_store --polars PYTHON``: PYTHON is an interpreter of an environment of its own that has
polars and numpy, which this project does not need; without it ours is measured alone. Each step is a process of its
own, so that peaks of memory are its own. Archives are monthly zip files of twelve columns, as Binance publishes them;
the symbols are copies of one random walk, as only numbers and their count matter here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.archives import KLINES_HEADER, packed

ROOT = Path(__file__).parents[1]
MINUTE_MS, START_MS, DAYS = 60_000, 1_672_531_200_000, 1_096  # 2023-01-01, three years

MEASURED = """
import json, resource, sys, time
began = time.perf_counter()
{body}
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"opened_s": opened_s, "read_s": read_s, "peak_mb": peak_mb, "rows": rows, "before_mb": before_mb}}))
"""
OURS = """
from pathlib import Path
from exchange.candle_files import CandleFolders
from indicators.candle import Timeframe
before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
began = time.perf_counter()
folders = CandleFolders([Path(sys.argv[1])])
found = [folders.candles(symbol, Timeframe.M1) for symbol in folders.symbols(Timeframe.M1)]
opened_s = time.perf_counter() - began
total = sum(float(getattr(c, n).sum()) for c in found for n in ("open", "high", "low", "close", "volume"))
read_s, rows = time.perf_counter() - began, sum(c.length for c in found)
"""
THEIRS = """
from pathlib import Path
import polars
before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
began = time.perf_counter()
found = [polars.read_parquet(path) for path in sorted(Path(sys.argv[1]).glob("*.parquet"))]
opened_s = time.perf_counter() - began
total = sum(float(c[n].sum()) for c in found for n in ("open", "high", "low", "close", "volume"))
read_s, rows = time.perf_counter() - began, sum(c.height for c in found)
"""
CONVERTED = """
import sys
from pathlib import Path
import numpy, polars
for path in Path(sys.argv[1]).glob("columns/*.npy"):
    record = numpy.load(path, mmap_mode="r")
    frame = polars.DataFrame({name: numpy.asarray(record[name]) for name in record.dtype.names})
    frame.write_parquet(Path(sys.argv[2]) / (path.name.split("-")[0] + ".parquet"))
"""


def archives(folder: Path, days: int, symbols: int) -> None:
    """Three years of one walk by months; the other symbols are links to it."""
    count = days * 1_440
    steps = np.random.default_rng(1).normal(0, 0.0004, count)
    close = np.round(30_000 * np.exp(np.cumsum(steps)), 1)
    opens = np.concatenate(([30_000.0], close[:-1]))
    high, low = np.maximum(opens, close) + 3, np.minimum(opens, close) - 3
    times = START_MS + np.arange(count) * MINUTE_MS
    months = times.astype("datetime64[ms]").astype("datetime64[M]")
    for month in np.unique(months):
        here = np.flatnonzero(months == month)
        lines = [
            f"{times[n]},{opens[n]:.2f},{high[n]:.2f},{low[n]:.2f},{close[n]:.2f},{n % 997}.{n % 1000:03d},"
            f"{times[n] + MINUTE_MS - 1},1000000.00000,{n % 5000},50.000,1500000.00000,0"
            for n in here.tolist()
        ]
        first = packed(folder / f"S0USDT-1m-{month}.zip", "\n".join([KLINES_HEADER, *lines]) + "\n")
        for symbol in range(1, symbols):
            (folder / f"S{symbol}USDT-1m-{month}.zip").symlink_to(first)


def measured(python: str, body: str, *arguments: Path) -> dict[str, float]:
    command = [python, "-c", MEASURED.format(body=body), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def imported(store: Path, folder: Path) -> dict[str, float]:
    body = (
        "import subprocess\n"
        "subprocess.run([sys.executable, '-m', 'fsm', 'data', 'import', sys.argv[1], '--data', sys.argv[2]],"
        " check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(json.dumps({'s': time.perf_counter() - began,"
        " 'peak_mb': resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}))"
    )
    code = f"import json, resource, sys, time\nbegan = time.perf_counter()\n{body}"
    command = [sys.executable, "-c", code, str(folder), str(store)]
    found: dict[str, float] = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    return found


def shown(name: str, found: dict[str, float]) -> str:
    own_mb = found["peak_mb"] - found["before_mb"]
    return (
        f"{name:<28} open {found['opened_s'] * 1000:9.1f} ms   open and read all {found['read_s'] * 1000:9.1f} ms   "
        f"memory {own_mb:7.0f} MB   {found['rows']:,.0f} rows"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polars", metavar="PYTHON", help="interpreter with polars and numpy")
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--days", type=int, default=DAYS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, store, frames = (Path(scratch) / name for name in ("archives", "store", "frames"))
        for path in (folder, frames):
            path.mkdir()
        began = time.perf_counter()
        archives(folder, given.days, given.symbols)
        print(f"archives made in {time.perf_counter() - began:.0f} s")
        found = imported(store, folder)
        print(f"import of {given.symbols} symbols, {given.days} days: {found['s']:.1f} s, {found['peak_mb']:.0f} MB")
        ours = measured(sys.executable, OURS, store)
        print(shown("store", ours))
        if given.polars:
            subprocess.run([given.polars, "-c", CONVERTED, str(store), str(frames)], check=True)
            theirs = measured(given.polars, THEIRS, frames)
            print(shown("polars, Parquet", theirs))
            own = [found["peak_mb"] - found["before_mb"] for found in (ours, theirs)]
            print(f"opening {ours['opened_s'] / theirs['opened_s']:.3f} of polars', memory {own[0] / own[1]:.2f} of it")


if __name__ == "__main__":
    main()
