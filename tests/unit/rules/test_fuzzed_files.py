"""Damaged rules files are taken or refused in their places, and nothing else (fuzzed_files.py)."""

from __future__ import annotations

import pytest

from tests.unit.rules.fuzzed_files import run


def test_three_hundred_damaged_files_are_taken_or_refused_in_their_places() -> None:
    told = run(300, 7)
    assert "'TAKEN': 0" not in told
    assert "'REFUSED': 0" not in told


@pytest.mark.slow
def test_a_hundred_thousand_damaged_files() -> None:
    print(run(100_000, 1))
