"""Commands go from any process to the daemon and back, with or without a daemon running."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from store.database import Store, open_store
from store.errors import WriteFailed
from store.inbox import _IS_POSTED, Inbox

ROOT = Path(__file__).parents[3]

POST_MANY = """
import sys
from store.database import open_store
from store.inbox import Inbox
with open_store(sys.argv[1], mode="post", busy_ms=30_000) as store:
    for number in range(int(sys.argv[3])):
        Inbox(store).post("pause", f"{sys.argv[2]}-{number}", "cli", number)
"""


def test_asking_whether_anything_waits_reads_only_what_waits(store: Store) -> None:
    """It is asked several times a second, and old commands stay in the table."""
    ((*_, plan),) = store.connection.execute(f"EXPLAIN QUERY PLAN {_IS_POSTED}").fetchall()
    assert plan == "SCAN commands USING INDEX commands_waiting"


def test_a_command_goes_from_posted_over_taken_to_done(path: Path, store: Store) -> None:
    daemon = Inbox(store)
    with open_store(path, mode="post") as other:
        command_id = Inbox(other).post("flatten", "BTCUSDT", "web", 5)
    (taken,) = daemon.take(6)
    assert (taken.id, taken.kind, taken.symbol, taken.source) == (command_id, "flatten", "BTCUSDT", "web")
    assert (taken.state, taken.taken_ms, taken.finished) == ("taken", 6, False)
    assert daemon.take(7) == []
    daemon.finish(command_id, "done", detail="flat after 2 orders", at_ms=8)
    found = daemon.get(command_id)
    assert found is not None
    assert (found.state, found.detail, found.finished_ms, found.finished) == ("done", "flat after 2 orders", 8, True)


def test_a_refusal_names_its_guard(store: Store) -> None:
    inbox = Inbox(store)
    command_id = inbox.post("resume", None, "cli", 1)
    inbox.finish(command_id, "refused", guard="limit_day_over", detail="ends at 00:00 UTC", at_ms=2)
    found = inbox.get(command_id)
    assert found is not None
    assert (found.state, found.guard) == ("refused", "limit_day_over")
    with pytest.raises(WriteFailed, match="no unfinished command 1"):
        inbox.finish(command_id, "done", at_ms=3)
    with pytest.raises(WriteFailed):
        inbox.finish(99, "done", at_ms=3)


def test_a_command_waits_for_a_daemon_to_start(path: Path) -> None:
    open_store(path, mode="write").close()
    with open_store(path, mode="post") as store:
        Inbox(store).post("pause", None, "cli", 1)
    with open_store(path, mode="write") as store:
        assert [command.kind for command in Inbox(store).take(2)] == ["pause"]
        assert Inbox(store).get(2) is None


def test_a_command_whose_daemon_died_is_found_by_the_next_one(path: Path) -> None:
    with open_store(path, mode="write") as store:
        Inbox(store).post("flatten", None, "cli", 1)
        Inbox(store).take(2)
    with open_store(path, mode="write") as store:
        assert Inbox(store).take(3) == []
        assert [command.id for command in Inbox(store).unfinished()] == [1]


def test_ids_are_never_used_again_and_recent_ones_come_first(store: Store) -> None:
    inbox = Inbox(store)
    for number in range(3):
        inbox.post("pause", None, "cli", number)
    store.connection.execute("DELETE FROM commands WHERE id = 3")
    assert inbox.post("pause", None, "cli", 9) == 4
    assert [command.id for command in inbox.recent(limit=2)] == [4, 2]


def test_several_processes_post_while_the_daemon_takes_and_none_is_lost(path: Path, store: Store) -> None:
    processes, each = 3, 60
    posting = [
        subprocess.Popen([sys.executable, "-c", POST_MANY, str(path), f"P{number}", str(each)], cwd=ROOT)
        for number in range(processes)
    ]
    inbox, taken = Inbox(store), []
    while any(process.poll() is None for process in posting):
        for command in inbox.take(1):
            taken.append(command)
            inbox.finish(command.id, "done", at_ms=2)
    taken += inbox.take(3)
    assert [process.returncode for process in posting] == [0] * processes
    assert sorted(command.symbol or "" for command in taken) == sorted(
        f"P{process}-{number}" for process in range(processes) for number in range(each)
    )
    assert [command.id for command in taken] == sorted(command.id for command in taken)
