"""Whose files they are: nobody but the owner reads a database, its copies and its locks, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.sim.server.saved import StateFile
from store.database import open_store
from store.lock import ProcessLock, holder
from store.migrations.backup import backup


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {found.name: oct(found.stat().st_mode & 0o777) for found in folder.iterdir()}


def test_a_database_its_lock_and_its_copy_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    with ProcessLock(path), open_store(path, mode="write", at_ms=1) as store:
        store.bind(environment="sim", account=None, at_ms=1)
        assert {"sim.sqlite", "sim.sqlite-wal", "sim.sqlite-shm", "sim.sqlite.lock"} <= set(modes(tmp_path))
        backup(path, tmp_path / "copy.sqlite")
        assert set(modes(tmp_path).values()) == {"0o600"}, modes(tmp_path)


def test_what_was_open_to_others_is_tightened_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    with ProcessLock(path), open_store(path, mode="write", at_ms=1):
        for found in tmp_path.iterdir():
            found.chmod(0o666)
        with open_store(path, mode="write"):
            pass
    with ProcessLock(path):
        assert set(modes(tmp_path).values()) == {"0o600"}, modes(tmp_path)


def test_a_database_behind_a_link_is_made_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "here.sqlite").symlink_to(tmp_path / "there.sqlite")
    with open_store(tmp_path / "here.sqlite", mode="write", at_ms=1):
        assert oct((tmp_path / "there.sqlite").stat().st_mode & 0o777) == "0o600"


def test_who_writes_is_still_found(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    with ProcessLock(path), open_store(path, mode="write", at_ms=1):
        assert holder(path) == os.getpid()


def test_the_state_of_a_simulated_exchange_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "sim.exchange").write_bytes(b"older")
    state = StateFile(tmp_path / "sim.exchange")
    state.lock()
    state.write(b"{}")
    assert modes(tmp_path) == {"sim.exchange": "0o600", "sim.exchange.lock": "0o600"}
