"""Shows which edits of config.yaml and rules.yaml wait, and gives the operator's word on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.control import WAIT_S, post
from fsm.cli.errors import CommandError, Exit
from fsm.cli.options import Command, Group, current
from fsm.cli.times import shown

if TYPE_CHECKING:
    from fsm.live.operator.waiting_edits import Waiting


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def reload(context: click.Context) -> None:
    """Edits that wait for your word. An edit that allows more than what is in force can wait; this shows which do."""
    if context.invoked_subcommand is None:
        _show(_waiting())


def _verb(name: str, meaning: str) -> None:
    @reload.command(name, cls=Command)
    @click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(0),
        default=WAIT_S,
        show_default=True,
        metavar="SECONDS",
        help="how long to wait for a running bot's answer",
    )
    def give_word(wait_s: float) -> None:
        waiting = _waiting()
        if not waiting:
            raise CommandError(
                "no edit waits", "save config.yaml or rules.yaml first", exits=Exit.REFUSED, code="NOTHING_WAITS"
            )
        post(f"reload {name} {' '.join(each.digest for each in waiting)}", None, wait_s)

    give_word.help = meaning


_verb("confirm", "Take the edits that wait. They are in force at once, or at the next start if no bot runs.")
_verb("reject", "Do not take the edits that wait. What was accepted last stays in force.")


def _waiting() -> tuple[Waiting, ...]:
    from fsm.live.operator.waiting_edits import waiting
    from store.database import open_store

    with open_store(current().database_path(), mode="read") as store:
        return waiting(store)


def _show(waiting: tuple[Waiting, ...]) -> None:
    if current().json:
        output.document({"waiting": waiting})
        return
    if not waiting:
        output.line("No edit waits.")
    for each in waiting:
        output.line(f"{each.file} ({each.digest}) has waited since {shown(each.since_ms)} UTC, because it allows more:")
        for change in each.changes:
            output.line(f"  {change}")
    if waiting:
        output.line("`reload confirm` takes what waits, `reload reject` does not.")
