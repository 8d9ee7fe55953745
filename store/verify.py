"""Checks that a database still says what was written: chains, row hashes, projections, and the file itself.

What this finds: any change to a row of a chained table or of a projection, rows that were removed, also the
newest, projections that are not what the journal gives, triggers that are gone, and damage to the file.
Tables that change in place, and candles, are compared with their seals (store/seals.py). What it cannot find: all of
this recomputed by somebody who knows how; against that, keep the hash of a head somewhere else and name it (``head``).
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
from peewee import Model

from store.canonical import GENESIS, Value
from store.chains import CHAINS, EMPTY, Chain, Head
from store.cuts import NOTHING_PRUNED, TRANSITIONS, Cut, Pruned, pruned, settled
from store.errors import SchemaMismatch
from store.heads import HEAD, heads_missing
from store.migrations.schema import differences, open_file, require_newest
from store.models import (
    PROJECTIONS,
    AccountState,
    Candle,
    ChainHead,
    DecisionStretch,
    Document,
    Identity,
    Position,
    SeriesAnchor,
    SymbolState,
)
from store.projections import project, project_account
from store.rebuild import Rebuild
from store.rows import SystemEventRow, TransitionRow
from store.scan import BEFORE_FIRST, scan
from store.seals import SEALED, Tally, each_altered, strangers
from store.sqlite import FAILURES
from store.tables import TABLES

PROBLEMS_MAX = 10_000
"""Problems that are listed; further ones are only counted, so that memory stays bounded."""

_PROGRESS_EVERY = 10_000
_KIND, _FACTS = (SystemEventRow.__struct_fields__.index(name) for name in ("kind", "facts_json"))
_CUT = "the head {} is nowhere in it: it was cut off before that row, or made anew, or the hash is of another journal"
_UNREADABLE = (ValueError, TypeError, AttributeError, ArithmeticError, msgspec.MsgspecError)
_SMALL: tuple[type[Model], ...] = (SymbolState, AccountState, Position, DecisionStretch, ChainHead, Identity)
_SEALED_WITHOUT_HASH = tuple(model for model in SEALED if model not in (*PROJECTIONS, Candle))
_SEALED_SMALL = (SeriesAnchor, Document)

Progress = Callable[[str, int], None]
"""Called now and then with the table that is being checked and how many of its rows have been."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is not as it was written: where, which row (its key, "5..7" for several, "-" for none), what."""

    table: str
    row_id: str
    what: str


class Report(msgspec.Struct, frozen=True):
    """Rows checked by table, what was found, and up to which row each chain is good (for ``Journal.mark_verified``).

    ``gone`` says of which rows only the hash of the last one is left, as they were pruned away.
    """

    checked: dict[str, int]
    problems: tuple[Problem, ...]
    omitted: int
    verified: dict[str, int]
    gone: Pruned = NOTHING_PRUNED

    @property
    def fine(self) -> bool:
        return not self.problems


def verify(
    path: Path | str, *, tail_only: bool = False, progress: Progress | None = None, head: str | None = None
) -> Report:
    """Check a database without changing it, also while it is being written to; damage is reported, not raised.

    ``head`` is a hash that was kept elsewhere: of a daily head, or of any other row of a chain. It must be in here.

    ``tail_only`` looks at what came after the last full verification and at the rows that say how things
    stand: what a start has time for. Raises DatabaseMissing, and SchemaMismatch for another schema version.
    """
    path = Path(path)
    checker = _Checker(progress, head)
    try:
        database = open_file(path)
    except SchemaMismatch as error:  # an emptied file
        checker.add("database", "-", error.message)
        return checker.report()
    try:
        connection: apsw.Connection = database.connection()
        with connection:
            require_newest(connection)
            checker.check(connection, tail_only=tail_only)
    except FAILURES as error:
        checker.add("database", "-", f"cannot be read: {error}")
    except SchemaMismatch as error:
        if error.found:
            raise
        checker.add("database", "-", error.message)
    finally:
        database.close_everywhere()
    return checker.report()


