"""The compiled kernel: of processes that begin together, one compiles it."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from fsm.search.straight.compiled import one_at_a_time


def is_held(lock: Path) -> bool:
    """Whether another process would wait now; each opening of a file stands for one."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_others_wait_for_the_first_call_and_for_no_later_one(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    seen = []

    def live(number: int) -> int:
        seen.append(is_held(lock))
        return number * 2

    call = one_at_a_time(live, lock)
    assert [call(1), call(2), call(3)] == [2, 4, 6]
    assert seen == [True, False, False]


def test_a_first_call_that_fails_keeps_nobody_waiting(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def live() -> int:
        raise ValueError("the compiler fell over")

    call = one_at_a_time(live, lock)
    with pytest.raises(ValueError, match="fell over"):
        call()
    assert not is_held(lock)
