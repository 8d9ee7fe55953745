"""Lists the positions that are open according to the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fsm.cli import output
from fsm.cli.options import command, current
from fsm.cli.times import shown

if TYPE_CHECKING:
    from store.views import PositionRow, SymbolRow

_NUMBERS = ("size", "entry", "stop", "mark", "uPnL", "at the stop")


@command()
def positions() -> None:
    """List open positions with their stops."""
    from store import queries
    from store.database import open_store

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        rows, identity, others = queries.positions(store), store.identity, beside(queries.symbols(store))
    if options.json:
        output.document({"positions": rows, "not_ours": others})
        return
    output.banner(identity.environment if identity else None)
    for each in others:
        output.line(beside_in_words(each))
    if not rows:
        output.line("no position of this bot is open" if others else "no position is open")
        return
    cells = [
        (
            row.symbol,
            row.side,
            row.size,
            output.price(row.entry),
            output.price(row.stop_price) or "NO STOP",
            output.price(row.mark),
            "" if row.upnl is None else f"{row.upnl:+,.2f}",
            _at_stop(row),
            row.trade_id,
            shown(row.opened_ms),
            shown(row.protected_ms) or "NOT YET",
        )
        for row in rows
    ]
    columns = ("symbol", "side", *_NUMBERS, "trade", "opened UTC", "protected UTC")
    output.table(columns, cells, right=_NUMBERS)


def _at_stop(row: PositionRow) -> str:
    """What it makes or loses where its stop is hit, in USDT, before fees."""
    if row.stop_price is None or row.entry is None:
        return ""
    change = row.stop_price - row.entry
    return f"{(change if row.side == 'LONG' else -change) * row.size:+,.2f}"


def beside(rows: Sequence[SymbolRow]) -> list[dict[str, Any]]:
    """What was seen open last that is not ours: signed quantity, price, and whether it was handed over."""
    import msgspec

    from fsm.core.model.records import SymbolRecord

    records = [msgspec.json.decode(row.record_json, type=SymbolRecord) for row in rows]
    return [
        {
            "symbol": record.symbol,
            "quantity": record.foreign.quantity,
            "price": record.foreign.price,
            "released": record.released is not None,
        }
        for record in records
        if record.foreign is not None
    ]


def beside_in_words(found: dict[str, Any]) -> str:
    whose = "yours by release" if found["released"] else "not this bot's"
    side = "LONG" if found["quantity"] > 0 else "SHORT"
    return (
        f"{found['symbol']} {side} {abs(found['quantity']):f}, {whose}: the bot enters nothing there until it is flat"
    )
