"""Removes the oldest rows of long chains, so that the rest is still verified, replayed and rebuilt from itself.

What is removed: transitions, decisions, changes of regime and errors, all from before one moment. What stays whatever
its age: trades, fills, orders, equity, system events, the files that were in force, candles: figures do not change.
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import msgspec

from store.batch import Batch
from store.canonical import Value
from store.cuts import NOTHING_PRUNED, PRUNED, TRANSITIONS, Cut, Pruned, pruned, settled
from store.database import Store, open_store
from store.errors import StoreError
from store.journal import Journal
from store.models import Decision, ErrorEntry, Regime, SymbolState, Transition
from store.projections import project
from store.rows import SystemEventRow, TransitionRow
from store.seals import unseal
from store.tables import TABLES

PRUNABLE = tuple(TABLES[model].name for model in (Transition, Decision, Regime, ErrorEntry))
KEEP_DAYS_MIN = 40
"""Loss limits look back a month at most; what is open is kept however old it is."""

_DAY_MS = 86_400_000
_NEWEST = "SELECT max(at_ms) FROM (SELECT max(at_ms) at_ms FROM {} UNION SELECT max(at_ms) FROM system_events)"
_OPEN_TRADES = (
    "SELECT min(t.id) FROM transitions t JOIN trades ON trades.id = t.trade_id"
    " WHERE trades.status IN ('PENDING', 'OPEN')"
)
_OPEN_INTENTS = "SELECT min(transition_id) FROM intents WHERE status IN ('PENDING', 'UNKNOWN')"
_SYMBOLS_AT = "SELECT {} FROM transitions WHERE id IN (SELECT max(id) FROM transitions WHERE id <= ? GROUP BY symbol)"


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What one pruning took away: rows by table, and the size of the file before and after."""

    before_ms: int
    rows: dict[str, int]
    bytes_before: int
    bytes_after: int


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """How large the file would be after a pruning, roughly, and what of it would stay in any case."""

    before_ms: int
    bytes: int


def newest_ms(connection: apsw.Connection) -> int:
    """The journal's own time: a simulated year passes in minutes, and a bot that was away for a month has not aged."""
    return int(connection.execute(_NEWEST.format(TRANSITIONS)).get or 0)


