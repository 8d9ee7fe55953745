"""Lists the commands that were left for the bot, and withdraws one that no bot has taken yet."""

from __future__ import annotations

import time

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.options import Group, current
from fsm.cli.times import shown


@click.group(cls=Group)
def commands() -> None:
    """Commands that were left for the bot: what became of them, and withdrawing one."""


@commands.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="the newest so many")
def list_commands(limit: int) -> None:
    """The newest commands with what became of each; those that still wait for a bot say so."""
    from store.database import open_store
    from store.inbox import Inbox

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        found = Inbox(store).recent(limit=limit)
    if options.json:
        output.document({"commands": found})
        return
    words = {"posted": "waits for a bot", "taken": "is being carried out"}
    for row in found:
        told = f": {row.detail}" if row.detail else ""
        state = words.get(row.state, row.state if row.guard is None else f"refused by {row.guard}")
        output.line(f"{row.id}  {shown(row.posted_ms)}  {row.kind} {row.symbol or 'all'} ({row.source})  {state}{told}")
    if not found:
        output.line("there are none")


@commands.command()
@click.argument("number", metavar="ID", type=click.IntRange(1))
def cancel(number: int) -> None:
    """Withdraw command ID, while no bot has taken it."""
    from store.database import open_store
    from store.inbox import CANCELLED, Inbox

    options = current()
    with open_store(options.database_path(), mode="post") as store:
        inbox = Inbox(store)
        done = inbox.cancel(number, time.time_ns() // 1_000_000)
        found = inbox.get(number)
    if found is None:
        raise CommandError(f"there is no command {number}", "`commands list` shows those there are", code="NO_COMMAND")
    if not done:
        how = "withdrawn already" if found.guard == CANCELLED else f"taken already: {found.state}"
        raise CommandError(
            f"command {number} ({found.kind} of {found.symbol or 'all symbols'}) was {how}",
            "`commands list` says what became of it",
            exits=Exit.REFUSED,
            code="TAKEN",
        )
    if options.json:
        output.document({"command": found})
    else:
        output.line(f"{found.kind} of {found.symbol or 'all symbols'} was withdrawn")
