"""One writer for a database: the kernel keeps the lock, and frees it with the process."""

from __future__ import annotations

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
