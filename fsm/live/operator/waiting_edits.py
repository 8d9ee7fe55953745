"""Edits of the two YAML files that wait for the operator's word, as a daemon leaves them for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from store import queries
from store.database import Store

WAITING = "waiting"
"""The document in which a daemon leaves the edits that wait."""

SHOWN_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An edit that waits for the operator's word; ``digest`` is of its text, so that no other one is confirmed."""

    file: str
    digest: str
    changes: tuple[str, ...]
    since_ms: int

    @property
    def told(self) -> str:
        more = len(self.changes) - SHOWN_MAX
        shown = "; ".join(self.changes[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
        return (
            f"{self.file} allows more than what is in force, so it waits: {shown}. "
            "`reload confirm` takes it, `reload reject` does not. Until then what was accepted last is in force."
        )


def waiting(store: Store) -> tuple[Waiting, ...]:
    """The edits that wait, as the newest daemon on this database left them."""
    row = queries.document(store, WAITING)
    if row is None:
        return ()
    return msgspec.json.decode(row.body_json, type=dict[str, tuple[Waiting, ...]]).get("edits", ())
