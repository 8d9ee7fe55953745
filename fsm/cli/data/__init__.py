"""The verbs of `data`: fetch, take over, list, check and hand out candles, marks and funding."""

from __future__ import annotations

import click

from fsm.cli.data.brackets import brackets
from fsm.cli.data.checking import check
from fsm.cli.data.downloading import download, update
from fsm.cli.data.exporting import export
from fsm.cli.data.importing import import_files
from fsm.cli.data.listing import list_series, remove
from fsm.cli.options import Group


@click.group(cls=Group)
def data() -> None:
    """Fetch and look after candles, mark prices and funding rates in the local store."""


data.add_command(download)
data.add_command(import_files)
data.add_command(update)
data.add_command(brackets)
data.add_command(list_series)
data.add_command(check)
data.add_command(export)
data.add_command(remove)
