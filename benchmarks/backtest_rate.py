"""Measures the backtest: candles a second of the whole process and of the run alone, and peak memory, by symbols.

Candles are those of the entry timeframe that are decided on, summed over the symbols. Uses the long candle files where
they are at hand (pass their folder), else the shipped ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exchange.sim.playback.symbols import shipped_folder

LONG = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT", "SOLUSDT", "BNBUSDT", "DOGEUSDT", "LINKUSDT", "TRXUSDT")
SHIPPED = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "DOGEUSDT", "SOLUSDT")
ROOT = Path(__file__).parents[1]


def measure(data: Path, symbols: tuple[str, ...], *, journal: bool) -> dict[str, float]:
    """One backtest in a process of its own; memory as the kernel accounts for it."""
    with tempfile.TemporaryDirectory() as scratch:
        keep = ["--db", str(Path(scratch) / "out.sqlite")] if journal else []
        command = [
            sys.executable,
            "-m",
            "fsm",
            "backtest",
            "--data",
            str(data),
            "--symbols",
            ",".join(symbols),
            "--json",
        ]
        started = time.perf_counter()
        process = subprocess.Popen([*command, *keep], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise SystemExit(f"the backtest failed with exit code {process.returncode}")
    found = json.loads(output)
    return {
        "candles": found["candles"],
        "trades": found["trades"],
        "whole_per_s": found["candles"] / seconds,
        "run_per_s": found["candles"] / found["seconds"]["run"],
        "peak_mb": usage.ru_maxrss / 1024,
        "seconds": seconds,
    }


def main() -> None:
    """Print one line per number of symbols."""
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data" / "klines"
    data, symbols = (given, LONG) if given.is_dir() else (shipped_folder(), SHIPPED)
    print(
        f"{'symbols':>7} {'journal':>7} {'candles':>9} {'trades':>6} {'whole/s':>10} {'run/s':>10} {'MB':>6} {'s':>6}"
    )
    for count in (1, 4, len(symbols)):
        for journal in (False, True):
            row = measure(data, symbols[:count], journal=journal)
            print(
                f"{count:>7} {'kept' if journal else '-':>7} {row['candles']:>9,.0f} {row['trades']:>6,.0f} "
                f"{row['whole_per_s']:>10,.0f} {row['run_per_s']:>10,.0f} "
                f"{row['peak_mb']:>6,.0f} {row['seconds']:>6.1f}"
            )


if __name__ == "__main__":
    main()
