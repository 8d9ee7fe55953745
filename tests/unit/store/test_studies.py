"""A study is kept in one file, and the ledger counts a variant once, on whatever of its data it was tried."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import DatabaseDamaged, DatabaseMissing, StoreError
from store.studies import NotAStudy, TrialRow, Tried, ledger, study_store

DAY_MS = 86_400_000


def on(*symbols: str, days: tuple[int, int] = (0, 100)) -> Tried:
    return Tried(symbols=symbols, timeframe="1h", from_ms=days[0] * DAY_MS, to_ms=days[1] * DAY_MS)


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    trials = [TrialRow(0, -1, {}), TrialRow(1, 0, {"a": 1, "b": 2.5, "c": "one"})]
    with study_store(tmp_path / "s.sqlite", new=True) as store:
        store.remember({"plan": {"x": 1}})
        store.add(trials)
        store.put(1, {"whole": b"w", "train-1": b"t"})
        store.refuse(0, "no")
    with study_store(tmp_path / "s.sqlite", reading=True) as store:
        assert store.fact("plan") == {"x": 1}
        assert store.fact("other") is None
        assert store.trials() == [TrialRow(0, -1, {}, "no"), trials[1]]
        assert store.done() == {(1, "whole"), (1, "train-1")}
        assert [*store.outcomes("whole")] == [(1, b"w")]
        assert (store.outcome(1, "train-1"), store.outcome(2, "whole")) == (b"t", None)
    with pytest.raises(StoreError, match="readonly"), study_store(tmp_path / "s.sqlite", reading=True) as store:
        store.put(1, {"whole": b"changed"})


def test_a_variant_that_was_kept_is_there_when_its_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from store.studies import study_store\n"
        "with study_store(Path(sys.argv[1]), new=True) as store:\n"
        "    store.put(1, {'whole': b'kept'})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.sqlite")], check=False, timeout=60)
    with study_store(tmp_path / "s.sqlite", reading=True) as store:
        assert store.outcome(1, "whole") == b"kept"


def test_what_is_no_study_is_not_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing), study_store(tmp_path / "none.sqlite", reading=True):
        pass
    (tmp_path / "text.sqlite").write_text("words " * 1_000)
    with pytest.raises(DatabaseDamaged), study_store(tmp_path / "text.sqlite", reading=True):
        pass
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE t(x)")
    with pytest.raises(NotAStudy), study_store(tmp_path / "other.sqlite", new=True):
        pass


def test_the_ledger_counts_what_was_tried_on_some_of_the_same_data(tmp_path: Path) -> None:
    with ledger(tmp_path / "tried") as found:
        found.note([("r1", "c"), ("r2", "c")], on("BTCUSDT", "ETHUSDT"))
        found.note([("r2", "c"), ("r3", "c")], on("BTCUSDT"))
        found.note([("r4", "c")], on("SOLUSDT"))
        found.note([("r5", "c")], on("BTCUSDT", days=(100, 200)))
        found.note([("r1", "d")], on("ETHUSDT"))
    with ledger(tmp_path / "tried") as found:
        assert found.count(on("BTCUSDT")) == 3
        assert found.count(on("ETHUSDT")) == 3
        assert found.count(on("BTCUSDT", days=(50, 150))) == 4
        assert found.count(on("BTCUSDT", "SOLUSDT")) == 4
        assert found.count(on("BTCUSDT", days=(200, 300))) == 0
