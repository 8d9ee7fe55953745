"""Builds archives as Binance publishes them, out of recorded candles: names, columns, headers, units and packing.

Layout as of https://data.binance.vision, checked 2026-11: klines and markPriceKlines have twelve columns, older files
without a header; spot times are in microseconds since 2025; funding archives have three columns.
"""

from __future__ import annotations

import gzip
import hashlib
import time
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from exchange.sim.playback.symbols import shipped_folder

KLINES_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def recorded(name: str) -> list[list[str]]:
    """The rows of a shipped file, such as BTCUSDT-1h, as they are written there."""
    text = gzip.decompress((shipped_folder() / f"{name}.csv.gz").read_bytes()).decode()
    return [line.split(",") for line in text.splitlines()[1:]]


def month_of(row: Sequence[str]) -> str:
    return time.strftime("%Y-%m", time.gmtime(int(row[0]) / 1000))


def day_of(row: Sequence[str]) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(int(row[0]) / 1000))


def kline(row: Sequence[str], *, step_ms: int = HOUR_MS, in_us: bool = False) -> str:
    """One line of twelve columns; turnover, trades and takers are made up."""
    opened, volume = int(row[0]), Decimal(row[5])
    times = (opened * 1000, (opened + step_ms) * 1000 - 1) if in_us else (opened, opened + step_ms - 1)
    turnover, trades = volume * Decimal(row[4]), 3600 if volume == 0 else int(volume) + 1
    return f"{times[0]},{','.join(row[1:6])},{times[1]},{turnover:.5f},{trades},{volume / 2},{turnover / 2:.5f},0"


def klines(rows: Sequence[Sequence[str]], *, header: bool, in_us: bool = False, step_ms: int = HOUR_MS) -> str:
    lines = [kline(row, in_us=in_us, step_ms=step_ms) for row in rows]
    return "\n".join([KLINES_HEADER, *lines] if header else lines) + "\n"


def packed(path: Path, text: str, *, check_sum: bool = False) -> Path:
    """``NAME.zip`` with ``NAME.csv`` in it, and the file with its SHA-256 beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{path.stem}.csv", text)
    if check_sum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path


def published(root: Path, symbol: str, months: Sequence[str], days: Sequence[str] = ()) -> Path:
    """A folder of archives of hourly candles as fetched from there: by months and days, with and without a header."""
    rows = recorded(f"{symbol}-1h")
    for number, month in enumerate(months):
        text = klines([row for row in rows if month_of(row) == month], header=number % 2 == 0)
        place = root / "data/futures/um/monthly/klines" / symbol / "1h"
        packed(place / f"{symbol}-1h-{month}.zip", text, check_sum=True)
    for day in days:
        text = klines([row for row in rows if day_of(row) == day], header=True)
        place = root / "data/futures/um/daily/klines" / symbol / "1h"
        packed(place / f"{symbol}-1h-{day}.zip", text)
    return root


def cells_of(line: str, **values: str) -> str:
    """A line of an archive with other values in some of its columns."""
    row = dict(zip(KLINES_HEADER.split(","), line.rstrip("\n").split(","), strict=True))
    return ",".join((row | values).values()) + "\n"
