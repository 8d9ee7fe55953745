"""Shows a running bot over a terminal, again every few seconds: alive, budgets, positions, and what is nearest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import health, layout, output
from fsm.cli.limits import TITLES
from fsm.cli.limits import stored as stored_limits
from fsm.cli.options import command, current
from fsm.cli.status import found as found_status
from fsm.cli.times import to_the_minute
from fsm.live.operator.wording import because

if TYPE_CHECKING:
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
    options = current()
    path = options.database_path()
    if options.json:
        output.document(_figures(path))
        return
    if once or not output.is_terminal():
        for line in _screen(path, output.width() if output.is_terminal() else output.PAGE_WIDTH):
            output.verbatim(line)
        return
    _watch(path, every_s)


def _watch(path: Path, every_s: float) -> None:
    """The same again every few seconds, on a screen of its own, until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def screen() -> Text:
        return Text.from_ansi("\n".join(_screen(path, console.width)))

    console = Console(highlight=False)
    with Live(screen(), console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every_s)
                live.update(screen(), refresh=True)
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
    fault = health.fault(path, now_ms=time.time_ns() // 1_000_000) if status["daemon"]["running"] else None
    return {
        "status": status,
        "limits": budgets,
        "positions": positions,
        "fault": None if fault is None else {"code": fault.code, "message": fault.message, "hint": fault.hint},
    }


def _screen(path: Path, room: int) -> Iterator[str]:
    """The lines of one look."""
    found = _figures(path)
    status, budgets, fault = found["status"], found["limits"], found["fault"]
    is_well = status["daemon"]["running"] and fault is None
    yield from _said(_headline(status, is_well=is_well), room, fg=None if is_well else "red", bold=True)
    if fault is not None:
        yield from _said(f"{fault['message']}: {fault['hint']}", room, fg="red")
    if status["account"]["halt_cause"]:
        yield from _said(f"NO ENTRIES: {because(status['account']['halt_cause'])}", room, fg="red")
    yield ""
    yield from _positions(found["positions"], room)
    yield ""
    yield from _budgets(budgets["budgets"], room)
    yield ""
    yield from _symbols(status["symbols"], room)


def _said(text: str, room: int, **style: Any) -> Iterator[str]:
    yield from (click.style(line, **style) for line in layout.folded(text, room))


def _headline(status: Mapping[str, Any], *, is_well: bool) -> str:
    daemon, account = status["daemon"], status["account"]
    alive = f"{'running' if is_well else 'NOT WELL'} (process {daemon['pid']})" if daemon["running"] else "NOT RUNNING"
    parts = [(status["environment"] or "?").upper(), alive]
    if account["equity"] is not None:
        parts.append(f"equity {account['equity']:,.2f} USDT at {to_the_minute(account['at_ms'])} UTC")
    return "   ".join(parts)


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], room: int, right: Sequence[str] = ()
) -> Iterator[str]:
    yield click.style(title, italic=True)
    laid = layout.table(columns, rows, right, room)
    if laid is None:
        for first, lines in layout.stacked(columns, rows, room):
            yield first
            yield from lines
        return
    names, lines = laid
    yield from (click.style(name, dim=True) for name in names)
    yield from lines


def _positions(rows: list[PositionRow], room: int) -> Iterator[str]:
    if not rows:
        yield "nothing is open"
        return
    numbers = ("size", "entry", "mark", "uPnL", "stop", "to the stop")
    cells = []
    for row in rows:
        far = "" if row.mark is None or row.stop_price is None else f"{_percent(row.stop_price, row.mark):.2f} %"
        cells.append(
            (
                row.symbol,
                row.side,
                f"{row.size:f}",
                output.price(row.entry),
                output.price(row.mark),
                "" if row.upnl is None else f"{row.upnl:+,.2f}",
                output.price(row.stop_price) or _alarm("NO STOP"),
                far,
                "yes" if row.protected_ms is not None else _alarm("NOT YET"),
            )
        )
    yield from _table(f"{len(rows)} open", ("symbol", "side", *numbers, "protected"), cells, room, numbers)


def _alarm(text: str) -> str:
    return click.style(text, fg="red", bold=True)


def _budgets(rows: list[Mapping[str, Any]], room: int) -> Iterator[str]:
    cells = []
    for row in rows:
        share = min(max(float(row["used_pct"]), 0.0), 100.0)
        filled = round(share / 100 * _BAR)
        color = "red" if share >= 90 else "yellow" if share >= 60 else "green"
        bar = click.style("█" * filled, fg=color) + click.style("·" * (_BAR - filled), dim=True)
        left = Decimal(row["left"])
        amount = f"{left:,.2f} USDT" if row["unit"] == "USDT" else f"{left:,}"
        cells.append((TITLES[row["name"]], bar, f"{share:.0f} %", amount))
    yield from _table("budgets", ("budget", "used", "share", "left"), cells, room, ("share", "left"))


def _symbols(rows: list[Mapping[str, Any]], room: int) -> Iterator[str]:
    ordered = sorted(rows, key=lambda row: (row["nearest"] is None, row["nearest"] and row["nearest"]["lacking"]))
    cells = [
        (
            row["symbol"],
            row["state"],
            row["regime"] or "",
            because(row["reason"] or ""),
            _near(row["nearest"]) if row["nearest"] else "",
        )
        for row in ordered[:SYMBOLS_MAX]
    ]
    yield from _table("symbols", ("symbol", "state", "regime", "last decision", "nearest"), cells, room)
    if len(rows) > SYMBOLS_MAX:
        yield f"and {len(rows) - SYMBOLS_MAX} more: `status` lists all"


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


def _percent(one: Decimal, other: Decimal) -> Decimal:
    """How far one price is from another, in percent of the other."""
    return abs(one - other) / other * 100 if other else Decimal(0)
