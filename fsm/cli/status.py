"""Says how things stand according to the database: the account, and each symbol with the reason for what it does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from fsm.cli import output
from fsm.cli.limits import route_in_words, steps_in_words
from fsm.cli.lists import document
from fsm.cli.options import command, current
from fsm.cli.positions import beside, beside_in_words
from fsm.cli.times import Age, shown
from fsm.live.operator.wording import because

COMMANDS_SHOWN = 5
FILES_S_MAX = 30.0


@command()
@click.option("--alive", is_flag=True, help="exit with 3 unless a bot runs and has left a pulse within a minute")
@click.option("--protecting", is_flag=True, help="exit with 3 unless it also sees a stop of each open position")
@click.option("--end-after", type=Age(), metavar="TIME", help="with --protecting: end a bot that has not for so long")
def status(alive: bool, protecting: bool, end_after: int | None) -> None:
    """Say how things stand. The account, and each symbol's state, regime and present reason."""
    from fsm.cli.health import require_alive, require_protecting

    options = current()
    path = options.database_path()
    if end_after is not None and not protecting:
        raise click.UsageError("--end-after goes with --protecting")
    if protecting:
        require_protecting(path, end_after_s=None if end_after is None else end_after / 1000)
    elif alive:
        require_alive(path)
    now = found(path)
    if options.json:
        output.document(now)
    else:
        _print(now)


def found(path: Path) -> dict[str, Any]:
    """How things stand, as plain data."""
    import msgspec

    from fsm.live.operator.waiting_edits import waiting
    from store import queries
    from store.database import open_store
    from store.inbox import Inbox
    from store.lock import holder
    from web import documents

    with open_store(path, mode="read") as store:
        identity, account, equity = store.identity, queries.account(store), queries.latest_equity(store)
        states = {row.symbol: row for row in queries.symbols(store)}
        decisions = {row.symbol: row for row in queries.latest_decisions(store)}
        positions = queries.positions(store)
        commands, health = Inbox(store).recent(limit=COMMANDS_SHOWN), documents.health(store)
        undelivered, clock = documents.telegram(store).undelivered, health.clock
        edits, listing = waiting(store), documents.symbol_list(store)
    pid = holder(path)
    return {
        "database": str(path),
        "environment": identity.environment if identity else None,
        "database_id": identity.database_id if identity else None,
        "daemon": {"running": pid is not None, "pid": pid or None},
        "account": {
            "at_ms": equity.at_ms if equity else None,
            "balance": equity.balance if equity else None,
            "equity": equity.equity if equity else None,
            "equity_high": account.equity_high if account else None,
            "halt_cause": account.halt_cause if account else None,
            "halt_since_ms": account.halt_since_ms if account else None,
            "paused": account.paused if account else False,
            "route": msgspec.json.decode(account.record_json).get("route") if account else None,
            "small_steps": msgspec.json.decode(account.record_json).get("steps") if account else None,
        },
        "clock": {"offset_ms": clock.offset_ms, "measured_ms": clock.measured_ms} if clock and pid else None,
        "tasks": {name: task for name, task in health.tasks.items() if task.failures} if pid else {},
        "output": health.output if pid else {},
        "files_looked_wall_ms": health.files_looked_wall_ms if pid else None,
        "undelivered": undelivered if pid else "",
        "positions": len(positions),
        "not_ours": beside(list(states.values())),
        "commands": commands,
        "waiting_edits": edits,
        "symbol_list": document(listing),
        "symbols": [
            {
                **_symbol(name, states.get(name), decisions.get(name)),
                "listed": None if listing is None else name in listing.listed,
                "list_until_ms": None if listing is None else listing.until_ms,
            }
            for name in sorted({*states, *decisions, *(listing.listed if listing is not None else ())})
        ],
    }


def _symbol(name: str, state: Any, decision: Any) -> dict[str, Any]:
    """One symbol; it has no machine row before its first transition, and no decision before its first candle."""
    return {
        "symbol": name,
        "state": state.state if state else "IDLE",
        "since_ms": state.at_ms if state else None,
        "trade_id": state.trade_id if state else None,
        "halt_cause": state.halt_cause if state else None,
        "quarantine_cause": state.quarantine_cause if state else None,
        "paused": state.paused if state else False,
        "regime": decision.regime if decision else None,
        "confidence": decision.confidence if decision else None,
        "outcome": decision.outcome if decision else None,
        "reason": decision.reason if decision else None,
        "decided_ms": decision.last_ms if decision else None,
    }


