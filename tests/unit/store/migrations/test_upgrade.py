"""R52: upgrades keep a backup, are whole or not at all, start from every version there was, and refuse a newer one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from store import migrations, queries
from store.batch import Batch
from store.database import open_store
from store.errors import DatabaseDamaged, DatabaseMissing, SchemaMismatch, WriteFailed
from store.journal import Journal
from store.migrations.schema import apply_steps
from store.sqlite import APPLICATION_ID, writer
from store.verify import verify


def database_of_version(path: Path, version: int) -> None:
    """A database as the release with that schema made it."""
    database = writer(path)
    connection = database.connection()
    with connection:
        connection.pragma("application_id", APPLICATION_ID)
        apply_steps(connection, [step for step in migrations.STEPS if step.version <= version], at_ms=1)
    database.close_everywhere()


def add_note(connection: apsw.Connection) -> None:
    connection.execute("ALTER TABLE transitions ADD COLUMN note TEXT")
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")


def fail_halfway(connection: apsw.Connection) -> None:
    add_note(connection)
    connection.execute("INSERT INTO nowhere VALUES (1)")


NEXT = migrations.Step(migrations.SCHEMA_VERSION + 1, "note", add_note)
BROKEN = migrations.Step(migrations.SCHEMA_VERSION + 1, "note", fail_halfway)


@pytest.mark.parametrize("version", range(1, migrations.SCHEMA_VERSION + 1))
def test_r52_a_database_of_every_released_version_upgrades_and_works(path: Path, story: Any, version: int) -> None:
    database_of_version(path, version)
    upgraded = migrations.upgrade(path, at_ms=7)
    assert (upgraded.before, upgraded.after) == (version, migrations.SCHEMA_VERSION)
    assert (upgraded.backup is None) == (version == migrations.SCHEMA_VERSION)
    assert migrations.check(path).fine
    with open_store(path, mode="write") as store, Journal(store, "run-1") as journal:
        for batch in story.day():
            journal.commit(batch)
    assert verify(path).problems == ()


def test_steps_are_numbered_from_one_without_gaps() -> None:
    assert [step.version for step in migrations.STEPS] == list(range(1, migrations.SCHEMA_VERSION + 1))


def test_an_upgrade_keeps_every_row_and_leaves_a_backup_of_what_was(path: Path, story: Any, dump: Any) -> None:
    with open_store(path, mode="write") as store, Journal(store, "run-1") as journal:
        for batch in story.day():
            journal.commit(batch)
    before = dump(path)
    upgraded = migrations.upgrade(path, at_ms=7, steps=[*migrations.STEPS, NEXT])
    assert upgraded.backup == path.with_name(f"bot.sqlite.schema{migrations.SCHEMA_VERSION}.backup")
    assert dump(upgraded.backup) == before
    assert verify(upgraded.backup).problems == ()
    after = dump(path)
    assert after.pop("notes") == []
    assert after["schema_version"] == [*before["schema_version"], (NEXT.version, "note", 7)]
    assert [row[:-1] for row in after["transitions"]] == before["transitions"]
    assert {name: rows for name, rows in after.items() if name not in ("transitions", "schema_version")} == {
        name: rows for name, rows in before.items() if name not in ("transitions", "schema_version")
    }


def test_a_new_column_leaves_the_hashes_of_old_rows_alone(path: Path, story: Any) -> None:
    """NULL is no part of a row's canonical form: a chained table can grow a column."""
    with open_store(path, mode="write") as store:
        Journal(store, "run-1").commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    migrations.upgrade(path, steps=[*migrations.STEPS, NEXT])
    connection = apsw.Connection(str(path))
    newest = connection.execute("SELECT id, hash FROM transitions ORDER BY id DESC LIMIT 1").fetchone()
    assert newest == (6, connection.execute("SELECT hash FROM chain_heads WHERE name = 'transitions'").get)
    connection.close()


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(path: Path, story: Any, dump: Any) -> None:
    with open_store(path, mode="write") as store:
        Journal(store, "run-1").commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    before = dump(path)
    with pytest.raises(WriteFailed, match="nowhere"):
        migrations.upgrade(path, steps=[*migrations.STEPS, BROKEN])
    assert dump(path) == before
    assert verify(path).problems == ()


def test_backups_of_several_upgrades_do_not_overwrite_each_other(path: Path) -> None:
    database_of_version(path, 1)
    for _ in range(2):
        with pytest.raises(WriteFailed):
            migrations.upgrade(path, steps=[*migrations.STEPS, BROKEN])
    done = migrations.upgrade(path, steps=[*migrations.STEPS, NEXT])
    assert done.backup is not None
    assert done.backup.name == "bot.sqlite.schema1.backup-3"
    assert done.backup.with_name("bot.sqlite.schema1.backup-2").exists()


def test_r52_a_newer_schema_is_refused_by_everything_with_both_numbers(path: Path) -> None:
    database_of_version(path, migrations.SCHEMA_VERSION)
    newer = NEXT.version
    migrations.upgrade(path, steps=[*migrations.STEPS, NEXT])
    for refuse in (
        lambda: open_store(path, mode="read"),
        lambda: open_store(path, mode="post"),
        lambda: open_store(path, mode="write"),
        lambda: migrations.upgrade(path),
        lambda: migrations.check(path),
        lambda: verify(path),
    ):
        with pytest.raises(SchemaMismatch, match=f"has schema {newer}, this program knows {newer - 1}") as refused:
            refuse()
        assert (refused.value.found, refused.value.known) == (newer, newer - 1)
        assert "newer version" in refused.value.hint


def test_an_older_schema_is_refused_until_it_is_upgraded(path: Path) -> None:
    database = writer(path)
    connection = database.connection()
    connection.pragma("application_id", APPLICATION_ID)
    connection.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, name TEXT, applied_ms INTEGER)")
    database.close_everywhere()
    modes: list[Any] = ["read", "post"]
    for mode in modes:
        with pytest.raises(SchemaMismatch, match="has schema 0") as refused:
            open_store(path, mode=mode)
        assert "db upgrade" in refused.value.hint


def test_checking_names_what_differs_from_the_schema(path: Path) -> None:
    database_of_version(path, migrations.SCHEMA_VERSION)
    assert migrations.check(path) == migrations.SchemaReport(migrations.SCHEMA_VERSION, migrations.SCHEMA_VERSION, ())
    raw = apsw.Connection(str(path))
    raw.execute("DROP INDEX transitions_at")
    raw.execute("ANALYZE")
    raw.close()
    assert migrations.check(path).differences == ("index transitions_at is missing",)
    assert not migrations.check(path).fine


def test_upgrading_or_checking_what_is_not_there_or_no_database_is_an_error(path: Path) -> None:
    for ask in (migrations.upgrade, migrations.check):
        with pytest.raises(DatabaseMissing):
            ask(path)
    path.write_bytes(b"dear diary\n" * 2_000)
    for ask in (migrations.upgrade, migrations.check):
        with pytest.raises(DatabaseDamaged):
            ask(path)


def test_a_database_made_now_has_the_newest_schema(path: Path) -> None:
    with open_store(path, mode="write", at_ms=42) as store:
        versions = store.connection.execute("SELECT version, applied_ms FROM schema_version").fetchall()
        assert versions == [(step.version, 42) for step in migrations.STEPS]
        assert queries.counts(store)["transitions"] == 0
    assert migrations.check(path).fine
