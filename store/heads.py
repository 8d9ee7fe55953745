"""The heads of all chains at one moment: a row that names them, whose own hash goes out of the house (R74).

Whoever can rewrite the database can cut all chains at the same moment and make everything fit. What he cannot change is
a hash that somebody else keeps: it is found again only in the journal that it came from, and only if that is whole.
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Iterator

import apsw
import msgspec

from store.canonical import Value
from store.chains import CHAINS, Head
from store.cuts import Pruned
from store.journal import Journal
from store.models import SystemEvent

HEAD = "JOURNAL_HEAD"
"""Kind of the system event that names the heads."""


class NamedHeads(msgspec.Struct, frozen=True):
    """The newest id and hash of each chain, by table; a chain without rows is left out."""

    heads: dict[str, tuple[int, str]]


def newest_heads(journal: Journal) -> NamedHeads:
    """Where every chain stands now."""
    found = {chain.table.name: journal.head(chain.model) for chain in CHAINS.values()}
    return NamedHeads({name: (head.id, head.hash) for name, head in found.items() if head.id})


def journalled_head(journal: Journal) -> Head:
    """The newest system event: right after one that names the heads, the hash that stands for all of them."""
    return journal.head(SystemEvent)


def heads_missing(connection: apsw.Connection, facts: Value, gone: Pruned) -> Iterator[tuple[str, str, str]]:
    """Of one such row: each head that is not in its chain any more, as (table, row, what is wrong).

    One that was pruned away is told by the cut, which a later row of the same chain of events names.
    """
    try:
        named = msgspec.json.decode(str(facts), type=NamedHeads)
    except msgspec.MsgspecError:
        return  # the row was changed, which its hash tells
    known = {chain.table.name for chain in CHAINS.values()}
    for table, (row_id, digest) in named.heads.items():
        cut = gone.start(table)
        if table not in known or (cut is not None and row_id < cut.last_id):
            continue
        found: Value = connection.execute(f"SELECT hash FROM {table} WHERE id = ?", (row_id,)).get
        if cut is not None and row_id == cut.last_id:
            found = cut.hash
        if found is None:
            yield table, str(row_id), "missing, though a daily head names it: the chain was cut off or made anew"
        elif found != digest:
            yield table, str(row_id), "is not the row that a daily head names: the chain was made anew"
