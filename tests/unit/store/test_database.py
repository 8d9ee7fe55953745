"""Opening a database: modes, pragmas, whose it is, and files that cannot be opened."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.errors import (
    DatabaseDamaged,
    DatabaseMissing,
    SchemaMismatch,
    StoreError,
    WriteFailed,
    WrongDatabase,
)
from store.inbox import Inbox
from store.journal import Journal
from store.migrations import SCHEMA_VERSION
from store.sqlite import APPLICATION_ID

ROOT = Path(__file__).parents[3]


def test_the_writer_has_the_pragmas_that_keep_its_word(store: Store) -> None:
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "page_size", "application_id")
    assert [store.connection.pragma(name) for name in pragmas] == ["wal", 2, 1, 1, 8_192, APPLICATION_ID]


def test_the_sqlite_in_use_is_past_the_wal_reset_bug() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


def test_a_file_system_without_write_ahead_logging_is_refused() -> None:
    with pytest.raises(StoreError, match="journal_mode") as refused:
        open_store(":memory:", mode="write")
    assert "local disk" in refused.value.hint


def test_a_database_remembers_whose_it_is_and_refuses_another(path: Path, store: Store) -> None:
    assert store.identity is None
    bound = store.bind(environment="testnet", account="main", at_ms=5)
    assert len(bound.database_id) == 8
    assert int(bound.database_id, 16) >= 0
    assert store.bind(environment="testnet", account="main", at_ms=9) == bound
    assert store.bind(environment="testnet", account=None, at_ms=9, database_id=bound.database_id) == bound
    with pytest.raises(WrongDatabase, match="belongs to environment 'testnet', not to 'mainnet'"):
        store.bind(environment="mainnet", account="main", at_ms=9)
    with pytest.raises(WrongDatabase, match="account"):
        store.bind(environment="testnet", account="other", at_ms=9)
    with pytest.raises(WrongDatabase, match="id"):
        store.bind(environment="testnet", account="main", at_ms=9, database_id="00000000")
    with open_store(path, mode="read") as reading:
        assert reading.identity == bound


def test_an_account_that_is_known_later_is_filled_in_once(store: Store) -> None:
    first = store.bind(environment="sim", account=None, at_ms=1, database_id="00c0ffee")
    assert (first.database_id, first.account) == ("00c0ffee", None)
    assert store.bind(environment="sim", account="a1", at_ms=2).account == "a1"
    with pytest.raises(WrongDatabase):
        store.bind(environment="sim", account="a2", at_ms=3)
    assert store.identity is not None
    assert (store.identity.account, store.identity.created_ms) == ("a1", 1)


def test_ids_are_eight_hex_digits_and_random_when_not_given(tmp_path: Path) -> None:
    ids = set()
    for number in range(8):
        with open_store(tmp_path / str(number), mode="write") as store:
            ids.add(store.bind(environment="sim", account=None, at_ms=1).database_id)
    assert len(ids) == 8
    with open_store(tmp_path / "bad", mode="write") as store, pytest.raises(StoreError, match="8 hex digits"):
        store.bind(environment="sim", account=None, at_ms=1, database_id="Zz")


def test_readers_see_what_is_committed_and_can_write_nothing(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    with open_store(path, mode="read") as reading:
        version = reading.data_version()
        assert queries.transitions(reading).rows == []
        journal.commit(Batch(transitions=[story.signalled("BTCUSDT", 1, story.start)]))
        assert reading.data_version() != version
        assert len(queries.transitions(reading).rows) == 1
        with pytest.raises(apsw.ReadOnlyError):
            reading.connection.execute("DELETE FROM alerts")
        with pytest.raises(WriteFailed, match="for reading only"):
            Inbox(reading).post("pause", None, "cli", 1)


def test_readers_may_be_many_threads_each_with_its_own_connection(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    seen: list[tuple[int, apsw.Connection]] = []
    with open_store(path, mode="read") as reading:
        threads = [
            threading.Thread(target=lambda: seen.append((len(queries.transitions(reading).rows), reading.connection)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [count for count, _ in seen] == [6] * 8
    assert len({id(connection) for _, connection in seen}) == 8
    for _, connection in seen:
        with pytest.raises(apsw.ConnectionClosedError):
            connection.execute("SELECT 1")


def test_a_thread_that_ends_takes_its_connection_with_it(path: Path, store: Store) -> None:
    """A server's worker threads come and go for months."""
    with open_store(path, mode="read") as reading:
        before = len(apsw.connections())
        for _ in range(20):
            thread = threading.Thread(target=lambda: queries.counts(reading))
            thread.start()
            thread.join()
        gc.collect()
        assert len(apsw.connections()) <= before + 1


