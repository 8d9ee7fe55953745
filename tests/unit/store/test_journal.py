"""One transaction a batch, chained rows, and the same end however the writes are grouped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import apsw
import pytest

from store import models, queries
from store.batch import Batch
from store.canonical import GENESIS
from store.database import Store, open_store
from store.inbox import Inbox
from store.journal import Journal
from store.outbox import Outbox
from store.rows import CommandAck
from store.verify import verify


def test_a_committed_transition_is_there_with_its_projection_and_its_intents(
    store: Store, journal: Journal, story: Any
) -> None:
    rows = story.round_trip("BTCUSDT", 1, story.start)
    for row in rows[:3]:
        journal.commit(Batch(transitions=[row]))
    stored = queries.transition(store, 3)
    assert stored is not None
    assert (stored.trigger, stored.effect_json, stored.run_id) == ("fill", rows[2].effect_json, "run-1")
    symbol = queries.symbol(store, "BTCUSDT")
    assert symbol is not None
    assert (symbol.state, symbol.trade_id, symbol.transition_id) == ("ENTERING", "BTCUSDT-1", 3)
    assert symbol.record_json == json.dumps(json.loads(rows[2].effect_json)["record"], separators=(",", ":"))
    assert [intent.kind for intent in queries.intents(store, 3)] == ["PlaceStop", "PlaceTarget"]
    assert [intent.id for intent in Outbox(store).pending()] == ["1.0", "2.0", "3.0", "3.1"]


def test_the_next_transition_id_is_known_before_the_commit(store: Store, journal: Journal, story: Any) -> None:
    assert journal.next_transition_id == 1
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)[:2]))
    assert journal.next_transition_id == 3
    assert Journal(store, "run-2").next_transition_id == 3


def test_each_row_is_chained_to_the_one_before_by_a_hash_that_anybody_can_compute(
    store: Store, journal: Journal, story: Any
) -> None:
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    before = GENESIS
    for row in store.connection.execute("SELECT * FROM transitions ORDER BY id"):
        columns = dict(zip(models.Transition._meta.sorted_field_names, row, strict=True))
        stored = columns.pop("hash")
        assert columns["prev_hash"] == before
        present = {name: value for name, value in columns.items() if value is not None}
        text = json.dumps(present, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == stored
        before = stored
    assert journal.head() == (6, before)


@pytest.mark.parametrize("flush_every", [2, 7, 1_000])
def test_buffered_writes_end_byte_for_byte_like_single_ones(
    tmp_path: Path, story: Any, dump: Any, flush_every: int
) -> None:
    ends = []
    for name, every in (("single", 1), ("buffered", flush_every)):
        with open_store(tmp_path / name, mode="write") as store:
            with Journal(store, "run-1", flush_every=every) as journal:
                for number, batch in enumerate(story.day(trades=4)):
                    journal.commit(batch)
                    if number % 5 == 4:
                        intent_id = f"{journal.next_transition_id - 1}.0"
                        if batch.transitions and json.loads(batch.transitions[-1].effect_json)["intents"]:
                            outcome = story.outcome(intent_id, batch.transitions[0].at_ms)
                            journal.commit(Batch(intent_outcomes=[outcome]))
                journal.close_stretches()
            ends.append((journal.head(), dump(tmp_path / name)))
        assert verify(tmp_path / name).problems == ()
    assert ends[0] == ends[1]
    assert len(ends[0][1]["transitions"]) > 50


def test_buffered_rows_are_not_in_the_database_before_they_are_flushed(store: Store, story: Any) -> None:
    journal = Journal(store, "run-1", flush_every=100)
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    assert queries.counts(store)["transitions"] == 0
    assert journal.next_transition_id == 7
    journal.flush()
    assert queries.counts(store)["transitions"] == 6


def test_a_new_journal_continues_chains_and_stretches_where_the_last_one_stopped(
    path: Path, store: Store, story: Any
) -> None:
    candle = story.start
    Journal(store, "run-1").commit(Batch(decisions=[story.decision("BTCUSDT", candle)]))
    journal = Journal(store, "run-2")
    journal.commit(Batch(decisions=[story.decision("BTCUSDT", candle + story.hour)]))
    journal.commit(Batch(decisions=[story.decision("BTCUSDT", candle + 2 * story.hour, "SIGNAL", "PULLBACK")]))
    stretch, signalled = queries.decisions(store)[::-1]
    assert (stretch.candle_ms, stretch.last_ms, stretch.count) == (candle, candle + story.hour, 2)
    assert stretch.run_id == "run-1"
    assert (signalled.outcome, signalled.count, signalled.run_id) == ("SIGNAL", 1, "run-2")
    assert signalled.prev_hash == stretch.hash
    assert verify(path).problems == ()


def test_the_same_fill_told_twice_is_written_once(store: Store, journal: Journal, story: Any) -> None:
    fill = story.fill("BTCUSDT", 11, story.start)
    journal.commit(Batch(fills=[fill, fill]))
    journal.commit(Batch(fills=[fill, story.fill("ETHUSDT", 11, story.start)]))
    buffered = Journal(store, "run-2", flush_every=100)
    buffered.commit(Batch(fills=[fill, story.fill("BTCUSDT", 12, story.start)]))
    buffered.commit(Batch(fills=[story.fill("BTCUSDT", 12, story.start)]))
    buffered.flush()
    assert [(row.symbol, row.fill_id) for row in queries.fills(store)[::-1]] == [
        ("BTCUSDT", 11),
        ("ETHUSDT", 11),
        ("BTCUSDT", 12),
    ]


def test_a_rules_text_is_kept_once_and_found_by_its_hash(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(story.versions(story.start))
    Journal(store, "run-2").commit(story.versions(story.start + 5))
    assert queries.counts(store)["rule_versions"] == 1
    assert queries.rules_text(store, "a" * 64) == "regimes: {}\n"
    assert queries.config_text(store, "b" * 64) == "symbols: [BTCUSDT]\n"
    assert queries.rules_text(store, "c" * 64) is None


def test_a_command_is_acknowledged_in_the_transaction_that_carries_it_out(
    store: Store, journal: Journal, story: Any
) -> None:
    inbox = Inbox(store)
    command_id = inbox.post("pause", None, "cli", story.start)
    inbox.take(story.start + 1)
    ack = CommandAck(command_id=command_id, result="done", detail="paused", at_ms=story.start + 2)
    journal.commit(Batch(system_events=[story.account_event(story.start)], acks=[ack]))
    command = inbox.get(command_id)
    assert command is not None
    assert (command.state, command.detail, command.finished_ms) == ("done", "paused", story.start + 2)


def test_the_account_is_what_the_newest_event_with_a_record_says(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(system_events=[story.account_event(story.start, halt="LIMIT_DAY", high="10500.50")]))
    journal.commit(Batch(system_events=[story.event(story.start + 1, "STOP")]))
    account = queries.account(store)
    assert account is not None
    assert (account.halt_cause, str(account.equity_high), account.system_event_id) == ("LIMIT_DAY", "10500.50", 1)
    assert json.loads(account.record_json)["day"]["key"] == "2026-01-01"


def test_nothing_in_a_database_depends_on_when_it_was_written(tmp_path: Path, story: Any, dump: Any) -> None:
    """R36, R47: a backtest's journal is the same bytes on every day."""
    ends = []
    for name in ("first", "second"):
        with open_store(tmp_path / name, mode="write", at_ms=1) as store:
            store.bind(environment="backtest", account=None, at_ms=1, database_id="0011aabb")
            with Journal(store, "run-1", flush_every=50) as journal:
                for batch in story.day():
                    journal.commit(batch)
        ends.append(dump(tmp_path / name))
    assert ends[0] == ends[1]


