"""Schema 2: seals of the tables that change in place and of candles; what is there at the upgrade is sealed as it is.

Frozen like every migration: it keeps its own way of adding up, so that a later one of the program does not change it.
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import apsw

from store.canonical import digest

NAME = "seals"

_MODULUS = 2**256
_BLOCK_MS = 30 * 86_400_000

_OWN_HASH = ("orders", "positions", "intents", "decision_stretches", "meta")
_WHOLE = {
    "commands": ["id", "kind", "symbol", "source", "state", "posted_ms", "taken_ms", "finished_ms", "guard", "detail"],
    "series_anchors": ["symbol", "timeframe", "first_ms"],
    "documents": ["name", "at_ms", "body_json"],
}


def apply(connection: apsw.Connection) -> None:
    """Make the table and fill it, in the transaction the caller opened."""
    connection.execute(
        "CREATE TABLE seals (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL, sum TEXT NOT NULL) STRICT"
    )
    for name in _OWN_HASH:
        _seal(connection, name, (int(text, 16) for (text,) in connection.execute(f"SELECT row_hash FROM {name}")))
    for name, columns in _WHOLE.items():
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM {name}")
        _seal(connection, name, (int(digest(columns, row), 16) for row in rows))
    _seal_candles(connection)


def _seal_candles(connection: apsw.Connection) -> None:
    rows = connection.execute(
        "SELECT symbol, timeframe, open_time_ms, open, high, low, close, volume FROM candles"
        " ORDER BY symbol, timeframe, open_time_ms"
    )
    blocks: dict[str, tuple[int, int]] = {}
    for row in rows:
        name = f"candles {row[0]} {row[1]} {row[2] // _BLOCK_MS}"
        count, total = blocks.get(name, (0, 0))
        text = "|".join(map(str, row)).encode()
        blocks[name] = count + 1, total + int.from_bytes(hashlib.sha256(text).digest(), "big")
    for name, (count, total) in blocks.items():
        _write(connection, name, count, total)


def _seal(connection: apsw.Connection, name: str, hashes: Iterable[int]) -> None:
    count = total = 0
    for number in hashes:
        count, total = count + 1, total + number
    if count:
        _write(connection, name, count, total)


def _write(connection: apsw.Connection, name: str, count: int, total: int) -> None:
    connection.execute("INSERT INTO seals VALUES (?, ?, ?)", (name, count, f"{total % _MODULUS:064x}"))
