"""Whose request goes first when there is not enough for all."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """From what can wait to what cannot."""

    BULK = -1
    READ = 0
    TRADE = 1
    LOOK = 2
    COVER = 3
    CLEAR = 4
    NAKED = 5