class _Checker:
    """One verification under way."""

    def __init__(self, progress: Progress | None, wanted: str | None) -> None:
        self._progress = progress
        self._wanted = wanted
        self._named: set[str] = set()
        self._tallies: list[Tally] = []
        self._checked: dict[str, int] = {}
        self._problems: list[Problem] = []
        self._omitted = 0
        self._verified: dict[str, int] = {}
        self._heads: dict[str, Head] = {}
        self._gone = NOTHING_PRUNED

    def add(self, table: str, row_id: object, what: str) -> None:
        self._named.add(table)
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(Problem(table, str(row_id), what))
        else:
            self._omitted += 1

    def report(self) -> Report:
        verified = {} if self._problems else self._verified
        return Report(self._checked, tuple(self._problems), self._omitted, verified, self._gone)

    def check(self, connection: apsw.Connection, *, tail_only: bool) -> None:
        for line in differences(connection):
            self.add("schema", "-", line)
        if not tail_only:
            self._check_file(connection)
        starts = self._read_heads(connection)
        self._gone = pruned(connection)
        for model in _SMALL if tail_only else PROJECTIONS:
            self._check_row_hashes(connection, model)
        for model in _SEALED_SMALL if tail_only else _SEALED_WITHOUT_HASH:
            self._add_up(connection, model)
        rebuild = None if tail_only else Rebuild(connection)
        if rebuild is not None:
            self._check_settled(connection)
            rebuild.begin_after(self._gone)
        for chain in CHAINS.values():
            self._check_chain(connection, chain, starts.get(chain.table.name, 0) if tail_only else 0, rebuild)
        if rebuild is not None:
            for table, key, what in rebuild.differences():
                self.add(table, key, what)
            for stretch, what in each_altered(connection, count=lambda number: self._count("candles", number)):
                self.add("candles", stretch, what)
        self._compare_seals(connection)
        if self._wanted is not None:
            self.add("journal", "-", _CUT.format(self._wanted))

    def _add_up(self, connection: apsw.Connection, model: type[Model]) -> None:
        """A sealed table whose rows have no hash of their own."""
        table = TABLES[model]
        tally = Tally(table.name)
        for row in scan(connection, table.name, table.columns):
            self._count(table.name)
            if row.values is None or row.error:
                self.add(table.name, "-" if row.values is None else row.values[0], row.error)
            else:
                tally.take(row.values, table.columns)
        self._tallies.append(tally)

    def _compare_seals(self, connection: apsw.Connection) -> None:
        """Where a row was named already, the sum of its table says nothing new."""
        for name in strangers(connection):
            self.add("seals", name, "is a seal of no table")
        for tally in self._tallies:
            what = tally.differs(connection)
            if what and tally.name not in self._named:
                self.add(tally.name, "-", what)

    def _check_file(self, connection: apsw.Connection) -> None:
        for (line,) in connection.execute(f"PRAGMA integrity_check({PROBLEMS_MAX})"):
            if line != "ok":
                self.add("database", "-", str(line))

    def _read_heads(self, connection: apsw.Connection) -> dict[str, int]:
        """Keep the recorded heads; return up to where each chain was verified before."""
        verified: dict[str, int] = {}
        known = {chain.table.name for chain in CHAINS.values()}
        for row in scan(connection, "chain_heads", ("name", "last_id", "hash", "verified_id")):
            if row.values is not None:
                name, last_id, newest, verified_id = row.values
                if name not in known:
                    self.add("chain_heads", name, "is the head of no chain")
                    continue
                self._heads[str(name)] = Head(_integer(last_id), str(newest))
                verified[str(name)] = _integer(verified_id)
        return verified

    def _check_row_hashes(self, connection: apsw.Connection, model: type[Model]) -> None:
        table = TABLES[model]
        key = table.hashed.index(table.key[0])
        tally = Tally(table.name)
        for row in scan(connection, table.name, (*table.hashed, "row_hash")):
            self._count(table.name)
            if row.values is None:
                self.add(table.name, "-", row.error)
            elif row.error or table.canonical.digest(row.values[:-1]) != row.values[-1]:
                self.add(table.name, row.values[key], row.error or "does not match its hash")
            else:
                tally.take(row.values, (*table.hashed, "row_hash"))
        if model in SEALED:
            self._tallies.append(tally)

    def _check_chain(self, connection: apsw.Connection, chain: Chain, after: int, rebuild: Rebuild | None) -> None:
        table = chain.table
        cut = self._gone.start(table.name)
        after = after if cut is None else max(after, cut.last_id)
        links = _Links(chain, after, _hash_at(connection, table.name, after, cut))
        for row in scan(connection, table.name, table.columns, after=after or BEFORE_FIRST):
            self._count(table.name)
            if row.values is None:
                self.add(table.name, "-", row.error)
                break
            found = links.take(row.values)
            if row.error:
                found = [(str(row.rowid), row.error)]
            for row_id, what in found:
                self.add(table.name, row_id, what)
            if links.newest == self._wanted:
                self._wanted = None
            if rebuild is not None and chain.row_type in (TransitionRow, SystemEventRow):
                self._project(chain, row.values, rebuild)
            if chain.row_type is SystemEventRow and row.values[_KIND] == HEAD:
                for problem in heads_missing(connection, row.values[_FACTS], self._gone):
                    self.add(*problem)
        self._check_head(table.name, links)
        self._verified[table.name] = links.last_id

    def _check_settled(self, connection: apsw.Connection) -> None:
        """Trades that were over when the transitions that told of them were removed."""
        cut = self._gone.start(TRANSITIONS)
        if cut is not None and settled(connection, cut.last_id) != self._gone.settled:
            self.add("trades", f"up to transition {cut.last_id}", "are not what they were when the journal was pruned")

    def _project(self, chain: Chain, values: tuple[Value, ...], rebuild: Rebuild) -> None:
        row = chain.row_type(**dict(zip(chain.table.columns, values, strict=True)))
        try:
            if isinstance(row, TransitionRow):
                rebuild.take(project(row))
            elif isinstance(row, SystemEventRow):
                rebuild.take(project_account(row))
        except _UNREADABLE as error:
            self.add(chain.table.name, values[0], f"its effect cannot be read: {error}")

    def _check_head(self, table: str, links: _Links) -> None:
        head = self._heads.get(table, EMPTY)
        if links.last_id < head.id:
            self.add(table, _span(links.last_id + 1, head.id), "missing, though newest")
        elif links.last_id > head.id or (links.known_as and head.hash not in links.known_as):
            self.add("chain_heads", table, f"does not name row {links.last_id}, the newest of {table}")

    def _count(self, table: str, number: int = 1) -> None:
        before = self._checked.get(table, 0)
        count = self._checked[table] = before + number
        if self._progress is not None and count // _PROGRESS_EVERY > before // _PROGRESS_EVERY:
            self._progress(table, count)


