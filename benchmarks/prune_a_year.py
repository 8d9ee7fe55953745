"""A long journal of many symbols, made smaller: ``python -m benchmarks.prune_a_year --symbols 300 --days 365``.

The symbols are the shipped ones under further names; a backtest writes their journal as the running bot does. Then
`db prune --to-size` brings it to the stated size, and `audit verify` reads what is left, and the archive.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exchange.rule_files import RuleKind, encoded
from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder, symbol_rows

ROOT = Path(__file__).parents[1]
NAMES = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
FROM, DAY_S = "2024-05-01", 86_400


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--symbols", type=int, default=20)
    asked.add_argument("--days", type=int, default=180)
    asked.add_argument("--to-size", default="45MB")
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        symbols = market(folder / "data", given.symbols)
        journal, archive = folder / "year.sqlite", folder / "archive.sqlite"
        until = time.strftime("%Y-%m-%d", time.gmtime(_epoch(FROM) + given.days * DAY_S))
        run("backtest", "--data", str(folder / "data"), "--symbols", ",".join(symbols), "--from", FROM, "--to", until,
            "--db", str(journal), "--json")  # fmt: skip
        told("a year of them", journal)
        for table, rows, size in largest(journal):
            print(f"    {table:<20} {rows:>10,} rows {size:>7,.0f} MB")
        run("db", "prune", "--to-size", given.to_size, "--archive", str(archive), "--db", str(journal))
        told(f"pruned to {given.to_size}", journal)
        told("the archive", archive)
        run("audit", "verify", "--db", str(journal))
        run("audit", "verify", "--db", str(archive))


def market(folder: Path, count: int) -> list[str]:
    """Candles, filters and brackets of so many symbols; returns their names."""
    folder.mkdir()
    rows = {str(row["symbol"]): row for row in symbol_rows(shipped_exchange_info())}
    brackets = {row["symbol"]: row for row in json.loads((shipped_folder() / "brackets.json").read_text("utf-8"))}
    made = {f"A{number:03d}USDT": NAMES[number % len(NAMES)] for number in range(count)}
    for name, like in made.items():
        (folder / f"{name}-1h.csv.gz").symlink_to(shipped_folder() / f"{like}-1h.csv.gz")
    info = [{**rows[like], "symbol": name, "pair": name} for name, like in made.items()]
    leverage = [{**brackets[like], "symbol": name} for name, like in made.items()]
    (folder / "symbols.json").write_bytes(encoded(RuleKind.SYMBOLS, info))
    (folder / "brackets.json").write_bytes(encoded(RuleKind.BRACKETS, leverage))
    return list(made)


def largest(path: Path) -> list[tuple[str, int, float]]:
    """The five largest tables: name, rows, MB."""
    import apsw

    found = []
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    for (table,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")):
        (rows,) = next(iter(connection.execute(f'SELECT count(*) FROM "{table}"')))
        size = next(iter(connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name = ?", (table,))))[0] or 0
        found.append((table, rows, size / 1e6))
    connection.close()
    return sorted(found, key=lambda each: -each[2])[:5]


def run(*words: str) -> None:
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "fsm", *words], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "BINANCE_ENV": "sim"},
    )  # fmt: skip
    taken_s = time.monotonic() - began_s
    last = (done.stdout.strip().splitlines() or [""])[-1]
    shown = " ".join(word for word in words if len(word) < 60)
    print(f"{shown}: exit {done.returncode} after {taken_s:.0f} s: {last[:160]}", flush=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def told(what: str, path: Path) -> None:
    print(f"  {what}: {path.stat().st_size / 1e6:,.0f} MB", flush=True)


def _epoch(day: str) -> int:
    import calendar

    return calendar.timegm(time.strptime(day, "%Y-%m-%d"))


if __name__ == "__main__":
    main()
