"""A database that is built in one go is the same as one that was written row by row, or it is not there."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from store.batch import Batch
from store.building import built_store
from store.database import open_store
from store.errors import StoreError
from store.journal import Journal
from store.migrations.schema import check
from store.rows import CandleColumns, CandleRow
from store.verify import verify


def fill(journal: Journal, story: Any) -> None:
    for batch in story.day(trades=4):
        journal.commit(batch)
    journal.close_stretches()


def candles(story: Any, count: int) -> list[CandleRow]:
    return [story.candle("BTCUSDT", story.start + n * story.hour, 42_000 + n / 7) for n in range(count)]


def columns(rows: list[CandleRow]) -> CandleColumns:
    return CandleColumns(
        symbol=rows[0].symbol,
        timeframe=rows[0].timeframe,
        open_time_ms=[row.open_time_ms for row in rows],
        open=[row.open for row in rows],
        high=[row.high for row in rows],
        low=[row.low for row in rows],
        close=[row.close for row in rows],
        volume=[row.volume for row in rows],
    )


def test_what_was_built_is_what_would_have_been_written_with_schema_and_seals(
    tmp_path: Path, story: Any, dump: Any
) -> None:
    written, built = tmp_path / "written", tmp_path / "built"
    with open_store(written, mode="write", at_ms=1) as store, Journal(store, "run-1") as journal:
        fill(journal, story)
        journal.commit(Batch(candles=candles(story, 2_000)))
    with built_store(built, at_ms=1) as store, Journal(store, "run-1", flush_every=7) as journal:
        fill(journal, story)
        journal.commit(Batch(series=[columns(candles(story, 2_000))]))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["built", "written"]
    assert dump(built) == dump(written)
    assert check(built).differences == ()
    assert verify(built).problems == ()
    assert built.stat().st_mode & 0o777 == 0o600


def test_what_was_built_goes_on_like_any_other_and_lets_nobody_change_its_past(
    tmp_path: Path, story: Any, dump: Any
) -> None:
    path = tmp_path / "built"
    with built_store(path, at_ms=1) as store, Journal(store, "run-1", flush_every=7) as journal:
        fill(journal, story)
    with open_store(path, mode="write") as store:
        assert store.connection.pragma("journal_mode") == "wal"
        Journal(store, "run-2").commit(Batch(system_events=[story.event(story.start, "START")]))
        with pytest.raises(StoreError, match="append-only"), store.transaction() as connection:
            connection.execute("DELETE FROM transitions")
    assert verify(path).problems == ()


def test_candles_by_columns_leave_those_that_are_there_as_they_were_used(tmp_path: Path, story: Any, dump: Any) -> None:
    ends = []
    rows = candles(story, 1_500)
    for name, batch in (("rows", Batch(candles=rows)), ("columns", Batch(series=[columns(rows)]))):
        with open_store(tmp_path / name, mode="write", at_ms=1) as store:
            journal = Journal(store, "run-1")
            journal.commit(Batch(candles=[story.candle("BTCUSDT", story.start + 800 * story.hour, 1.5)]))
            journal.commit(batch)
        assert verify(tmp_path / name).problems == ()
        ends.append(dump(tmp_path / name))
    assert ends[0] == ends[1]


def test_a_run_that_fails_leaves_nothing(tmp_path: Path, story: Any) -> None:
    def run() -> None:
        with built_store(tmp_path / "built", at_ms=1) as store:
            fill(Journal(store, "run-1", flush_every=2), story)
            raise RuntimeError("the engine failed")

    with pytest.raises(RuntimeError):
        run()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_killed_leaves_nothing_under_its_name_and_is_no_hindrance_to_the_next(
    tmp_path: Path, story: Any
) -> None:
    path = tmp_path / "built"
    child = os.fork()
    if child == 0:
        with built_store(path, at_ms=1) as store:
            fill(Journal(store, "run-1", flush_every=2), story)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert not path.exists()
    assert list(tmp_path.iterdir()) != []
    with built_store(path, at_ms=1) as store, Journal(store, "run-1", flush_every=7) as journal:
        fill(journal, story)
    assert list(tmp_path.iterdir()) == [path]
    assert verify(path).problems == ()