def test_who_only_posts_can_write_commands_and_nothing_else(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    journal.commit(Batch(alerts=[story.alert(1)]))
    with open_store(path, mode="post") as posting:
        assert Inbox(posting).post("pause", None, "cli", 1) == 1
        assert len(queries.alerts(posting)) == 1
        for sql in (
            "DELETE FROM commands",
            "UPDATE alerts SET state = 'SENT'",
            "INSERT INTO documents VALUES ('x', 1, '{}')",
            "DROP TRIGGER transitions_delete",
            "CREATE TABLE x (a)",
            "PRAGMA journal_mode = delete",
            "ATTACH ':memory:' AS other",
        ):
            with pytest.raises(apsw.AuthError):
                posting.connection.execute(sql)


def test_only_the_writer_makes_a_database(path: Path) -> None:
    for mode in ("read", "post"):
        with pytest.raises(DatabaseMissing, match=path.name):
            open_store(path, mode=mode)  # type: ignore[arg-type]
    assert not path.exists()
    with open_store(path.parent / "new" / "folder" / "bot.sqlite", mode="write") as store:
        assert queries.counts(store)["schema_version"] == SCHEMA_VERSION


def test_a_creation_that_was_interrupted_is_made_good(path: Path) -> None:
    path.touch()
    for mode in ("read", "post"):
        with pytest.raises(SchemaMismatch):
            open_store(path, mode=mode)  # type: ignore[arg-type]
    with open_store(path, mode="write") as store:
        assert queries.counts(store)["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize("mode", ["read", "post", "write"])
def test_a_file_that_is_no_database_of_ours_is_refused_and_left_alone(path: Path, mode: Any) -> None:
    path.write_bytes(b"dear diary\n" * 2_000)
    with pytest.raises(DatabaseDamaged):
        open_store(path, mode=mode)
    assert path.read_bytes() == b"dear diary\n" * 2_000
    path.unlink()
    foreign = apsw.Connection(str(path))
    foreign.execute("CREATE TABLE diary (page)")
    foreign.close()
    with pytest.raises(SchemaMismatch, match="another program"):
        open_store(path, mode=mode)


def test_a_database_in_a_folder_that_cannot_be_written_to_can_be_read(tmp_path: Path, story: Any) -> None:
    """`python -m web` on a read-only mount, or a copy that was put away."""
    folder = tmp_path / "put away"
    with open_store(folder / "bot #1.sqlite", mode="write") as store:
        Journal(store, "run-1").commit(Batch(transitions=[story.signalled("BTCUSDT", 1, story.start)]))
    # The superuser may write anywhere: who runs the tests as root sends somebody else.
    script = (
        "import os, sys\n"
        "from store import queries\n"
        "from store.database import open_store\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "with open_store(sys.argv[1], mode='read') as store:\n"
        "    print(len(queries.transitions(store).rows), os.access(os.path.dirname(sys.argv[1]), os.W_OK))\n"
    )
    for each in [tmp_path, *tmp_path.parents][:4]:
        each.chmod(0o755)
    (folder / "bot #1.sqlite").chmod(0o644)  # its owner lets others read it
    folder.chmod(0o555)
    command = [sys.executable, "-c", script, str(folder / "bot #1.sqlite")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    folder.chmod(0o755)
    assert (done.stdout, done.stderr) == ("1 False\n", "")


def test_a_transaction_that_fails_says_so_and_is_undone(store: Store) -> None:
    twice = [("x", 1, "{}"), ("x", 1, "{}")]
    with pytest.raises(WriteFailed, match="nothing of it was applied"), store.transaction() as connection:
        connection.executemany("INSERT INTO documents VALUES (?, ?, ?)", twice)
    with pytest.raises(WriteFailed), store.transaction(), store.transaction() as inner:
        inner.executemany("INSERT INTO documents VALUES (?, ?, ?)", twice)
    assert queries.document(store, "x") is None