def test_r19_a_writer_killed_in_mid_stream_leaves_a_whole_database(path: Path, story: Any) -> None:
    """R8, R18, R19: whatever was acknowledged is there, and what is there verifies, after each of several kills."""
    acknowledged_total = 0
    for attempt in range(3):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _write_until_killed(path, story, attempt, writing)
        os.close(writing)
        acknowledged = b""
        while acknowledged.count(b".") < 25:
            more = os.read(reading, 1)
            assert more, "the writer ended by itself"
            acknowledged += more
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 4_096):
            acknowledged += more
        os.close(reading)
        acknowledged_total += acknowledged.count(b".")
        with open_store(path, mode="write") as store:
            found = queries.counts(store)["transitions"]
            # The one that was under way when the signal came may be there without having been acknowledged.
            assert acknowledged_total <= found <= acknowledged_total + 1
            assert Journal(store, "after").next_transition_id == found + 1
            acknowledged_total = found
        assert verify(path).problems == ()


def _write_until_killed(path: Path, story: Any, attempt: int, acknowledge: int) -> None:
    try:
        with open_store(path, mode="write") as store:
            journal = Journal(store, f"run-{attempt}")
            for number in range(1, 1_000):
                for row in story.round_trip("BTCUSDT", 1_000 * attempt + number, story.start + number * story.hour):
                    journal.commit(Batch(transitions=[row]))
                    os.write(acknowledge, b".")
    finally:
        os._exit(1)


def test_readers_neither_block_the_writer_nor_see_half_a_batch(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    """R19: a reader in the middle of a long read keeps its picture while the writer commits at once."""
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    store.connection.setbusytimeout(0)
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    with reader:
        assert reader.execute("SELECT count(*) FROM transitions").get == 6
        for number in range(2, 20):
            journal.commit(Batch(transitions=story.round_trip("BTCUSDT", number, story.start + number * story.hour)))
        assert reader.execute("SELECT count(*) FROM transitions").get == 6
    assert reader.execute("SELECT count(*) FROM transitions").get == 19 * 6
    reader.close()