class _Links:
    """Follows a chain row by row. ``known_as`` are the hashes that the last row may be continued by.

    Those are the hash it has and the one it should have: where they differ that row is named already, and
    the next one is innocent if it continues either. None at all: the row to start after is gone.
    """

    def __init__(self, chain: Chain, last_id: int, known_as: frozenset[Value]) -> None:
        self._chain = chain
        self.last_id = last_id
        self.known_as = known_as
        self.newest = ""

    def take(self, values: tuple[Value, ...]) -> list[tuple[str, str]]:
        """What is wrong with the next row, and with which."""
        row_id = _integer(values[0])
        computed, stored, previous = self._chain.hashes(values)
        found: list[tuple[str, str]] = []
        if row_id != self.last_id + 1:
            found.append((_span(self.last_id + 1, row_id - 1), "missing"))
        if computed != stored:
            found.append((str(row_id), "does not match its hash"))
        elif self.known_as and previous not in self.known_as and not found:
            found.append((str(row_id), f"does not continue row {self.last_id}: one of the two was rewritten"))
        self.last_id, self.known_as, self.newest = row_id, frozenset({computed, stored}), computed
        return found


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last}"


def _hash_at(connection: apsw.Connection, table: str, row_id: int, cut: Cut | None) -> frozenset[Value]:
    if row_id == 0:
        return frozenset({GENESIS})
    if cut is not None and row_id == cut.last_id:
        return frozenset({cut.hash})
    found = connection.execute(f"SELECT hash FROM {table} WHERE id = ?", (row_id,)).get
    return frozenset() if found is None else frozenset({found})


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
