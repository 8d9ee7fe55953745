"""Draws the state machine from the table that the engine runs on."""

from __future__ import annotations

import click

from fsm.cli import output
from fsm.cli.options import command, current


@command()
def graph() -> None:
    """Print the state machine as a Mermaid diagram."""
    from fsm.core.model.transition_table import mermaid

    drawing = mermaid()
    if current().json:
        output.document({"mermaid": drawing})
    else:
        click.echo(drawing, nl=False)
