"""Reasons counted over periods that begin and end anywhere inside of stretches of equal decisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from store import queries
from store.database import open_store
from store.queries.reasons import reason_counts
from tests.recorded import recorded

HOUR = 3_600_000
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
