"""Which symbols are managed whatever the files say, and what a start goes on with where the files are unusable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from fsm.live.operator.accepted import Accepted, last_accepted
from fsm.live.trading.recovery import stored_records
from store import queries
from store.database import Store, open_store
from store.errors import StoreError


def symbols_in_trade(store: Store) -> tuple[str, ...]:
    """Symbols with a trade under way, or with an entry whose end nobody saw."""
    records = stored_records(store)
    return tuple(sorted(name for name, found in records.items() if found.trade or found.abandoned))


def accepted_for_open_trades(path: Path) -> Accepted | None:
    """What was accepted last, where something is open; None where nothing is, or nothing can be read."""
    if not path.exists():
        return None
    try:
        with open_store(path, mode="read") as store:
            return last_accepted(store) if symbols_in_trade(store) else None
    except StoreError:
        return None


def known_symbols(path: Path) -> frozenset[str]:
    """Symbols whose rules the exchange told the last bot on this database; none where nothing can be read."""
    if not path.exists():
        return frozenset()
    try:
        with open_store(path, mode="read") as store:
            started = next(iter(queries.system_events(store, kind="START", limit=1)), None)
    except StoreError:
        return frozenset()
    told = msgspec.json.decode(started.facts_json, type=dict[str, Any]) if started else {}
    return frozenset(told.get("filters", ()))
