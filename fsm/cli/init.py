"""Writes the three files that a bot is set up with into a folder, commented, and nothing over what is there."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.invocation import invocation
from fsm.cli.options import command, current
from fsm.cli.writing import template, write_new

FILES = {"config.yaml": "config.yaml", "rules.yaml": "rules.yaml", ".env.example": "env.example"}
"""Name in the folder → template."""


@command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Write config.yaml, rules.yaml and .env.example, with what everything means, into DIR (default: here).

    Nothing that is there already is written over: then nothing is written at all.
    """
    there = [name for name in FILES if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise CommandError(
            f"{folder / there[0]} is there already: nothing was written",
            f"name another folder, or move {', '.join(there)} away first",
            exits=Exit.REFUSED,
            code="FILE_EXISTS",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in FILES.items():
        write_new(folder / name, template(source))
    if current().json:
        output.document({"folder": str(folder), "written": list(FILES)})
        return
    output.line(f"{folder / 'config.yaml'}, rules.yaml and .env.example are written.")
    output.heading("What to do next")
    call = invocation(anywhere=folder != Path())
    steps = [
        ("cp .env.example .env", "and say there which exchange; without .env it is the built-in simulator"),
        (f"{call} check", "looks for mistakes in all three"),
        (f"{call} backtest --symbols BTCUSDT", "what these rules would have done"),
        (f"{call} run", "the bot and its dashboard"),
    ]
    if folder != Path():
        steps.insert(0, (f"cd {shlex.quote(str(folder))}", "everything below is meant from there"))
    output.to_paste(steps)
