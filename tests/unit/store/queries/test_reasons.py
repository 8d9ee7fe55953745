"""Reasons counted over periods that begin and end anywhere inside of stretches of equal decisions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.queries.reasons import reason_counts
from tests.recorded import recorded

HOUR = 3_600_000
LONG = 3_000
FROM_MS, TO_MS = 1_722_470_400_000, 1_727_740_800_000  # 2024-08-01 to 2024-10-01


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("reasons") / "backtest.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


def test_every_candle_of_a_period_is_counted_once_wherever_it_is_cut(journal: Path) -> None:
    with open_store(journal, mode="read") as store:
        for hours, length in ((0, 1), (17, 1), (100, 7), (333, 50), (900, 400)):
            since_ms = FROM_MS + hours * HOUR
            found = reason_counts(store, symbol="BTCUSDT", since_ms=since_ms, until_ms=since_ms + length * HOUR)
            assert sum(row.candles for row in found) == length, (hours, length)


def test_each_hour_by_itself_is_what_was_decided_then(journal: Path) -> None:
    with open_store(journal, mode="read") as store:
        for hours in range(0, 300, 7):
            at_ms = FROM_MS + hours * HOUR
            (found,) = reason_counts(store, symbol="BTCUSDT", since_ms=at_ms, until_ms=at_ms + HOUR)
            decided = queries.decision_at(store, "BTCUSDT", at_ms)
            assert decided is not None
            assert (found.outcome, found.reason, found.last_candle_ms) == (decided.outcome, decided.reason, at_ms)


def test_without_bounds_it_is_all_of_it(journal: Path) -> None:
    with open_store(journal, mode="read") as store:
        found = reason_counts(store)
        stored = sum(row.count for row in queries.each_decision(store))
    assert sum(row.candles for row in found) == stored
    assert [row.candles for row in found] == sorted((row.candles for row in found), reverse=True)


@pytest.mark.parametrize(
    "ask", [queries.latest_decisions, lambda store: reason_counts(store, since_ms=TO_MS + (LONG - 48) * HOUR)]
)
def test_a_long_journal_is_not_read_through_for_what_is_recent(
    journal: Path, tmp_path: Path, ask: Callable[[Store], object]
) -> None:
    """With 700,000 decisions the reasons of a month had taken 1.6 s, and the newest of each symbol 0.3 s."""
    steps = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal steps
        steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    path = Path(shutil.copy(journal, tmp_path / "long.sqlite"))
    with open_store(path, mode="write", at_ms=TO_MS) as store:
        made = queries.decisions(store, limit=1)[0]
        hours = range(TO_MS, TO_MS + LONG * HOUR, HOUR)
        rows = [
            replace(made, id=0, at_ms=at_ms, candle_ms=at_ms, last_ms=None, count=1, reason=f"UNLIKE_{number % 2}")
            for number, at_ms in enumerate(hours)
        ]
        Journal(store, run_id="long1").commit(Batch(decisions=rows))
        store.connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)
        ask(store)
        store.connection.trace_v2(0, None)
    assert 0 < steps < LONG
