"""`db`: upgrade, backup, restore, prune and check."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw

from store.lock import ProcessLock

ROOT = Path(__file__).parents[4]


def execute(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


class TestUpgrade:
    def test_a_database_of_the_newest_schema_is_left_alone(self, fsm, journal_copy) -> None:
        ended = fsm("db", "upgrade", "--db", journal_copy)
        assert ended.code == 0
        assert "has the newest schema already" in ended.stdout
        found = fsm("db", "upgrade", "--json", "--db", journal_copy).document
        assert found["before"] == found["after"]
        assert found["backup"] is None

    def test_an_empty_file_is_brought_to_the_newest_schema_after_a_backup(self, fsm, project) -> None:
        (project / "old.sqlite").touch()
        ended = fsm("db", "upgrade", "--db", "old.sqlite")
        assert ended.code == 0, ended.stderr
        assert "schema 0 → " in ended.stdout
        assert list(project.glob("old.sqlite.*backup*"))
        assert fsm("db", "check", "--db", "old.sqlite").code == 0

    def test_a_database_in_use_is_refused(self, fsm, journal_copy) -> None:
        with ProcessLock(journal_copy):
            ended = fsm("db", "upgrade", "--db", journal_copy)
        assert ended.code == 3
        assert "another bot writes this database" in ended.stderr

    def test_a_newer_schema_is_refused_by_every_reader_r52(self, fsm, journal_copy) -> None:
        execute(journal_copy, "INSERT INTO schema_version VALUES (99, 'later', NULL)")
        for args in (
            ["db", "upgrade"],
            ["db", "check"],
            ["audit"],
            ["audit", "verify"],
            ["status"],
            ["why", "BTCUSDT"],
        ):
            ended = fsm(*args, "--db", journal_copy)
            assert ended.code == 3, args
            assert "99" in ended.stderr


class TestBackup:
    def test_the_copy_is_complete(self, fsm, journal, project) -> None:
        ended = fsm("db", "backup", "copies/one.sqlite", "--db", journal)
        assert ended.code == 0
        assert "copies/one.sqlite" in ended.stdout
        assert fsm("audit", "verify", "--db", "copies/one.sqlite").code == 0
        found = fsm("db", "backup", "two.sqlite", "--json", "--db", journal).document
        assert found["bytes"] == (project / "two.sqlite").stat().st_size

    def test_nothing_is_overwritten(self, fsm, journal, project) -> None:
        (project / "taken").write_text("mine")
        assert fsm("db", "backup", "taken", "--db", journal).code == 2
        assert (project / "taken").read_text() == "mine"


class TestCheck:
    def test_a_good_database_is_fine(self, fsm, journal) -> None:
        assert fsm("db", "check", "--db", journal).stdout.endswith(": fine; schema 2\n")
        assert fsm("db", "check", "--json", "--db", journal).document["problems"] == []

    def test_a_trigger_that_is_gone_fails_verification(self, fsm, journal_copy) -> None:
        execute(journal_copy, "DROP TRIGGER transitions_update")
        ended = fsm("db", "check", "--db", journal_copy)
        assert ended.code == 4
        assert "transitions_update is missing" in ended.stdout
        assert fsm("db", "check", "--json", "--db", journal_copy).document["problems"]

    def test_a_database_of_another_program_is_refused(self, fsm, project) -> None:
        execute(project / "other.sqlite", "CREATE TABLE notes (text)")
        ended = fsm("db", "check", "--db", "other.sqlite")
        assert ended.code == 3
        assert "another program" in ended.stderr


class TestCopies:
    def test_every_goes_on_until_it_is_told_to_end(self, journal_copy, project) -> None:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fsm",
                "db",
                "backup",
                "copies",
                "--every",
                "1s",
                "--keep",
                "2",
                "--db",
                journal_copy,
            ],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
        assert all("verified" in line for line in lines)
        assert "removed copy-" in lines[2]
        assert len(list((project / "copies").glob("copy-*Z.sqlite"))) in (2, 3)

    def test_a_failing_copy_is_told_and_the_next_one_is_made(self, journal, project) -> None:
        """There is no database yet: a backup that is begun with the bot must not end because of it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "fsm", "db", "backup", "copies", "--every", "1s", "--db", "later.sqlite"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert "no copy this time: there is no database at later.sqlite" in process.stderr.readline()
        shutil.copy(journal, project / "incoming")
        (project / "incoming").rename(project / "later.sqlite")
        assert "verified" in process.stdout.readline()
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
        process.stderr.close()

    def test_a_copy_is_put_back_and_what_was_there_is_kept(self, fsm, journal, journal_copy, project) -> None:
        execute(journal_copy, "DELETE FROM alerts")
        ended = fsm("db", "restore", journal, "--db", journal_copy)
        assert ended.code == 0, ended.stderr
        assert "what was there before: " in ended.stdout
        assert len(list(project.glob("copy.sqlite.aside-*"))) == 1
        assert fsm("audit", "verify", "--db", journal_copy).code == 0

    def test_beneath_a_running_bot_nothing_is_put_back_or_pruned(self, fsm, journal, journal_copy) -> None:
        with ProcessLock(journal_copy):
            for words in (["restore", journal], ["prune", "--keep-days", "40", "--no-archive"]):
                ended = fsm("db", *words, "--db", journal_copy)
                assert ended.code == 3
                assert "another bot writes this database" in ended.stderr


class TestPrune:
    def test_the_archive_has_all_and_the_journal_says_what_is_gone(self, fsm, journal_copy, project) -> None:
        before = fsm("audit", "verify", "--json", "--db", journal_copy).document["checked"]
        found = fsm(
            "db", "prune", "--keep-days", "40", "--archive", "whole.sqlite", "--json", "--db", journal_copy
        ).document
        assert found["removed"]["transitions"] > 0
        assert fsm("audit", "verify", "--json", "--db", "whole.sqlite").document["checked"] == before
        ended = fsm("audit", "verify", "--db", journal_copy)
        assert ended.code == 0
        assert f"transitions 1..{found['removed']['transitions']} were removed by `db prune`" in ended.stdout
        assert fsm("replay", journal_copy).code == 0

    def test_a_size_that_cannot_be_reached_is_refused_with_what_stays(self, fsm, journal_copy) -> None:
        size = journal_copy.stat().st_size
        ended = fsm("db", "prune", "--to-size", "100KB", "--no-archive", "--db", journal_copy)
        assert ended.code == 3
        assert "cannot be brought to 0.1 MB" in ended.stderr
        assert journal_copy.stat().st_size == size

    def test_a_size_keeps_as_many_days_as_fit(self, fsm, journal_copy) -> None:
        wanted = round(journal_copy.stat().st_size * 0.9 / 1000)
        found = fsm("db", "prune", "--to-size", f"{wanted}KB", "--no-archive", "--json", "--db", journal_copy).document
        assert found["bytes_after"] <= wanted * 1050
        assert fsm("audit", "verify", "--db", journal_copy).code == 0

    def test_a_damaged_journal_is_not_pruned(self, fsm, journal_copy) -> None:
        execute(journal_copy, "UPDATE trades SET net_pnl = '7' WHERE number = 1")
        ended = fsm("db", "prune", "--keep-days", "40", "--no-archive", "--db", journal_copy)
        assert ended.code == 4
        assert "nothing was removed" in ended.stderr

    def test_it_wants_to_know_what_to_keep_and_where_the_rest_goes(self, fsm, journal_copy) -> None:
        for words in (["--keep-days", "50"], ["--no-archive"], ["--keep-days", "3", "--no-archive"]):
            assert fsm("db", "prune", *words, "--db", journal_copy).code == 2
