"""`flatten` names what it closes and asks, on a terminal; a program is never kept waiting by a question."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from store.database import open_store
from store.inbox import Inbox

ROOT = Path(__file__).parents[4]


def typed(project: Path, answer: bytes, *words: str) -> tuple[int, str]:
    """The command on a real terminal: its exit code, and everything that stood there."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fsm", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(60), shown.decode()


def posted(database: Path) -> list[str]:
    with open_store(database, mode="read") as store:
        return [row.kind for row in Inbox(store).recent(limit=10)]


@pytest.fixture
def database(journal_copy: Path) -> Path:
    return journal_copy


def test_a_no_closes_nothing_and_posts_nothing(project: Path, database: Path) -> None:
    code, shown = typed(project, b"n\n", "flatten", "BTCUSDT", "--db", str(database))
    assert "halt BTCUSDT until `resume`?" in shown
    assert code != 0
    assert posted(database) == []


def test_a_yes_goes_on(project: Path, database: Path) -> None:
    code, shown = typed(project, b"y\n", "flatten", "--db", str(database))
    assert (code, posted(database)) == (0, ["flatten"])
    assert "all symbols" in shown


def test_yes_on_the_line_skips_the_question(project: Path, database: Path) -> None:
    code, shown = typed(project, b"", "flatten", "--yes", "--db", str(database))
    assert (code, posted(database)) == (0, ["flatten"])
    assert "?" not in shown


def test_without_a_terminal_it_acts_at_once(fsm, database: Path) -> None:
    assert fsm("flatten", "--db", database).code == 0
    assert posted(database) == ["flatten"]