def room_after(connection: apsw.Connection, before_ms: int) -> Room:
    """An estimate from what each table takes now, as if all its rows were equally large."""
    page, pages, free = (connection.pragma(name) for name in ("page_size", "page_count", "freelist_count"))
    taken = dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    owners = dict(connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"))
    gone = 0.0
    shares = {}
    for table, last_id in _last_ids(connection, before_ms).items():
        total = connection.execute(f"SELECT count(*) FROM {table}").get
        removed = connection.execute(f"SELECT count(*) FROM {table} WHERE id <= ?", (last_id,)).get
        shares[table] = removed / total if total else 0.0
    shares["intents"] = shares.get(TRANSITIONS, 0.0)
    for name, size in taken.items():
        gone += size * shares.get(owners.get(name, name), 0.0)
    return Room(before_ms=before_ms, bytes=round((pages - free) * page - gone))


def largest_tables(connection: apsw.Connection) -> str:
    """What takes most of the file, in words."""
    sql = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 3"
    return ", ".join(f"{name} {size / 1e6:.1f} MB now" for name, size in connection.execute(sql))


def prune(path: Path, *, before_ms: int, run_id: str, archive: str | None = None) -> Removed:
    """Remove what is older, in one transaction with the row that says so; then give the room back to the disk.

    The caller holds the ProcessLock and has verified the journal. ``archive`` names the copy that holds what is
    removed. Nothing of what is open is removed: no transition of a trade that has not ended, nor any after it.
    """
    with open_store(path, mode="write") as store:
        connection = store.connection
        before = path.stat().st_size
        if before_ms > newest_ms(connection) - KEEP_DAYS_MIN * _DAY_MS:
            raise StoreError(f"fewer than {KEEP_DAYS_MIN} days would be left", "loss limits look back a month")
        journal = Journal(store, run_id)
        with store.transaction():
            rows = _remove(store, journal, before_ms, archive)
        if any(rows.values()):
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Removed(before_ms=before_ms, rows=rows, bytes_before=before, bytes_after=path.stat().st_size)


def _remove(store: Store, journal: Journal, before_ms: int, archive: str | None) -> dict[str, int]:
    connection = store.connection
    earlier = pruned(connection)
    last_ids = {table: last for table, last in _last_ids(connection, before_ms).items() if last}
    if not last_ids:
        return {}
    found = _after(connection, earlier, last_ids, before_ms, archive)
    facts = msgspec.json.encode(found).decode()
    row = SystemEventRow(at_ms=newest_ms(connection), kind=PRUNED, reason="OPERATOR", facts_json=facts)
    journal.commit(Batch(system_events=[row]))
    if TRANSITIONS in last_ids:
        _remove_intents(connection, last_ids[TRANSITIONS])
    return {table: _remove_rows(connection, table, last_id) for table, last_id in last_ids.items()}


def _after(
    connection: apsw.Connection, earlier: Pruned, last_ids: dict[str, int], before_ms: int, archive: str | None
) -> Pruned:
    cuts = dict(earlier.cuts)
    for table, last_id in last_ids.items():
        cuts[table] = Cut(
            last_id=last_id, hash=connection.execute(f"SELECT hash FROM {table} WHERE id = ?", (last_id,)).get
        )
    last_id = cuts[TRANSITIONS].last_id if TRANSITIONS in cuts else 0
    return Pruned(
        before_ms=before_ms,
        cuts=cuts,
        symbols={**earlier.symbols, **_symbols_at(connection, last_id)},
        settled=settled(connection, last_id) if last_id else NOTHING_PRUNED.settled,
        archive=archive,
    )


def _symbols_at(connection: apsw.Connection, last_id: int) -> dict[str, tuple[Value, ...]]:
    """Each symbol's row after the newest of its transitions up to this one."""
    columns = TABLES[Transition].columns
    found = {}
    for values in connection.execute(_SYMBOLS_AT.format(", ".join(columns)), (last_id,)).fetchall():
        named: dict[str, Any] = dict(zip(columns, values, strict=True))
        row = TransitionRow(**named)
        for change in project(row):
            if change.model is SymbolState and change.values is not None:
                found[row.symbol] = change.values
    return found


def _last_ids(connection: apsw.Connection, before_ms: int) -> dict[str, int]:
    """Of each table the newest row that may go: one that is left continues the chain, so the newest always stays."""
    found = {}
    for table in PRUNABLE:
        newest = connection.execute(f"SELECT max(id) FROM {table}").get
        if newest is None:
            continue
        stays = connection.execute(f"SELECT min(id) FROM {table} WHERE at_ms >= ?", (before_ms,)).get or newest
        if table == TRANSITIONS:
            for sql in (_OPEN_TRADES, _OPEN_INTENTS):
                stays = min(stays, connection.execute(sql).get or stays)
        elif table == TABLES[Regime].name:  # which regime a symbol is in is asked of its newest row
            each = connection.execute("SELECT min(id) FROM (SELECT max(id) id FROM regimes GROUP BY symbol)").get
            stays = min(stays, each)
        oldest = connection.execute(f"SELECT min(id) FROM {table}").get
        found[table] = stays - 1 if stays > oldest else 0
    return found


def _remove_intents(connection: apsw.Connection, last_id: int) -> None:
    """The outbox of removed transitions; its orders stay, as the exchange may still be asked about them."""
    hashes = connection.execute("SELECT row_hash FROM intents WHERE transition_id <= ?", (last_id,)).fetchall()
    unseal(connection, "intents", [int(str(text), 16) for (text,) in hashes])
    connection.execute("DELETE FROM intents WHERE transition_id <= ?", (last_id,))


def _remove_rows(connection: apsw.Connection, table: str, last_id: int) -> int:
    """The trigger that forbids it goes and comes back in the same transaction."""
    trigger = f"{table}_delete"
    sql = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", (trigger,)).get
    connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(f"DELETE FROM {table} WHERE id <= ?", (last_id,))
    removed = connection.changes()
    connection.execute(sql)
    return removed
