"""Hands series of the store out as files that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from fsm.cli import output
from fsm.cli.candle_options import store_option
from fsm.cli.errors import CommandError
from fsm.cli.options import Command, current


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="SERIES...")
@click.option(
    "--format", "kind", type=click.Choice(["feather", "parquet", "json"]), default="feather", help="of the files"
)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="folder for them"
)
@store_option
def export(names: tuple[str, ...], kind: str, folder: Path, data: Path) -> None:
    """Write series of the store, by the names that `data list` shows, as NAME.feather, .parquet or .json.

    Feather and Parquet need the extra `data` (pyarrow). The columns are freqtrade's: date, open, high, low, close and
    volume.
    """
    from exchange.candle_store.frames import write_frame
    from exchange.candle_store.reading import CandleStore
    from exchange.candle_store.series import series_named

    store = CandleStore(data)
    found = {name: series_named(name) for name in names}
    unknown = [name for name, series in found.items() if series not in store.entries]
    if unknown:
        raise CommandError(f"{', '.join(unknown)}: not in {data}", "`data list` shows what there is")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for series in found.values():
        if series is not None:
            path = folder / f"{series.name}.{kind}"
            write_frame(path, series, store.rows(series))
            written.append(str(path))
    if current().json:
        output.document({"files": written})
    else:
        output.line(", ".join(written))
