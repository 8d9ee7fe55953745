"""R19: a commit that fails has not happened, neither on the disk nor in memory, and can be made again."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from store import models, queries
from store.batch import Batch
from store.database import Store, open_store
from store.errors import JournalError, StoreError
from store.journal import Journal
from store.rows import CommandAck, DocumentRow, IntentOutcome
from store.verify import verify


def is_refused(path: Path, journal: Journal, dump: Any, batch: Batch) -> bool:
    """Whether a commit fails. One that does leaves neither the database nor the journal's memory any different."""
    before = dump(path), journal.head(), journal.next_transition_id
    try:
        journal.commit(batch)
    except JournalError as error:
        failure = error
    else:
        return False
    assert "nothing" in failure.message or "cannot be journalled" in failure.message
    assert failure.hint
    assert (dump(path), journal.head(), journal.next_transition_id) == before
    return True


def everything(story: Any, number: int) -> Batch:
    """A batch that writes to many tables."""
    at_ms = story.start + number * 10 * story.hour
    return Batch(
        transitions=story.round_trip("BTCUSDT", number, at_ms)[:4],
        decisions=[story.decision("BTCUSDT", at_ms), story.decision("BTCUSDT", at_ms, "SIGNAL")],
        fills=[story.fill("BTCUSDT", number, at_ms)],
        equity=[story.equity(at_ms)],
        system_events=[story.account_event(at_ms)],
        alerts=[story.alert(at_ms, f"k{number}")],
        candles=[story.candle("BTCUSDT", at_ms)],
    )


def test_r19_a_database_locked_by_another_process_refuses_the_commit_whole(path: Path, story: Any, dump: Any) -> None:
    with open_store(path, mode="write", busy_ms=20) as store:
        journal = Journal(store, "run-1")
        journal.commit(everything(story, 1))
        other = apsw.Connection(str(path))
        other.execute("BEGIN IMMEDIATE")
        assert is_refused(path, journal, dump, everything(story, 2))
        other.execute("ROLLBACK")
        other.close()
        assert not is_refused(path, journal, dump, everything(story, 2))
    assert verify(path).problems == ()


def test_r19_a_full_database_refuses_the_commit_whole(
    path: Path, store: Store, journal: Journal, story: Any, dump: Any
) -> None:
    journal.commit(everything(story, 1))
    pages = store.connection.pragma("page_count")
    large = everything(story, 2)
    for number in range(3, 40):
        large.transitions += everything(story, number).transitions
    refused = 0
    while refused < 1_000:
        store.connection.pragma("max_page_count", pages + refused)
        if not is_refused(path, journal, dump, large):
            break
        refused += 1
    assert 10 < refused < 1_000
    assert verify(path).problems == ()


def test_r19_a_full_database_is_said_to_be_full_also_where_commits_are_parts_of_a_larger_one(
    path: Path, store: Store, story: Any, dump: Any
) -> None:
    """Found by torture (seed 2): undoing the part failed as well, and only that was told."""
    journal, before = Journal(store, "run-1"), dump(path)
    store.connection.pragma("max_page_count", store.connection.pragma("page_count"))

    def write_until_it_is_full() -> None:
        with store.transaction(JournalError):
            for number in range(1_000):
                journal.commit(Batch(documents=[DocumentRow(name=f"d{number}", at_ms=story.start, body_json="{}")]))

    with pytest.raises(JournalError, match="disk is full") as refused:
        write_until_it_is_full()
    assert "disk space" in refused.value.hint
    assert dump(path) == before


def test_r19_a_disk_that_refuses_to_write_at_any_point_of_a_commit_loses_nothing(
    path: Path, journal: Journal, story: Any, dump: Any
) -> None:
    """The kernel refuses every byte beyond a limit that moves through the whole commit."""
    journal.commit(everything(story, 1))
    wal = Path(f"{path}-wal")
    refused = 0
    while refused < 1_000:
        with file_size_limit(wal.stat().st_size + refused * 3_000):
            if not is_refused(path, journal, dump, everything(story, 2)):
                break
        refused += 1
    assert 5 < refused < 1_000
    journal.commit(everything(story, 3))
    assert verify(path).problems == ()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_r19_a_buffered_journal_keeps_what_it_could_not_flush(path: Path, story: Any) -> None:
    with open_store(path, mode="write", busy_ms=20) as store:
        journal = Journal(store, "run-1", flush_every=2)
        other = apsw.Connection(str(path))
        other.execute("BEGIN IMMEDIATE")
        journal.commit(everything(story, 1))
        journal.commit(everything(story, 2))
        with pytest.raises(JournalError):
            journal.commit(everything(story, 3))
        assert journal.next_transition_id == 9
        with pytest.raises(JournalError):
            journal.flush()
        other.execute("ROLLBACK")
        other.close()
        journal.commit(everything(story, 3))
        journal.flush()
        assert queries.counts(store)["transitions"] == 12
    assert verify(path).problems == ()


def test_an_effect_that_cannot_be_read_is_refused_before_anything_is_written(
    path: Path, journal: Journal, story: Any, dump: Any
) -> None:
    good = story.round_trip("BTCUSDT", 1, story.start)
    for effect in ("not json", "{}", '{"record":{"symbol":"ETHUSDT","state":"IDLE"}}', '{"record":[]}'):
        assert is_refused(path, journal, dump, Batch(transitions=[good[0], replace(good[1], effect_json=effect)]))


