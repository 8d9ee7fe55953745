"""A backup is a whole database, made while the bot goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store import migrations
from store.batch import Batch
from store.database import Store, open_store
from store.errors import DatabaseDamaged, DatabaseMissing, StoreError
from store.journal import Journal
from store.verify import verify


def test_a_backup_of_a_database_in_use_holds_what_was_committed(
    path: Path, store: Store, journal: Journal, story: Any, dump: Any
) -> None:
    for batch in story.day():
        journal.commit(batch)
    copy = migrations.backup(path, path.parent / "copies" / "monday.sqlite")
    before = dump(path)
    journal.commit(Batch(transitions=story.round_trip("XRPUSDT", 1, story.start)))
    assert dump(copy) == before
    assert verify(copy).problems == ()
    assert [file.name for file in copy.parent.iterdir()] == ["monday.sqlite"]


def test_a_backup_can_be_traded_on(path: Path, store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    copy = migrations.backup(path, path.with_name("copy.sqlite"))
    with open_store(copy, mode="write") as restored:
        Journal(restored, "run-2").commit(Batch(transitions=story.round_trip("BTCUSDT", 2, story.start)))
    assert verify(copy).checked["transitions"] == 12


def test_an_existing_file_is_never_overwritten(path: Path, store: Store) -> None:
    kept = path.with_name("kept.sqlite")
    kept.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        migrations.backup(path, kept)
    assert kept.read_text() == "precious"


def test_what_cannot_be_copied_leaves_nothing_behind(path: Path) -> None:
    target = path.with_name("copy.sqlite")
    with pytest.raises(DatabaseMissing):
        migrations.backup(path, target)
    path.write_bytes(b"dear diary\n" * 2_000)
    with pytest.raises(DatabaseDamaged):
        migrations.backup(path, target)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
