"""One writer for a database: the kernel keeps the lock, and frees it with the process."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import LockHeld
from store.lock import ProcessLock, holder, lock_path

HOLD = """
import sys
from store.lock import ProcessLock
ProcessLock(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def other(path: Path) -> subprocess.Popen[bytes]:
    """Another process that holds the lock until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_r23_a_second_process_is_refused_and_told_who_holds_the_lock(
    path: Path, other: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(LockHeld, match=str(other.pid)) as refused:
        ProcessLock(path).acquire()
    assert refused.value.pid == other.pid == holder(path)
    assert "stop that process" in refused.value.hint
    end(other)


def test_the_lock_is_free_the_moment_its_holder_is_killed(path: Path, other: subprocess.Popen[bytes]) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    assert holder(path) is None
    with ProcessLock(path) as lock:
        assert lock.held
        assert holder(path) == os.getpid()


def test_a_stopped_holder_keeps_the_lock_for_good(path: Path, other: subprocess.Popen[bytes]) -> None:
    os.kill(other.pid, signal.SIGSTOP)
    with pytest.raises(LockHeld):
        ProcessLock(path).acquire()
    end(other)


def test_a_lock_that_was_released_can_be_taken_again_and_its_file_stays(path: Path) -> None:
    lock = ProcessLock(path)
    for _ in range(2):
        with lock:
            assert lock.held
            with pytest.raises(LockHeld):
                ProcessLock(path).acquire()
            with pytest.raises(LockHeld, match="already locked by this object"):
                lock.acquire()
        assert not lock.held
    lock.release()
    assert lock_path(path).exists()


def test_a_child_program_does_not_inherit_the_lock(path: Path) -> None:
    lock = ProcessLock(path).acquire()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    lock.release()
    assert holder(path) is None
    child.communicate()


def test_asking_who_holds_a_lock_makes_no_file_and_disturbs_nobody(path: Path) -> None:
    assert holder(path) is None
    assert not lock_path(path).exists()
    with ProcessLock(path):
        for _ in range(100):
            assert holder(path) == os.getpid()
    for _ in range(100):
        assert holder(path) is None
        ProcessLock(path).acquire().release()


def test_a_holder_that_has_not_written_its_number_yet_still_counts(path: Path) -> None:
    with ProcessLock(path):
        lock_path(path).write_text("")
        assert holder(path) == 0
        with pytest.raises(LockHeld, match="process unknown"):
            ProcessLock(path).acquire()


class TestOneDatabaseByAnyName:
    """R23: two bots ran on one database that had two names, and both died with a position open."""

    @pytest.fixture
    def database(self, path: Path) -> Path:
        path.write_bytes(b"")
        return path

    def test_r23_a_symbolic_link_leads_to_the_same_lock(self, database: Path, other: subprocess.Popen[bytes]) -> None:
        folder = database.parent / "elsewhere"
        folder.mkdir()
        (folder / "link.sqlite").symlink_to(database)
        (database.parent / "folder").symlink_to(database.parent)
        for name in (folder / "link.sqlite", database.parent / "folder" / database.name):
            with pytest.raises(LockHeld, match=str(other.pid)):
                ProcessLock(name).acquire()
            assert holder(name) == other.pid
        end(other)

    def test_r23_a_hard_link_leads_to_the_same_lock(self, database: Path, other: subprocess.Popen[bytes]) -> None:
        folder = database.parent / "elsewhere"
        folder.mkdir()
        os.link(database, folder / "hard.sqlite")
        with pytest.raises(LockHeld, match=str(other.pid)) as refused:
            ProcessLock(folder / "hard.sqlite").acquire()
        assert "another name" in refused.value.message
        assert holder(folder / "hard.sqlite") == other.pid
        assert not held_at(folder / "hard.sqlite"), "the refused one has let go of what it had taken"
        end(other)
        ProcessLock(folder / "hard.sqlite").acquire().release()

    def test_r23_the_path_may_be_relative_and_have_dots(
        self, database: Path, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(database.parent)
        (database.parent / "sub").mkdir()
        for name in (database.name, f"sub/../{database.name}"):
            with pytest.raises(LockHeld):
                ProcessLock(name).acquire()
        end(other)

    def test_a_database_that_is_made_under_the_lock_is_held_by_its_identity_too(self, path: Path) -> None:
        with ProcessLock(path) as lock:
            path.write_bytes(b"")
            lock.identify()
            os.link(path, path.with_name("hard.sqlite"))
            with pytest.raises(LockHeld):
                ProcessLock(path.with_name("hard.sqlite")).acquire()

    def test_nothing_is_left_on_the_machine_when_the_lock_is_given_back(self, database: Path) -> None:
        lock = ProcessLock(database).acquire()
        places = [place for place in lock.places if place != lock.path]
        assert places, "there is a folder for locks on this machine"
        assert all(place.exists() for place in places)
        lock.release()
        assert not any(place.exists() for place in places)

    def test_a_copy_is_another_database(self, database: Path, other: subprocess.Popen[bytes]) -> None:
        copy = database.with_name("copy.sqlite")
        copy.write_bytes(database.read_bytes())
        with ProcessLock(copy):
            assert holder(copy) == os.getpid()
        end(other)

    def test_a_lock_whose_file_somebody_removed_is_taken_anew(self, database: Path) -> None:
        """Folders for passing files are swept now and then."""
        with ProcessLock(database) as lock:
            for place in lock.places:
                if place != lock.path:
                    place.unlink()
            assert lock.identify()
            os.link(database, database.with_name("hard.sqlite"))
            with pytest.raises(LockHeld):
                ProcessLock(database.with_name("hard.sqlite")).acquire()


def held_at(path: Path) -> bool:
    """Whether somebody holds the lock beside this name alone."""
    probe = os.open(lock_path(path), os.O_RDONLY)
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(probe)
    return False
