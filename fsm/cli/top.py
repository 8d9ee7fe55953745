"""Shows a running bot over a terminal, again every few seconds: alive, budgets, positions, and what is nearest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.limits import TITLES
from fsm.cli.limits import stored as stored_limits
from fsm.cli.options import command, current
from fsm.cli.status import found as found_status
from fsm.cli.times import shown
from fsm.live.operator.wording import because

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from store.database import Store
    from store.views import PositionRow

EVERY_S = 2.0
SYMBOLS_MAX = 40
_BAR = 20


@command()
@click.option("--every", "every_s", type=click.FloatRange(0.2), default=EVERY_S, show_default=True, help="seconds")
@click.option("--once", is_flag=True, help="show it once and end, as it does where no terminal is")
def top(every_s: float, once: bool) -> None:
    """Watch the bot: positions, budgets, protection, what is nearest to a trade. Reads the database; Ctrl-C ends it."""
    from rich.console import Console, Group
    from rich.live import Live

    options = current()
    path = options.database_path()
    if options.json:
        output.document(_figures(path))
        return
    console = Console(width=None if output.is_terminal() else output.PAGE_WIDTH, highlight=False)
    if once or not output.is_terminal():
        console.print(Group(*_screen(path)))
        return
    with Live(Group(*_screen(path)), console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every_s)
                live.update(Group(*_screen(path)), refresh=True)
        except KeyboardInterrupt:
            return


def _figures(path: Path) -> dict[str, Any]:
    from store import queries
    from store.database import open_store

    status, budgets = found_status(path), stored_limits(path)
    with open_store(path, mode="read") as store:
        positions = queries.positions(store)
        nearest = {row["symbol"]: _nearest(store, row["symbol"]) for row in status["symbols"][:SYMBOLS_MAX]}
    for row in status["symbols"]:
        row["nearest"] = nearest.get(row["symbol"])
    return {"status": status, "limits": budgets, "positions": positions}


def _screen(path: Path) -> Iterator[RenderableType]:
    from rich.text import Text

    found = _figures(path)
    status, budgets = found["status"], found["limits"]
    yield Text(_headline(status), style="bold" if status["daemon"]["running"] else "bold red")
    if status["account"]["halt_cause"]:
        cause = status["account"]["halt_cause"]
        yield Text(f"NO ENTRIES: {because(cause)}", style="red")
    yield _positions(found["positions"])
    yield _budgets(budgets["budgets"])
    yield _symbols(status["symbols"])


def _headline(status: Mapping[str, Any]) -> str:
    daemon, account = status["daemon"], status["account"]
    alive = f"running (process {daemon['pid']})" if daemon["running"] else "NOT RUNNING"
    parts = [(status["environment"] or "?").upper(), alive]
    if account["equity"] is not None:
        parts.append(f"equity {account['equity']:,.2f} USDT at {shown(account['at_ms'])[:16]} UTC")
    return "   ".join(parts)


def _table(*columns: tuple[str, str], title: str) -> Table:
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left", padding=(0, 2, 0, 0))
    for name, justify in columns:
        made.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return made


def _positions(rows: list[PositionRow]) -> RenderableType:
    if not rows:
        return "\nnothing is open"
    made = _table(
        ("symbol", "left"), ("side", "left"), ("size", "right"), ("entry", "right"), ("mark", "right"),
        ("uPnL", "right"), ("stop", "right"), ("to the stop", "right"), ("protected", "left"),
        title=f"\n{len(rows)} open",
    )  # fmt: skip
    for row in rows:
        far = "" if row.mark is None or row.stop_price is None else f"{_percent(row.stop_price, row.mark):.2f} %"
        made.add_row(
            row.symbol, row.side, f"{row.size:f}", output.price(row.entry), output.price(row.mark),
            "" if row.upnl is None else f"{row.upnl:+,.2f}",
            output.price(row.stop_price) or "[bold red]NO STOP[/]", far,
            "yes" if row.protected_ms is not None else "[bold red]NOT YET[/]",
        )  # fmt: skip
    return made


def _budgets(rows: list[Mapping[str, Any]]) -> RenderableType:
    made = _table(("", "left"), ("used", "left"), ("", "right"), ("left", "right"), title="\nbudgets")
    for row in rows:
        share = min(max(float(row["used_pct"]), 0.0), 100.0)
        filled = round(share / 100 * _BAR)
        color = "red" if share >= 90 else "yellow" if share >= 60 else "green"
        bar = f"[{color}]{'█' * filled}[/][dim]{'·' * (_BAR - filled)}[/]"
        unit = " USDT" if row["unit"] == "USDT" else ""
        left = Decimal(row["left"])
        amount = f"{left:,.2f}{unit}" if unit else f"{left:,}"
        made.add_row(TITLES[row["name"]], bar, f"{share:.0f} %", amount)
    return made


def _symbols(rows: list[Mapping[str, Any]]) -> RenderableType:
    from rich.markup import escape

    made = _table(
        ("symbol", "left"), ("state", "left"), ("regime", "left"), ("last decision", "left"), ("nearest", "left"),
        title="\nsymbols",
    )  # fmt: skip
    ordered = sorted(rows, key=lambda row: (row["nearest"] is None, row["nearest"] and row["nearest"]["lacking"]))
    for row in ordered[:SYMBOLS_MAX]:
        near = row["nearest"]
        cells = (
            row["symbol"],
            row["state"],
            row["regime"] or "",
            because(row["reason"] or ""),
            _near(near) if near else "",
        )
        made.add_row(*map(escape, cells))
    if len(rows) > SYMBOLS_MAX:
        made.caption = f"and {len(rows) - SYMBOLS_MAX} more: `status` lists all"
    return made


def _near(near: Mapping[str, Any]) -> str:
    lacks = "all conditions hold" if not near["lacking"] else f"lacks {near['lacking']} of {near['conditions']}"
    first = f": {near['first']}" if near["first"] else ""
    return f"{near['strategy']} {near['side']} {lacks}{first}"


def _nearest(store: Store, symbol: str) -> dict[str, Any] | None:
    """The side of a setup that is nearest, at the newest decision; None where nothing is sought."""
    from fsm.journal.explain import NothingDecided, explain
    from store.errors import StoreError

    try:
        best = next(iter(explain(store, symbol).nearest), None)
    except (NothingDecided, StoreError):
        return None
    if best is None:
        return None
    return {
        "strategy": best.strategy,
        "side": best.side,
        "lacking": best.lacking,
        "conditions": best.groups,
        "steps": best.steps,
        "first": best.first,
    }


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _percent(one: Decimal, other: Decimal) -> Decimal:
    """How far one price is from another, in percent of the other."""
    return abs(one - other) / other * 100 if other else Decimal(0)
