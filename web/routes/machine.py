"""Answers about the machine: its table, and the state in which each symbol is."""

from __future__ import annotations

import msgspec

from store import queries
from store.database import Store
from web import documents
from web.endpoint import Context, Endpoint, NoQuery
from web.views import Flag

UNMOVED = "IDLE"
"""The state of every machine before its first step."""


class SymbolView(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's machine now; ``at_ms`` and ``transition_id`` are None before its first step. ``listed``: it is on the
    list of symbols, of which the next is due at ``list_until_ms``; both are None where config.yaml names its symbols.
    """

    symbol: str
    listed: bool | None = None
    list_until_ms: int | None = None
    state: str
    trade_id: str | None
    halt: Flag | None
    quarantine: Flag | None
    paused: bool
    at_ms: int | None
    transition_id: int | None


class MachineView(msgspec.Struct, frozen=True, kw_only=True):
    """The table the engine runs on as the daemon left it (None when it has not), and where each symbol is in it."""

    table: documents.MachineDocument | None
    symbols: list[SymbolView]


def machine(store: Store, query: NoQuery, context: Context) -> MachineView:
    moved = [
        SymbolView(
            symbol=row.symbol,
            state=row.state,
            trade_id=row.trade_id,
            halt=_flag(row.halt_cause, row.halt_since_ms),
            quarantine=_flag(row.quarantine_cause, row.quarantine_since_ms),
            paused=row.paused,
            at_ms=row.at_ms,
            transition_id=row.transition_id,
        )
        for row in queries.symbols(store)
    ]
    still = documents.symbols(store) - {view.symbol for view in moved}
    in_force = documents.symbol_list(store)
    found = [_on_list(view, in_force) for view in [*moved, *map(_unmoved, still)]]
    return MachineView(table=documents.machine(store), symbols=sorted(found, key=lambda view: view.symbol))


def _on_list(view: SymbolView, found: queries.ListInForce | None) -> SymbolView:
    if found is None:
        return view
    return msgspec.structs.replace(view, listed=view.symbol in found.listed, list_until_ms=found.until_ms)


def _unmoved(symbol: str) -> SymbolView:
    """A symbol that config.yaml names and that has not taken a step yet."""
    return SymbolView(
        symbol=symbol,
        state=UNMOVED,
        trade_id=None,
        halt=None,
        quarantine=None,
        paused=False,
        at_ms=None,
        transition_id=None,
    )


def _flag(cause: str | None, since_ms: int | None) -> Flag | None:
    return None if cause is None else Flag(cause, since_ms or 0)


READS = (
    Endpoint(
        path="/api/machine",
        summary="The machine's table, and the state of every symbol",
        answer=MachineView,
        read=machine,
    ),
)
