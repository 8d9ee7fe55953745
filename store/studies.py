"""Keeps what a search has tried: a study is one small database, and a ledger counts over all of them.

One process writes a study at a time (``ProcessLock``). Every result is on the disk before the next one is counted, so
that a search that ends in whatever way goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import msgspec

from store.errors import DatabaseDamaged, DatabaseMissing, StoreError
from store.private import make_private
from store.sqlite import BUSY_MS

APPLICATION_ID = 0x46534D53
"""In the header of each study ("FSMS"): a journal is not taken for one, nor the other way round."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, body_json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials(
    number INTEGER PRIMARY KEY, search INTEGER NOT NULL, point_json TEXT NOT NULL, refused TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_trial_a_point ON trials(search, point_json);
CREATE TABLE IF NOT EXISTS runs(
    trial INTEGER NOT NULL, span TEXT NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY(trial, span)
) WITHOUT ROWID;
"""
LEDGER_SCHEMA = """
CREATE TABLE IF NOT EXISTS tried(
    rules_hash TEXT NOT NULL, settings_hash TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL,
    from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
    PRIMARY KEY(rules_hash, settings_hash, symbol, timeframe, from_ms, to_ms)
) WITHOUT ROWID;
"""


class NotAStudy(StoreError):
    """A file that is no study."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One point of a search. ``search`` tells apart searches that draw points of their own; ``refused``: why its rules
    cannot be used."""

    number: int
    search: int
    point: dict[str, Any]
    refused: str | None = None


class StudyStore:
    """An open study."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path = path
        self._connection = connection

    def fact(self, name: str) -> Any:
        """What was remembered under a name, or None."""
        row = self._connection.execute("SELECT body_json FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def remember(self, facts: Mapping[str, Any]) -> None:
        """All of them, or none."""
        rows = [(name, msgspec.json.encode(body)) for name, body in facts.items()]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO facts VALUES(?, ?)", rows)

    def add(self, trials: Iterable[TrialRow]) -> None:
        """New points, all or none."""
        rows = [(each.number, each.search, msgspec.json.encode(each.point).decode(), each.refused) for each in trials]
        with self._connection:
            self._connection.executemany("INSERT INTO trials VALUES(?, ?, ?, ?)", rows)

    def refuse(self, number: int, why: str) -> None:
        with self._connection:
            self._connection.execute("UPDATE trials SET refused = ? WHERE number = ?", (why, number))

    def put(self, trial: int, outcomes: Mapping[str, bytes]) -> None:
        """What came of a trial over some spans, all or none."""
        rows = [(trial, span, outcome) for span, outcome in outcomes.items()]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO runs VALUES(?, ?, ?)", rows)

    def trials(self) -> list[TrialRow]:
        """All of them, by number."""
        rows = self._connection.execute("SELECT number, search, point_json, refused FROM trials ORDER BY number")
        return [TrialRow(number, search, msgspec.json.decode(point), why) for number, search, point, why in rows]

    def done(self) -> set[tuple[int, str]]:
        """Which trials were run over which spans."""
        return {(int(trial), str(span)) for trial, span in self._connection.execute("SELECT trial, span FROM runs")}

    def outcomes(self, span: str) -> Iterator[tuple[int, bytes]]:
        """(trial, outcome) of one span, by number."""
        rows = self._connection.execute("SELECT trial, outcome FROM runs WHERE span = ? ORDER BY trial", (span,))
        yield from ((int(trial), bytes(outcome)) for trial, outcome in rows)

    def outcome(self, trial: int, span: str) -> bytes | None:
        query = "SELECT outcome FROM runs WHERE trial = ? AND span = ?"
        row = self._connection.execute(query, (trial, span)).fetchone()
        return None if row is None else bytes(row[0])


@contextmanager
def study_store(path: Path, *, new: bool = False, reading: bool = False) -> Iterator[StudyStore]:
    """``new``: made where there is none. Raises DatabaseMissing, NotAStudy or DatabaseDamaged."""
    if not path.is_file() and not new:
        raise DatabaseMissing(f"there is no study at {path}", "`optimise --study PATH` begins one")
    with _opened(path, SCHEMA, reading=reading) as connection:
        yield StudyStore(path, connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a variant was tried on."""

    symbols: tuple[str, ...]
    timeframe: str
    from_ms: int
    to_ms: int


class Ledger:
    """Which variants were tried on which data, in any study."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def note(self, variants: Iterable[tuple[str, str]], on: Tried) -> None:
        """Variants as (rules hash, settings hash); what was noted before counts once."""
        rows = [
            (rules, settings, symbol, on.timeframe, on.from_ms, on.to_ms)
            for rules, settings in variants
            for symbol in on.symbols
        ]
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO tried VALUES(?, ?, ?, ?, ?, ?)", rows)

    def count(self, on: Tried) -> int:
        """Different variants that were tried on any of this: a symbol and some of the time in common."""
        places = ", ".join("?" for _ in on.symbols)
        query = (
            "SELECT COUNT(*) FROM (SELECT DISTINCT rules_hash, settings_hash FROM tried"  # noqa: S608 - only marks
            f" WHERE symbol IN ({places}) AND from_ms < ? AND to_ms > ?)"
        )
        found = self._connection.execute(query, (*on.symbols, on.to_ms, on.from_ms)).fetchone()
        return int(found[0]) if found is not None else 0


@contextmanager
def ledger(path: Path) -> Iterator[Ledger]:
    """The ledger at a path; made where there is none. Several processes may write to it, each for a moment."""
    with _opened(path, LEDGER_SCHEMA, reading=False) as connection:
        yield Ledger(connection)


@contextmanager
def _opened(path: Path, schema: str, *, reading: bool) -> Iterator[apsw.Connection]:
    """Without write-ahead log: one writer, short transactions, nothing beside the file to lose in a copy."""
    if not reading:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_private(path)
    flags = apsw.SQLITE_OPEN_READONLY if reading else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(str(path), flags=flags)
        try:
            connection.set_busy_timeout(10 * BUSY_MS)
            connection.transaction_mode = "IMMEDIATE"
            _prepare(path, connection, schema, reading=reading)
            yield connection
        finally:
            connection.close()
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise DatabaseDamaged(f"{path} cannot be read: {error}", "name another file") from error
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.BusyError) as error:
        raise StoreError(
            f"{path} cannot be written: {error}", "free disk space, and check who uses the file"
        ) from error


def _prepare(path: Path, connection: apsw.Connection, schema: str, *, reading: bool) -> None:
    found = connection.pragma("application_id")
    is_empty = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    if found != APPLICATION_ID and not is_empty:
        raise NotAStudy(f"{path} is no study", "name another file with --study")
    if reading:
        return
    connection.pragma("synchronous", 2)
    with connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(schema)
