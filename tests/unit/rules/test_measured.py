"""What is kept for other rules stays within its bytes, and is found again where it went."""

from __future__ import annotations

import numpy as np
import pytest

from rules.language.arrays import FloatArray
from rules.measured import Measured

COLUMN = 800
"""Bytes of one."""


class Asked:
    """Columns by name, and which of them had to be computed."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self.computed: list[str] = []

    def __call__(self, name: str) -> FloatArray:
        def compute() -> FloatArray:
            self.computed.append(name)
            return np.full(COLUMN // 8, float(ord(name)))

        return self._measured.column((name,), compute)


def test_the_oldest_columns_go_where_there_is_no_room() -> None:
    asked = Asked(Measured(kept_bytes=2 * COLUMN))
    for name in "ABABCBCA":
        assert asked(name)[0] == float(ord(name))
    assert asked.computed == [*"ABCA"]


def test_what_is_larger_than_the_room_is_still_found() -> None:
    asked = Asked(Measured(kept_bytes=1))
    assert [asked(name)[0] for name in "AABB"] == [65.0, 65.0, 66.0, 66.0]
    assert asked.computed == [*"AB"]


def test_findings_share_the_room() -> None:
    measured = Measured(kept_bytes=2 * COLUMN)
    asked = Asked(measured)
    asked("A")
    measured.finding("what", lambda: (("names",), np.zeros(COLUMN // 8), (np.zeros(COLUMN // 8),)))
    asked("A")
    assert asked.computed == ["A", "A"]


def test_a_column_that_is_kept_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Asked(Measured())("A")[0] = 1.0
