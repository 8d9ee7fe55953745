"""`db`: upgrade, backup and check."""

from __future__ import annotations

from pathlib import Path

import apsw

from store.lock import ProcessLock


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
