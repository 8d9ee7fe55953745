"""The list of symbols that the bot trades by a rule, for readers: which are on it, and until when."""

from __future__ import annotations

import msgspec

from store.database import Store
from store.queries.happenings import system_events

_KIND = "SYMBOL_LIST"


class _Rule(msgspec.Struct, frozen=True):
    top_by: str = ""
    n: int = 0
    exclude: tuple[str, ...] = ()


class ListInForce(msgspec.Struct, frozen=True, kw_only=True):
    """Made at ``at_ms`` of what was told then; a new one is due at ``until_ms``, and this one stands until there is
    one."""

    at_ms: int = 0
    day_ms: int
    until_ms: int
    rule: _Rule
    listed: tuple[str, ...]
    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def symbol_list(store: Store, *, by_ms: int | None = None) -> ListInForce | None:
    """The newest, or the newest that was made by then; None where there never was one."""
    rows = system_events(store, kind=_KIND, limit=1, by_ms=by_ms)
    if not rows:
        return None
    return msgspec.structs.replace(msgspec.json.decode(rows[0].facts_json, type=ListInForce), at_ms=rows[0].at_ms)
