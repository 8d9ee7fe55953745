"""Says which symbols the list by rule has, and until when, as commands tell it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsm.cli.times import shown

if TYPE_CHECKING:
    from fsm.config import Settings
    from store.database import Store
    from store.queries import ListInForce


def stored_list(path: Path, settings: Settings) -> ListInForce | None:
    """The newest list of a database, where these settings want one at all. Raises StoreError."""
    from store import queries
    from store.database import open_store

    if settings.symbol_list is None or not path.exists():
        return None
    with open_store(path, mode="read") as store:
        return queries.symbol_list(store)


def in_words(found: ListInForce | None) -> str:
    if found is None:
        return "by a rule; the first list is made when the bot starts"
    rule = found.rule
    return (
        f"by a rule, the {rule.n} with the most {rule.top_by}: {', '.join(found.listed)}; "
        f"made {shown(found.at_ms)}, the next is due {shown(found.until_ms)} UTC"
    )


def document(found: ListInForce | None) -> dict[str, Any] | None:
    import msgspec

    plain: dict[str, Any] | None = None if found is None else msgspec.to_builtins(found)
    return plain


def standing_in_words(store: Store, symbol: str, by_ms: int | None) -> str:
    """Whether a symbol is, or was by then, on the list; else where it stands. Empty where no list is in force."""
    from fsm.core.symbol_list import standing
    from fsm.journal import symbol_lists
    from web import documents

    found = documents.symbol_list(store, by_ms=by_ms)
    if found is None:
        return ""
    if symbol in found.listed:
        return f"on it until {shown(found.until_ms)} UTC at least (made {shown(found.at_ms)})"
    made = symbol_lists.newest(store, by_ms=by_ms)
    why = "" if made is None else f": {standing(made.rule, made.told, symbol)}"
    return f"not on it until {shown(found.until_ms)} UTC{why}"
