"""Lists trades with what came of them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.names import a_symbol, nothing_matches
from fsm.cli.options import command, current
from fsm.cli.times import Time
from fsm.cli.trade_columns import NUMBERS, SHOWN, cells

if TYPE_CHECKING:
    from store.trade_rows import TradeRow

LIMIT = 50
STATUSES = ("PENDING", "OPEN", "CLOSED", "ABANDONED")


@command()
@click.option("--symbol", metavar="SYMBOL", shell_complete=a_symbol, help="of this symbol only")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="with this status only")
@click.option("--since", "since_ms", type=Time(), metavar="TIME", help="opened from this time on")
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True, help="the newest so many")
@click.option("--export", "is_export", is_flag=True, help="CSV for accounting on stdout: all of them, the oldest first")
@click.option(
    "--per", type=click.Choice(["trade", "fill"]), default="trade", show_default=True, help="a row of --export"
)
def trades(
    symbol: str | None, status: str | None, since_ms: int | None, limit: int, *, is_export: bool, per: str
) -> None:
    """List trades and their results. The newest last; results in USDT and in R. docs/accounting.md: the CSV."""
    from store import queries
    from store.database import open_store

    options = current()
    wanted = symbol.upper() if symbol else None
    with open_store(options.database_path(), mode="read") as store:
        if is_export:
            from fsm.cli.accounting import fill_lines, trade_lines

            lines = (
                trade_lines(store, wanted, status, since_ms) if per == "trade" else fill_lines(store, wanted, since_ms)
            )
            for text in lines:
                click.echo(text, nl=False)
                if output.is_lost():
                    break
            return
        rows = queries.trades(store, symbol=wanted, status=status, since_ms=since_ms, limit=limit)[::-1]
        total = queries.trades_count(store, symbol=wanted, status=status, since_ms=since_ms)
        identity = store.identity
        nothing = "" if rows else nothing_matches("no trade matches", store, wanted)
    if options.json:
        output.document({"total": total, "trades": rows})
    else:
        output.banner(identity.environment if identity else None)
        _print(rows, total, nothing)


def _print(rows: list[TradeRow], total: int, nothing: str) -> None:
    if nothing:
        output.line(nothing)
        return
    output.table(tuple(SHOWN), [cells(row, SHOWN) for row in rows], right=NUMBERS)
    closed = [row for row in rows if row.net_pnl is not None]
    net = sum((row.net_pnl for row in closed if row.net_pnl is not None), Decimal(0))
    won = sum(1 for row in closed if row.net_pnl is not None and row.net_pnl > 0)
    output.line()
    all_of_them = output.counted(total, "trade")
    shown_of = f"{len(rows)} of {all_of_them}" if len(rows) < total else all_of_them
    output.line(f"{shown_of}; of {len(closed)} closed {won} won; net {net:,.2f} USDT")
