"""How commands end where their output, their database or their report is not what it should be: a line, and a code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
READS = (["status"], ["positions"], ["trades"], ["limits"], ["why", "BTCUSDT"], ["audit"], ["db", "check"], ["replay"])


def ended(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line as a shell runs it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", command.replace("fsm ", f"{sys.executable} -m fsm ", 1)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("args", READS, ids=lambda args: "-".join(args))
def test_a_folder_is_no_database(fsm, project, args: list[str]) -> None:
    (project / "folder").mkdir()
    found = fsm(*args, *(["folder"] if args == ["replay"] else ["--db", "folder"]))
    assert found.code == 2, found.stderr
    assert "folder is a folder, not a database" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("args", READS, ids=lambda args: "-".join(args))
def test_an_emptied_database_is_said_to_be_that(fsm, project, args: list[str]) -> None:
    (project / "bot.sqlite").touch()
    found = fsm(*args, *(["bot.sqlite"] if args == ["replay"] else ["--db", "bot.sqlite"]))
    assert found.code == 3, found.stderr
    assert "is empty (0 bytes): its first start was interrupted, or somebody emptied it" in found.stderr
    assert "put a backup in its place" in found.stderr
    assert (project / "bot.sqlite").stat().st_size == 0, "nobody who reads makes a database of it"


def test_a_damaged_answer_keeps_its_code_also_where_nobody_reads_it(project) -> None:
    (project / "bot.sqlite").write_text("these are no pages of a database\n" * 400)
    assert ended("fsm audit verify --db bot.sqlite | true; exit ${PIPESTATUS[0]}", project).returncode == 4


@pytest.mark.parametrize(("where", "why"), [(">&-", "stdout is closed"), (">/dev/full", "No space left on device")])
@pytest.mark.parametrize("command", ["fsm status", "fsm graph", "fsm check --json", "fsm --version"])
def test_output_that_cannot_be_written_is_told_once_with_exit_1(project, journal, command, where, why) -> None:
    found = ended(f"{command} {'--db ' + str(journal) if 'status' in command else ''} {where}", project)
    assert found.returncode == 1
    assert found.stderr.count(f"error: not everything could be shown: {why}") == 1
    assert "Traceback" not in found.stderr
    assert "Exception ignored" not in found.stderr


def test_a_closed_stdout_gives_its_place_to_no_file(project, journal_copy) -> None:
    """The next file that is opened would be number 1, and whatever is printed would go into it."""
    before = journal_copy.read_bytes()
    assert ended(f"fsm trades --db {journal_copy} <&- >&- 2>&-", project).returncode == 1
    assert journal_copy.read_bytes() == before


def test_a_wish_is_posted_also_where_nobody_reads_what_became_of_it(project, journal_copy, fsm) -> None:
    ended(f"fsm halt BTCUSDT --wait 0 --db {journal_copy} >&-", project)
    found = fsm("status", "--json", "--db", journal_copy).document["commands"]
    assert [row["kind"] for row in found] == ["halt"]


def test_a_report_that_cannot_be_written_is_noticed_before_the_work(fsm, project) -> None:
    (project / "file").write_text("no folder")
    for option in ("--report", "--db"):
        found = fsm("backtest", option, "file/out")
        assert found.code == 2
        assert "file/out cannot be written" in found.stderr
        assert "phase" not in found.stderr
