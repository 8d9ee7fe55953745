"""Where chains begin since their oldest rows were removed, as the journal itself says (system events PRUNED).

A pruned chain starts behind its cut: the first row that is left continues the hash of the last one that is gone, and
that hash stands in a chained row. What later rows build upon is kept there too: each symbol's row as it was at the cut,
and the sum of the trades that were over by then.
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

import apsw
import msgspec

from store.canonical import Value
from store.models import Trade, Transition
from store.tables import TABLES

PRUNED = "PRUNED"
"""Kind of the system event that says what was removed."""

TRANSITIONS = TABLES[Transition].name
_MODULUS = 2**256
_ROWS = TABLES[Trade]


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Of one chain the newest row that was removed; all before it are gone as well."""

    last_id: int
    hash: str


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The trades that no remaining transition tells of: how many, and what the hashes of their rows add up to."""

    rows: int
    sum: str


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest pruning left. ``symbols`` are rows of that table, as they were after the last removed row."""

    before_ms: int
    cuts: dict[str, Cut]
    symbols: dict[str, tuple[Value, ...]] = {}
    settled: Settled = Settled(rows=0, sum="0")
    archive: str | None = None

    def start(self, table: str) -> Cut | None:
        return self.cuts.get(table)


NOTHING_PRUNED = Pruned(before_ms=0, cuts={})


def pruned(connection: apsw.Connection) -> Pruned:
    """Where each chain begins; one whose event cannot be read counts as none, and verification names it."""
    sql = "SELECT facts_json FROM system_events WHERE kind = ? ORDER BY id DESC LIMIT 1"
    row = connection.execute(sql, (PRUNED,)).fetchone()
    if row is None:
        return NOTHING_PRUNED
    try:
        return msgspec.json.decode(str(row[0]), type=Pruned)
    except msgspec.MsgspecError:
        return NOTHING_PRUNED


def settled(connection: apsw.Connection, last_id: int) -> Settled:
    """The trades as they are stored whose newest transition is this one or an older one."""
    rows = total = 0
    sql = f"SELECT {', '.join(_ROWS.hashed)} FROM trades WHERE transition_id <= ?"
    for row in connection.execute(sql, (last_id,)):
        rows, total = rows + 1, total + int(_ROWS.canonical.digest(row), 16)
    return Settled(rows=rows, sum=f"{total % _MODULUS:064x}")
