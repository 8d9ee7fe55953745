"""Hands the operator's wishes to the bot through the database, and says what became of them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.names import a_strategy, a_symbol, require_known
from fsm.cli.options import Command, command, current

if TYPE_CHECKING:
    from store.inbox import Inbox
    from store.views import CommandRow

WAIT_S = 30.0
_POLL_S = 0.1

WAIT = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="how long to wait for a running bot's answer",
)

_MEANINGS = {
    "pause": "Stop entries until `resume`. For SYMBOL, or for all; open positions stay managed.",
    "resume": "End a pause, halt or quarantine. Of SYMBOL, or of all; refused while its cause lasts.",
    "halt": "Stop entries, and halt once flat. For SYMBOL, or for all; open positions stay managed.",
}


def _wish(kind: str) -> Command:
    @command(kind)
    @click.argument("symbol", required=False, shell_complete=a_symbol)
    @WAIT
    def carry_out(symbol: str | None, wait_s: float, strategy: str | None = None) -> None:
        if strategy is not None and symbol is not None:
            raise click.UsageError("a strategy rests in all symbols: name the one or the other")
        if strategy is not None:
            post(f"strategy {kind} {strategy}", None, wait_s)
        else:
            post(kind, symbol.upper() if symbol else None, wait_s)

    if kind in ("pause", "resume"):
        told = "let this strategy rest" if kind == "pause" else "let this strategy enter again"
        carry_out = click.option(
            "--strategy", metavar="NAME", shell_complete=a_strategy, help=f"{told}, in all symbols"
        )(carry_out)

    carry_out.help = _MEANINGS[kind]
    return carry_out


pause, resume, halt = (_wish(kind) for kind in ("pause", "resume", "halt"))


@command("flatten")
@click.argument("symbol", required=False, shell_complete=a_symbol)
@click.option("--yes", is_flag=True, help="close at once; without a terminal it never asks")
@WAIT
def flatten(symbol: str | None, yes: bool, wait_s: float) -> None:
    """Close at the market, and halt. The position in SYMBOL, or all; nothing re-enters until `resume`.

    On a terminal it names what it will close, and asks.
    """
    wanted = symbol.upper() if symbol else None
    if not yes and not current().json and sys.stdin.isatty() and output.is_terminal():
        _ask(wanted)
    post("flatten", wanted, wait_s)


def _ask(symbol: str | None) -> None:
    """Raises CommandError where the answer is no."""
    held = tell_held(symbol)
    what = f"Close {output.counted(held, 'position')} at the market" if held else "Nothing is open. Go on"
    confirm(f"{what}, and halt {symbol or 'all symbols'} until `resume`?")


def confirm(question: str) -> None:
    """Raises CommandError where the answer is no."""
    if not click.confirm(question):
        raise CommandError("nothing was done", "you said no", exits=Exit.REFUSED, code="DECLINED")


def tell_held(symbol: str | None) -> int:
    """Print what is open there, and say how many positions that is."""
    from store import queries
    from store.database import open_store

    with open_store(current().database_path(), mode="read") as store:
        held = [row for row in queries.positions(store) if symbol in (None, row.symbol)]
        if store.identity is not None:
            output.banner(store.identity.environment)
    for row in held:
        begun = "" if row.entry is None else f" from {output.price(row.entry)}"
        now = "" if row.mark is None or row.upnl is None else f", now {output.price(row.mark)}: {row.upnl:+,.2f} USDT"
        output.line(f"  {row.side} {row.size:f} {row.symbol}{begun}{now}")
    return len(held)


@command("release")
@click.argument("symbol", shell_complete=a_symbol)
@click.option("--cancel-stop", is_flag=True, help="cancel the stop too: then nothing closes the position but you")
@WAIT
def release(symbol: str, cancel_stop: bool, wait_s: float) -> None:
    """Hand the position in SYMBOL over to you. Its stop stays; the bot never touches it again, and enters nothing there
    until it is flat."""
    post("release cancel-stop" if cancel_stop else "release", symbol.upper(), wait_s)


@command("full-size")
@WAIT
def full_size(wait_s: float) -> None:
    """End small steps early. The next trades are of their full size; `status` says whether there are any."""
    post("full-size", None, wait_s)


@command("ack")
@WAIT
def ack(wait_s: float) -> None:
    """Acknowledge every critical message so far. They are not escalated then."""
    post("ack", None, wait_s)


def post(kind: str, symbol: str | None, wait_s: float) -> None:
    """Leave a command and say what came of it, as far as it did within ``wait_s``."""
    from store.database import open_store
    from store.inbox import Inbox
    from store.lock import holder

    options = current()
    path = options.database_path()
    with open_store(path, mode="post") as store:
        require_known(store, symbol)
        if not options.json and store.identity is not None:
            output.banner(store.identity.environment)
        inbox = Inbox(store)
        command_id = inbox.post(kind, symbol, "cli", time.time_ns() // 1_000_000)
        if holder(path) is not None:
            answered = _answer(inbox, command_id, wait_s)
        else:
            answered = inbox.get(command_id)
    assert answered is not None, "a command that was posted stays there"
    _tell(answered, wait_s, running=holder(path) is not None, json=options.json)


def _answer(inbox: Inbox, command_id: int, wait_s: float) -> CommandRow | None:
    """The command once it is finished, or as it is when the time is up."""
    until = time.monotonic() + wait_s
    while True:
        found = inbox.get(command_id)
        if found is None or found.finished or time.monotonic() >= until:
            return found
        time.sleep(_POLL_S)


def named(found: CommandRow) -> str:
    """A command as its operator thinks of it; an edit of files is about no symbol."""
    if found.kind.startswith("reload"):
        return " ".join(found.kind.split()[:2])
    if found.kind in ("ack", "full-size"):
        return found.kind
    if found.kind.startswith("strategy "):
        _, verb, name = found.kind.split(" ", 2)
        return f"{verb} of strategy {name}"
    return f"{found.kind} of {found.symbol or 'all symbols'}"


def _tell(found: CommandRow, wait_s: float, *, running: bool, json: bool) -> None:
    what = named(found)
    told = f": {found.detail}" if found.detail else ""
    if found.state == "refused":
        raise CommandError(
            f"{what} was refused by {found.guard}{told}",
            "`status` and `why` say how things stand",
            exits=Exit.REFUSED,
            code=found.guard or "REFUSED",
        )
    if found.state != "done" and running:
        raise CommandError(
            f"{what} (command {found.id}) was not answered within {wait_s:g} s",
            "it stays posted; `status` shows what came of it",
            exits=Exit.UNEXPECTED,
            code="NO_ANSWER",
        )
    if json:
        output.document({"command": found, "daemon": running})
    elif found.state == "done":
        output.line(f"{what}: done{told}")
    else:
        output.line(f"{what}: no bot is running; it is kept (command {found.id}) and applied at the next start")
