"""Positions in the stream: read back as they were sent, moved by what was told, never beyond what is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from store import queries
from store.database import Store
from store.errors import DatabaseMissing
from store.inbox import Inbox
from web.bot_database import BotDatabase
from web.events import BEHIND_MAX, PAGE, Position, Watch, news

TO_MS = 1_733_011_200_000


def test_a_position_reads_back_as_it_was_sent(daemon: Any) -> None:
    position = Position.at_end(daemon.store)
    again = Position.parsed(str(position))
    assert again is not None
    assert str(again) == str(position)


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.0", "1.2.٣", "9" * 16 + ".1.1", "1..2"])
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parsed(text) is None


def test_nothing_new_is_no_event(daemon: Any) -> None:
    assert news(daemon.store, Position.at_end(daemon.store)) == ([], False)


def test_a_page_at_a_time_until_nothing_is_left(daemon: Any) -> None:
    newest = queries.newest_ids(daemon.store).transition
    position = Position(newest - 130, 0, 0)
    position.alerts = queries.newest_ids(daemon.store).alert
    counts, more = [], True
    while more:
        events, more = news(daemon.store, position)
        counts.append(len(events))
    assert counts == [PAGE, 30]
    assert position.transitions == newest


def test_a_command_is_told_once_for_each_of_its_states(daemon: Any) -> None:
    position, inbox = Position.at_end(daemon.store), Inbox(daemon.store)
    first, second = (inbox.post("pause", None, "web", TO_MS) for _ in range(2))
    assert len(news(daemon.store, position)[0]) == 2
    assert news(daemon.store, position)[0] == []
    inbox.take(TO_MS)
    assert len(news(daemon.store, position)[0]) == 2
    inbox.finish(second, "done", at_ms=TO_MS)
    (event,) = news(daemon.store, position)[0]
    assert b'"state":"done"' in event
    assert position.commands < first  # the first is not finished: who comes back is told of both again
    inbox.finish(first, "done", at_ms=TO_MS)
    news(daemon.store, position)
    assert position.commands == second


@pytest.mark.parametrize("behind", [BEHIND_MAX + 1, -1])
def test_too_far_away_is_a_reset_to_the_end(daemon: Any, behind: int) -> None:
    newest = queries.newest_ids(daemon.store)
    position = Position(newest.transition - behind, newest.alert, newest.command)
    (event,), more = news(daemon.store, position)
    assert event.startswith(b"event: reset\n")
    assert (position.transitions, more) == (newest.transition, False)


def test_an_event_is_one_line_of_data_whatever_was_written(daemon: Any) -> None:
    position = Position.at_end(daemon.store)
    daemon.alert("two\nlines\r\nevent: command\n\ndata: forged")
    (event,) = news(daemon.store, position)[0]
    assert event.count(b"\n") == 4
    assert len([line for line in event.split(b"\n") if line.startswith(b"event:")]) == 1


class FailsOnce(BotDatabase):
    """A desk whose first question fails in a way that nobody foresaw."""

    failures = 0

    def store(self) -> Store:
        if not self.failures:
            self.failures = 1
            raise RuntimeError("a fault of ours")
        return super().store()


def test_r72_a_watch_that_failed_goes_on_watching(daemon: Any) -> None:
    """It was a bare task: after one failure every open page stood still until all of them had left."""
    database = FailsOnce(daemon.store.path)

    async def listen() -> None:
        watch = Watch(database)
        with watch.take_place():
            await asyncio.wait_for(watch.next_commit.wait(), 60)
            again = watch.next_commit
            daemon.alert("look here")
            await asyncio.wait_for(again.wait(), 60)
        watch.close()

    asyncio.run(listen())
    database.close()
    assert database.failures == 1


def test_a_folder_that_is_no_folder_any_more_is_a_missing_database(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("not a folder")
    database = BotDatabase(tmp_path / "var" / "sim.sqlite")
    with pytest.raises(DatabaseMissing, match="cannot be reached: Not a directory"):
        database.store()
    database.close()
