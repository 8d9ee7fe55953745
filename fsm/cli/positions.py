"""Lists the positions that are open according to the database."""

from __future__ import annotations

from fsm.cli import output
from fsm.cli.options import command, current
from fsm.cli.times import shown

_NUMBERS = ("size", "entry", "stop", "mark", "uPnL")


@command()
def positions() -> None:
    """List open positions with their stops."""
    from store import queries
    from store.database import open_store

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        rows, identity = queries.positions(store), store.identity
    if options.json:
        output.document({"positions": rows})
        return
    output.banner(identity.environment if identity else None)
    if not rows:
        output.line("no position is open")
        return
    cells = [
        (
            row.symbol,
            row.side,
            row.size,
            row.entry,
            row.stop_price,
            row.mark,
            row.upnl,
            row.trade_id,
            shown(row.opened_ms),
            shown(row.protected_ms) or "NOT YET",
        )
        for row in rows
    ]
    columns = ("symbol", "side", *_NUMBERS, "trade", "opened UTC", "protected UTC")
    output.table(columns, cells, right=_NUMBERS)
