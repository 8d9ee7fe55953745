"""`pause`, `resume`, `flatten`, `halt`: they go through the database and tell what came of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from store.database import open_store
from store.inbox import Inbox
from store.lock import ProcessLock


def waiting(path: Path) -> list[tuple[str, str | None, str]]:
    with open_store(path, mode="read") as store:
        return [(found.kind, found.symbol, found.state) for found in Inbox(store).recent()]


@pytest.mark.parametrize("kind", ["pause", "resume", "flatten", "halt"])
def test_without_a_bot_a_wish_is_kept_for_the_next_start_and_says_so(fsm, journal_copy, kind) -> None:
    ended = fsm(kind, "btcusdt", "--db", journal_copy)
    assert ended.code == 0
    assert (
        ended.stdout == f"{kind} of BTCUSDT: no bot is running; it is kept (command 1) and applied at the next start\n"
    )
    found = fsm(kind, "--json", "--db", journal_copy).document
    assert found["daemon"] is False
    assert (found["command"]["kind"], found["command"]["symbol"], found["command"]["state"]) == (kind, None, "posted")
    assert waiting(journal_copy) == [(kind, None, "posted"), (kind, "BTCUSDT", "posted")]


def test_a_symbol_that_nobody_knows_is_refused_and_the_known_ones_are_named(fsm, journal_copy) -> None:
    ended = fsm("halt", "BTCUSD", "--db", journal_copy)
    assert ended.code == 2
    assert "there are BTCUSDT" in ended.stderr
    assert waiting(journal_copy) == []


def test_a_wish_never_makes_a_database(fsm, project) -> None:
    assert fsm("pause", "--db", "none.sqlite").code == 2
    assert not list(project.glob("none*"))


def answer(path: Path, result: str, guard: str | None, detail: str | None, posted: threading.Event) -> None:
    """A bot that answers the first command."""
    with ProcessLock(path), open_store(path, mode="write") as store:
        posted.set()
        inbox = Inbox(store)
        while not (taken := inbox.take(1)):
            pass
        inbox.finish(taken[0].id, result, guard=guard, detail=detail, at_ms=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "guard", "code", "told"),
    [
        ("done", None, 0, "pause of BTCUSDT: done: paused"),
        ("refused", "LIMIT_DAY", 3, "pause of BTCUSDT was refused by LIMIT_DAY: paused"),
    ],
)
def test_with_a_bot_the_answer_is_told(fsm_process, journal_copy, result, guard, code, told) -> None:
    running = threading.Event()
    bot = threading.Thread(target=answer, args=(journal_copy, result, guard, "paused", running))
    bot.start()
    running.wait()
    ended = fsm_process("pause", "BTCUSDT", "--db", journal_copy)
    bot.join()
    assert ended.code == code, ended.stderr
    assert told in ended.stdout + ended.stderr


def test_a_bot_that_does_not_answer_is_not_waited_for_for_ever(fsm_process, journal_copy) -> None:
    with ProcessLock(journal_copy):
        ended = fsm_process("flatten", "--wait", "0.2", "--json", "--db", journal_copy)
    assert ended.code == 1
    assert "was not answered within 0.2 s" in ended.stderr
    assert ended.document["error"]["code"] == "NO_ANSWER"
