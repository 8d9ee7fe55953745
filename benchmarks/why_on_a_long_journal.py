"""Measures `why` on a long journal: a decision, the newest or any other, all symbols, how often each reason stood.

The journal is a backtest's, made longer with its own steps and decisions; ROWS says with how many of each (1,000,000
takes some minutes to write). In this process, and as the command from its start to its end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from msgspec.structs import replace

from benchmarks.api_rate import journal_of, percentiles
from fsm.cli.why import closest
from fsm.journal.explain import explain
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.queries.reasons import reason_counts
from store.rows import DecisionRow

HOUR_MS = 3_600_000
MONTH_MS = 30 * 24 * HOUR_MS
ASKED = 300
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def longer(path: Path, rows: int) -> None:
    """Decisions after the recorded ones, hour by hour, of both symbols in turn."""
    with open_store(path, mode="write", at_ms=1) as store:
        journal, made = Journal(store, run_id="bench002"), list(queries.each_decision(store))
        last_ms = max(row.last_ms or row.candle_ms for row in made)
        for start in range(0, rows, 5_000):
            journal.commit(Batch(decisions=[_later(made, n, last_ms) for n in range(start, min(start + 5_000, rows))]))


def _later(made: list[DecisionRow], number: int, last_ms: int) -> DecisionRow:
    row = made[number % len(made)]
    candle_ms = last_ms + (number // len(SYMBOLS) + 1) * HOUR_MS
    symbol = SYMBOLS[number % len(SYMBOLS)]
    return replace(
        row, id=0, at_ms=candle_ms + HOUR_MS, symbol=symbol, candle_ms=candle_ms, last_ms=None, count=1, run_id="",
        prev_hash="", hash="",
    )  # fmt: skip


def taken(work: Callable[[], object], times: int) -> dict[str, float]:
    seconds = []
    for _ in range(times):
        began_s = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began_s)
    return percentiles(seconds)


def measured(store: Store) -> dict[str, dict[str, float]]:
    chance = Random(1)
    first_ms, last_ms = (
        store.connection.execute(f"SELECT {which}(candle_ms) FROM decisions").get for which in ("MIN", "MAX")
    )

    def at_any_time() -> object:
        return explain(store, chance.choice(SYMBOLS), chance.randrange(first_ms + 30 * HOUR_MS, last_ms))

    return {
        "newest": taken(lambda: explain(store, "BTCUSDT"), ASKED),
        "at_any_time": taken(at_any_time, ASKED),
        "all_symbols": taken(lambda: closest(store), ASKED),
        "reasons_of_a_month": taken(lambda: reason_counts(store, symbol="BTCUSDT", since_ms=last_ms - MONTH_MS), ASKED),
        "reasons_of_all_time": taken(lambda: reason_counts(store), 5),
    }


def command(path: Path, *args: str) -> dict[str, float]:
    line = [sys.executable, "-m", "fsm", "why", *args, "--json", "--db", str(path)]
    return taken(lambda: subprocess.run(line, check=True, stdout=subprocess.DEVNULL), 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "long.sqlite"
        journal_of(path, options.rows)
        longer(path, options.rows)
        with open_store(path, mode="read") as store:
            counts = {
                table: store.connection.execute(f"SELECT COUNT(*) FROM {table}").get
                for table in ("transitions", "decisions")
            }
            asked = measured(store)
        commands = {"command_newest": command(path, "BTCUSDT"), "command_all_symbols": command(path)}
    print(json.dumps({**counts, **asked, **commands}, indent=2))


if __name__ == "__main__":
    main()