def test_a_step_that_ends_a_trade_must_say_how_it_ended(path: Path, journal: Journal, story: Any, dump: Any) -> None:
    flat = story.round_trip("BTCUSDT", 1, story.start)[-1]
    without = flat.effect_json.partition(',"trade":{"id"')[0] + "}"
    assert is_refused(path, journal, dump, Batch(transitions=[replace(flat, effect_json=without)]))


def test_numbers_that_sqlite_cannot_keep_are_refused(path: Path, journal: Journal, story: Any, dump: Any) -> None:
    for bad in (float("nan"), float("inf")):
        decision = replace(story.decision("BTCUSDT", story.start), confidence=bad)
        assert is_refused(path, journal, dump, Batch(decisions=[decision]))
        regime = replace(story.regime("BTCUSDT", story.start), confidence=bad)
        assert is_refused(path, journal, dump, Batch(regimes=[regime]))


def test_settling_or_acknowledging_what_is_not_there_refuses_the_batch(
    path: Path, journal: Journal, story: Any, dump: Any
) -> None:
    row = story.signalled("BTCUSDT", 1, story.start)
    unknown = IntentOutcome(intent_id="9.9", status="CONFIRMED", at_ms=1)
    assert is_refused(path, journal, dump, Batch(transitions=[row], intent_outcomes=[unknown]))
    ack = CommandAck(command_id=4, result="done", at_ms=1)
    assert is_refused(path, journal, dump, Batch(transitions=[row], acks=[ack]))


def test_a_second_writer_is_noticed_and_refused(path: Path, store: Store, journal: Journal, story: Any) -> None:
    """R23: two journals on one database cannot both continue a chain."""
    second = Journal(store, "run-2")
    journal.commit(Batch(transitions=[story.signalled("BTCUSDT", 1, story.start)]))
    with pytest.raises(JournalError, match="append-only") as refused:
        second.commit(Batch(transitions=[story.signalled("ETHUSDT", 1, story.start)]))
    assert "only one bot" in refused.value.hint
    assert verify(path).problems == ()


def test_a_store_that_was_closed_is_not_opened_again_by_whoever_still_writes(
    path: Path, store: Store, story: Any, dump: Any
) -> None:
    """R23: found by torture (seed 8, 30 days); a task that outlived its process wrote beside the next one."""
    late, before = Journal(store, "run-1"), dump(path)
    store.close()
    with pytest.raises(JournalError, match="it was closed"):
        late.commit(Batch(transitions=[story.signalled("BTCUSDT", 1, story.start)]))
    with pytest.raises(StoreError, match="it was closed"):
        store.identity  # noqa: B018
    assert dump(path) == before


def test_a_store_that_is_open_for_reading_commits_nothing(path: Path, store: Store, story: Any) -> None:
    with open_store(path, mode="read") as reading:
        journal = Journal(reading, "run-1")
        with pytest.raises(JournalError, match="for reading only"):
            journal.commit(Batch(transitions=[story.signalled("BTCUSDT", 1, story.start)]))


CHAINED = [model._meta.table_name for model in models.CHAINED]


@pytest.mark.parametrize("recursive", [0, 1])
@pytest.mark.parametrize("table", CHAINED)
def test_chained_tables_only_grow_whoever_writes_to_them(path: Path, story: Any, table: str, recursive: int) -> None:
    with open_store(path, mode="write") as store:
        journal = Journal(store, "run-1")
        for batch in story.day():
            journal.commit(batch)
    raw = apsw.Connection(str(path))
    raw.pragma("recursive_triggers", recursive)
    names = [name for _, name, *_ in raw.execute(f"PRAGMA table_info({table})")]
    row = dict(zip(names, raw.execute(f"SELECT * FROM {table} ORDER BY id LIMIT 1").fetchone(), strict=True))
    newest = raw.execute(f"SELECT id, hash FROM {table} ORDER BY id DESC LIMIT 1").fetchone()
    marks = ", ".join("?" * len(names))
    forged = {**row, "id": newest[0] + 1, "prev_hash": "f" * 64}
    gap = {**row, "id": newest[0] + 2, "prev_hash": newest[1]}
    attempts: list[tuple[str, tuple[Any, ...]]] = [
        *((f"UPDATE {table} SET {name} = {name}", ()) for name in names),
        (f"DELETE FROM {table}", ()),
        (f"DELETE FROM {table} WHERE id = 1", ()),
        *((f"INSERT OR REPLACE INTO {table} VALUES ({marks})", tuple(r.values())) for r in (row, forged, gap)),
        *((f"INSERT INTO {table} VALUES ({marks})", tuple(r.values())) for r in (row, forged, gap)),
    ]
    if table in ("fills", "rule_versions", "config_versions"):
        twin = {**row, "id": newest[0] + 1, "prev_hash": newest[1]}
        attempts.append((f"INSERT OR REPLACE INTO {table} VALUES ({marks})", tuple(twin.values())))
    for sql, values in attempts:
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            raw.execute(sql, values)
    raw.close()
    assert verify(path).problems == ()


def test_an_error_of_the_store_reads_as_one_sentence_with_its_hint() -> None:
    assert str(StoreError("bot.sqlite is full", "free disk space")) == "bot.sqlite is full (free disk space)"
