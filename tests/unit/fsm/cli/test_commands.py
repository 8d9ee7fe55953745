"""`commands list` and `commands cancel`: what was left for the bot, and withdrawing it (R82)."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.database import open_store
from store.inbox import Inbox


def left(path: Path, *kinds: str) -> None:
    with open_store(path, mode="post") as store:
        for kind in kinds:
            Inbox(store).post(kind, "BTCUSDT" if kind == "flatten" else None, "cli", 1_704_067_200_000)


def ended(path: Path, number: int, guard: str | None) -> None:
    """A bot took all that waited, and finished this one."""
    with open_store(path, mode="write") as store:
        inbox = Inbox(store)
        inbox.take(1)
        result = "done" if guard is None else "refused"
        inbox.finish(number, result, guard=guard, detail="BTCUSDT IDLE; refused: ETHUSDT (FOREIGN)", at_ms=2)  # type: ignore[arg-type]


def test_none_are_none(fsm, journal_copy) -> None:
    assert fsm("commands", "list", "--db", journal_copy).stdout == "there are none\n"
    assert fsm("commands", "list", "--json", "--db", journal_copy).document == {"commands": []}


def test_what_waits_what_is_being_done_and_what_came_of_it_stand_newest_first(fsm, journal_copy) -> None:
    left(journal_copy, "pause", "resume", "flatten")
    ended(journal_copy, 1, None)
    ended(journal_copy, 2, "PARTLY")
    left(journal_copy, "halt")
    lines = fsm("commands", "list", "--db", journal_copy).stdout.splitlines()
    assert lines == [
        "4  2024-01-01 00:00  halt all (cli)  waits for a bot",
        "3  2024-01-01 00:00  flatten BTCUSDT (cli)  is being carried out",
        "2  2024-01-01 00:00  resume all (cli)  refused by PARTLY: BTCUSDT IDLE; refused: ETHUSDT (FOREIGN)",
        "1  2024-01-01 00:00  pause all (cli)  done: BTCUSDT IDLE; refused: ETHUSDT (FOREIGN)",
    ]
    found = fsm("commands", "list", "--limit", "2", "--json", "--db", journal_copy).document["commands"]
    assert [(row["id"], row["state"]) for row in found] == [(4, "posted"), (3, "taken")]


def test_what_waits_is_withdrawn_once(fsm, journal_copy) -> None:
    left(journal_copy, "flatten", "pause")
    assert fsm("commands", "cancel", "1", "--db", journal_copy).stdout == "flatten of BTCUSDT was withdrawn\n"
    again = fsm("commands", "cancel", "1", "--db", journal_copy)
    assert again.code == 3
    assert "command 1 (flatten of BTCUSDT) was withdrawn already" in again.stderr
    withdrawn = fsm("commands", "cancel", "2", "--json", "--db", journal_copy).document["command"]
    assert (withdrawn["state"], withdrawn["guard"]) == ("refused", "CANCELLED")


@pytest.mark.parametrize("number", ["1", "2"])
def test_what_a_bot_has_taken_is_not_withdrawn(fsm, journal_copy, number) -> None:
    left(journal_copy, "pause", "flatten")
    ended(journal_copy, 1, None)
    refused = fsm("commands", "cancel", number, "--json", "--db", journal_copy)
    assert refused.code == 3
    assert refused.document["error"]["code"] == "TAKEN"
    assert "was taken already" in refused.stderr


def test_a_command_that_was_never_left_is_said_so(fsm, journal_copy) -> None:
    found = fsm("commands", "cancel", "7", "--db", journal_copy)
    assert found.code == 2
    assert "there is no command 7" in found.stderr
    assert fsm("commands", "cancel", "0", "--db", journal_copy).code == 2
