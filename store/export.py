"""Transitions as text for other programs: CSV or JSON lines, written as they are read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Literal

import msgspec

from store.database import Store
from store.queries.transitions import EVERYTHING, TransitionFilter, each_transition
from store.rows import TransitionRow

Format = Literal["csv", "jsonl"]

COLUMNS = TransitionRow.__struct_fields__


def export(store: Store, format: Format, wanted: TransitionFilter = EVERYTHING) -> Iterator[str]:
    """Lines with their line ends, oldest first; CSV begins with the column names. Every column is there, also hashes.

    In CSV an absent trade id is an empty field. ``*_json`` columns are text in CSV and objects in JSON lines.
    """
    rows = each_transition(store, wanted)
    return _csv(rows) if format == "csv" else _json_lines(rows)


def _csv(rows: Iterator[TransitionRow]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    yield _taken(text)
    for row in rows:
        writer.writerow(msgspec.structs.astuple(row))
        yield _taken(text)


def _json_lines(rows: Iterator[TransitionRow]) -> Iterator[str]:
    for row in rows:
        plain: dict[str, object] = {}
        for column, value in zip(COLUMNS, msgspec.structs.astuple(row), strict=True):
            plain[column] = msgspec.Raw(value.encode()) if column.endswith("_json") else value
        yield f"{msgspec.json.encode(plain).decode()}\n"


def _taken(text: io.StringIO) -> str:
    line = text.getvalue()
    text.seek(0)
    text.truncate()
    return line
