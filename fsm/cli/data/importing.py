"""Takes files as others made them into the store: Binance's archives, csv, freqtrade's files, Feather and Parquet."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.candle_options import Symbols, store_option
from fsm.cli.errors import CommandError, UnusableFiles
from fsm.cli.options import Command, current
from fsm.cli.progress import Report, reporting
from fsm.cli.times import shown

if TYPE_CHECKING:
    from exchange.candle_store.importing import Joined, Read
    from exchange.candle_store.recognising import Named
    from exchange.candle_store.writing import StoreWriter

LISTED_MAX = 20


@click.command("import", cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--symbol", type=Symbols(), default=(), metavar="S", help="symbol, where the name of a file does not say")
@click.option("--timeframe", metavar="T", help="timeframe, where the name of a file does not say (1m, 1h, 1d)")
@click.option("--kind", type=click.Choice(["last", "mark", "funding"]), help="of which price, or funding rates")
@click.option("--replace", is_flag=True, help="where rows differ, what comes later wins")
@store_option
def import_files(
    paths: tuple[Path, ...], symbol: tuple[str, ...], timeframe: str | None, kind: str | None, replace: bool, data: Path
) -> None:
    """Read files or whole folders of them into the store. Files of one series are joined.

    Rows that cannot be true count as missing and are listed. Files that cannot be used are named with line and advice,
    and the rest is taken over all the same; then the exit code is 2.
    """
    from exchange.candle_store.importing import files_under, grouped, read_files
    from exchange.candle_store.writing import StoreWriter

    options = current()
    files = files_under(paths)
    with reporting(json=options.json) as progress, StoreWriter(data) as writer:
        said, before = _said(symbol, timeframe, kind), 0
        taken: list[dict[str, Any]] = []
        problems: list[str] = []
        for group in grouped(files):
            read = read_files(group, said, partial(_tell, progress, before, len(files)))
            taken += _taken(writer, read, replace=replace)
            problems += read.problems
            before += len(group)
    document = {"store": str(data), "files": len(files), "series": taken, "problems": problems}
    if options.json:
        output.document(document)
    else:
        _print(document)
    if problems:
        raise UnusableFiles


def _tell(progress: Report, before: int, total: int, done: int) -> None:
    progress("read", before + done, total)


def _said(symbol: tuple[str, ...], timeframe: str | None, kind: str | None) -> Named:
    from exchange.candle_store.recognising import Named
    from exchange.candle_store.series import Kind
    from indicators.candle import Timeframe

    if len(symbol) > 1:
        raise CommandError("--symbol takes one symbol", "import the files of each symbol by themselves")
    known = [length.value for length in Timeframe]
    if timeframe is not None and timeframe not in known:
        raise CommandError(f"{timeframe!r} is no timeframe", f"there are {', '.join(known)}")
    return Named(
        symbol=symbol[0] if symbol else None,
        kind=None if kind is None else Kind(kind),
        timeframe=None if timeframe is None else Timeframe(timeframe),
    )


def _taken(writer: StoreWriter, read: Read, *, replace: bool) -> list[dict[str, Any]]:
    """Join and store one series after the other; what contradicts is one more problem."""
    from exchange.candle_columns import CandleFileError
    from exchange.candle_store.importing import joined

    taken = []
    for series in sorted(read.tables):
        try:
            found = joined(series, read.tables[series], later_wins=replace)
            read.tables[series] = []
            new = _stored(writer, found, replace=replace)
        except CandleFileError as error:
            read.problems.append(str(error))
            continue
        entry = writer.entries[series]
        taken.append(
            {
                "series": series.name,
                "symbol": series.symbol,
                "kind": series.kind.value,
                "timeframe": None if series.timeframe is None else series.timeframe.value,
                "files": found.files,
                "rows": len(found.rows),
                "rows_new": new,
                "rows_told_twice": found.repeated,
                "rejected": [
                    {
                        "file": row.file,
                        "line": row.line,
                        "kind": row.kind,
                        "open_time_ms": row.open_time_ms,
                        "message": f"{row.message}; it counts as missing until a file has it right",
                    }
                    for row in found.rejected
                ],
                "stored": {
                    "rows": entry.rows,
                    "from_ms": entry.first_ms,
                    "to_ms": entry.last_ms,
                    "missing": entry.missing,
                },
            }
        )
    return taken


def _stored(writer: StoreWriter, found: Joined, *, replace: bool) -> int:
    """Raises CandleFileError with a place in the file where the store says otherwise."""
    from exchange.candle_columns import CandleFileError
    from exchange.candle_store.writing import Contradiction

    try:
        return writer.add(found.series, found.rows, found.rejected, replace=replace)
    except Contradiction as error:
        place = found.place_of(error.open_ms)
        raise CandleFileError(
            f"{place}: {error}; add --replace if the file is right, or leave it out if the store is"
        ) from None


def _print(document: dict[str, Any]) -> None:
    rows = [
        (
            found["series"],
            f"{found['rows']:,}",
            f"{found['rows_new']:,}",
            shown(found["stored"]["from_ms"]),
            shown(found["stored"]["to_ms"]),
            f"{found['stored']['missing']:,}",
        )
        for found in document["series"]
    ]
    if rows:
        columns = ("series", "read", "new", "store from", "to", "missing")
        output.table(columns, rows, right=("read", "new", "missing"))
    rejected = [row for found in document["series"] for row in found["rejected"]]
    for row in rejected[:LISTED_MAX]:
        output.line(f"{row['file']}:{row['line']}: {row['kind']}: {row['message']}")
    if len(rejected) > LISTED_MAX:
        output.line(f"and {len(rejected) - LISTED_MAX:,} more rows; --json lists them all")
    for problem in document["problems"]:
        click.echo(f"error: {problem}", err=True)
