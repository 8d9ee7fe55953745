"""The one way a row is written down before it is hashed.

Canonical form: a JSON object of the row's columns, keys sorted, no white space, only control characters
(DEL too), quotes and backslashes escaped, columns that are NULL left out. Leaving NULL out is what lets a
later schema add a nullable column to a chained table without breaking the hashes of the rows already there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from operator import itemgetter

import msgspec

GENESIS = "0" * 64
"""``prev_hash`` of the first row of every chain."""

Value = str | int | float | None
"""What a column can hold. Never bytes: a BLOB found in one of our columns is damage."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Canonical:
    """The canonical form of a table's hashed columns, worked out once: the same bytes as ``digest`` hashes, sooner."""

    def __init__(self, columns: Sequence[str]) -> None:
        places = sorted(range(len(columns)), key=lambda place: columns[place])
        fields = [(columns[place], object, None) for place in places]
        self._ordered = itemgetter(*places)
        self._row = msgspec.defstruct("CanonicalRow", fields, omit_defaults=True, gc=False)  # what is None is left out

    def digest(self, values: Sequence[Value]) -> str:
        """SHA-256, in hex, of a row given as the values of all its columns."""
        return hashlib.sha256(_encode(self._row(*self._ordered(values)))).hexdigest()


def digest(columns: Iterable[str], values: Iterable[Value]) -> str:
    """SHA-256, in hex, of the canonical form of the given columns."""
    row = {column: value for column, value in zip(columns, values, strict=True) if value is not None}
    return hashlib.sha256(_encode(row)).hexdigest()


def finite(number: float) -> float:
    """The number as a float; NaN and infinities are refused, because SQLite and JSON would make them NULL."""
    if not math.isfinite(number):
        raise ValueError(f"{number} cannot be journalled")
    return float(number)
