"""Packs columns of numbers and the page's facts into one compressed text, small enough to lie inside a page.

A column is kept as whole numbers of its smallest step: each as the difference to the one before, doubled (odd when
negative) and raised by one, 0 where there is none. The bytes of all numbers lie apart, all lowest ones first, so that
what hardly changes packs to nothing. The page unpacks it with what every browser has had since 2023.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import msgspec
import numpy as np

from indicators.series import FloatArray

_BYTES = 4
_LARGEST = 2**30
"""Doubled and raised by one, it still fits into four bytes."""

Place = tuple[int, int]
"""Where a column lies: first byte, and how many numbers."""


class Packing:
    """Columns so far. ``text`` ends it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def column(self, values: FloatArray, step: float) -> Place:
        """NaN is none. A value is kept to the nearest ``step``."""
        there = np.isfinite(values)
        held = np.rint((values if there.all() else values[there]) / step)
        if np.abs(held).max(initial=0.0) > _LARGEST:
            held = np.minimum(np.maximum(held, -_LARGEST), _LARGEST)
        change = held.astype(np.int64)
        change[1:] -= change[:-1].copy()
        codes = np.zeros(len(values), dtype=np.uint32)
        codes[there] = np.where(change < 0, -2 * change, 2 * change + 1)
        data = codes.astype("<u4").view(np.uint8).reshape(-1, _BYTES).T.tobytes()
        place = (self._length, len(values))
        self._parts.append(data)
        self._length += len(data)
        return place

    def size(self) -> int:
        """Bytes of the columns in the page, about."""
        return len(zlib.compress(b"".join(self._parts), 6)) * 4 // 3

    @staticmethod
    def size_of(facts: dict[str, Any]) -> int:
        """Bytes of the facts in the page, about."""
        return len(zlib.compress(msgspec.json.encode(facts), 6)) * 4 // 3

    def text(self, facts: dict[str, Any]) -> str:
        """Facts and columns: the length of the facts (four bytes), the facts as JSON, the columns; deflated, base64."""
        told = msgspec.json.encode(facts)
        packed = zlib.compress(len(told).to_bytes(4, "little") + told + b"".join(self._parts), 9)
        return base64.b64encode(packed).decode()


def step_of_prices(*columns: FloatArray) -> float:
    """The power of ten that all these prices are whole numbers of; 1e-8 at the finest."""
    for decimals in range(9):
        scaled = [column * 10**decimals for column in columns]
        if all(np.abs(each - np.rint(each)).max(initial=0.0) < 1e-4 for each in scaled):
            return float(10.0**-decimals)
    return 1e-8


def step_of_values(values: FloatArray, digits: int) -> float:
    """The power of ten that leaves so many digits of the largest value."""
    largest = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 0.0
    return float(10.0 ** (math.floor(math.log10(largest)) + 1 - digits)) if largest > 0 else 1.0
