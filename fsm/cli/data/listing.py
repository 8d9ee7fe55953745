"""Lists what the store has, and takes a series out of it."""

from __future__ import annotations

from pathlib import Path

import click

from fsm.cli import output
from fsm.cli.candle_options import store_option
from fsm.cli.errors import CommandError
from fsm.cli.options import Command, current
from fsm.cli.times import shown


@click.command("list", cls=Command)
@store_option
def list_series(data: Path) -> None:
    """List the series of the store: what each covers, and how many candles are missing in between."""
    from exchange.candle_store.manifest import is_store
    from exchange.candle_store.reading import CandleStore

    store = CandleStore(data) if is_store(data) else None
    listed = [] if store is None else [
        {
            "series": series.name,
            "symbol": series.symbol,
            "kind": series.kind.value,
            "timeframe": None if series.timeframe is None else series.timeframe.value,
            "rows": entry.rows,
            "from_ms": entry.first_ms,
            "to_ms": entry.last_ms,
            "missing": entry.missing,
            "rejected": len(entry.rejected),
            "file": str(store.path(series)),
            "sha256": entry.sha256,
        }
        for series, entry in sorted(store.entries.items())
    ]  # fmt: skip
    if current().json:
        output.document({"store": str(data), "series": listed})
        return
    if not listed:
        output.line(f"{data}: nothing yet; `data download` and `data import` fill it")
        return
    entries = {} if store is None else store.entries
    rows = [
        (series.name, f"{entry.rows:,}", shown(entry.first_ms), shown(entry.last_ms), f"{entry.missing:,}")
        for series, entry in sorted(entries.items())
    ]
    output.table(("series", "rows", "from", "to", "missing"), rows, right=("rows", "missing"))


@click.command("remove", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="SERIES...")
@store_option
def remove(names: tuple[str, ...], data: Path) -> None:
    """Take series out of the store, by the names that `data list` shows."""
    from exchange.candle_store.series import series_named
    from exchange.candle_store.writing import StoreWriter

    with StoreWriter(data) as writer:
        found = {name: series_named(name) for name in names}
        unknown = [name for name, series in found.items() if series not in writer.entries]
        if unknown:
            raise CommandError(f"{', '.join(unknown)}: not in {data}", "`data list` shows what there is")
        for series in found.values():
            if series is not None:
                writer.remove(series)
    if current().json:
        output.document({"store": str(data), "removed": list(names)})
    else:
        output.line(f"{', '.join(names)}: taken out of {data}")