def _print(found: Mapping[str, Any]) -> None:
    output.banner(found["environment"])
    output.pairs(_lines(found))
    output.line()
    listing = found["symbol_list"]
    lists = () if listing is None else ("on the list",)
    rest = ("state", "since UTC", "trade", "blocked by", "regime", "confidence", "last decision")
    columns = ("symbol", *lists, *rest)
    rows = [
        (
            row["symbol"],
            *(_listed(row) for _ in lists),
            row["state"],
            shown(row["since_ms"]),
            row["trade_id"],
            _blocked(row),
            row["regime"],
            None if row["confidence"] is None else f"{row['confidence']:.2f}",
            because(row["reason"] or ""),
        )
        for row in found["symbols"]
    ]
    output.table(columns, rows, right=("confidence",))


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    account, daemon = found["account"], found["daemon"]
    yield "database", f"{found['database']} ({found['environment']}, id {found['database_id']})"
    yield "daemon", f"running, process {daemon['pid']}" if daemon["running"] else "not running"
    if found["clock"] is not None:
        yield "clock", _clock(found["clock"])
    if account["at_ms"] is not None:
        yield "equity", f"{account['equity']:,.2f} USDT at {shown(account['at_ms'])} UTC"
        yield "balance", f"{account['balance']:,.2f} USDT"
    if account["equity_high"] is not None:
        yield "highest equity", f"{account['equity_high']:,.2f} USDT"
    if account["halt_cause"]:
        cause = account["halt_cause"]
        yield "halted", f"{cause} since {shown(account['halt_since_ms'])} UTC: {because(cause)}"
    if account["route"]:
        yield "stops", route_in_words(account["route"])
    if account["paused"]:
        yield "paused", "by the operator"
    if account["small_steps"]:
        yield "small steps", steps_in_words(account["small_steps"])
    yield from _beside(found)
    yield "open positions", found["positions"]
    if found["symbol_list"] is not None:
        listing = found["symbol_list"]
        until, made = shown(listing["until_ms"]), shown(listing["at_ms"])
        yield "symbol list", f"{len(listing['listed'])} symbols, made {made}, the next is due {until} UTC"
    for each in found["not_ours"]:
        yield "beside them", beside_in_words(each)
    for edit in found["waiting_edits"]:
        yield "waits", edit.told
    for wish in found["commands"]:
        refused = f" by {wish.guard}" if wish.guard else ""
        told = f": {wish.detail}" if wish.detail else ""
        yield f"command {wish.id}", f"{wish.kind} {wish.symbol or 'all'}, {wish.state}{refused}{told}"


def _clock(clock: Mapping[str, Any]) -> str:
    """As `doctor` says it: the bot goes by the exchange's clock, whatever this machine's shows."""
    offset_ms = clock["offset_ms"]
    where = "behind" if offset_ms > 0 else "ahead of"
    return f"{abs(offset_ms):,} ms {where} the exchange's, measured at {shown(clock['measured_ms'])} UTC"


def _beside(found: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What goes wrong beside trading."""
    for name, task in found["tasks"].items():
        state = "at work again" if task.is_working else "begins again soon, or is done"
        often = "once" if task.failures == 1 else f"{task.failures} times"
        yield f"task {name}", f"failed {often} since the start ({task.last}); {state}"
    for name, lost in found["output"].items():
        if lost.dropped or lost.errors:
            yield name, f"{lost.dropped} lines were not taken since the start ({lost.errors} errors)"
    looked_ms = found["files_looked_wall_ms"]
    if looked_ms is not None and (age_s := time.time() - looked_ms / 1000) > FILES_S_MAX:
        yield "edited files", f"could not be read for {age_s:.0f} s: what was accepted last holds"
    if found["undelivered"]:
        yield "Telegram", f"messages wait: {found['undelivered']}"


def _listed(row: Mapping[str, Any]) -> str:
    return f"until {shown(row['list_until_ms'])}" if row["listed"] else "no"


def _blocked(row: Mapping[str, Any]) -> str:
    quarantine = f"quarantine {row['quarantine_cause']}" if row["quarantine_cause"] else ""
    return ", ".join(filter(None, (row["halt_cause"], quarantine, "paused" if row["paused"] else "")))
