"""Takes files as they come, of whatever maker, and joins them to series: what is fine goes on, what is not is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from exchange.candle_columns import CandleFileError, FloatArray, IntArray, clock_of
from exchange.candle_store.frames import is_frame, read_frame
from exchange.candle_store.manifest import Rejected
from exchange.candle_store.recognising import SUFFIXES, Named, named_by
from exchange.candle_store.series import Kind, Series
from exchange.candle_store.tables import Table, kind_of, series_of
from exchange.candle_store.text_tables import read_table
from exchange.unpacking import UnpackingError, blocks_of_lines, members_of

FILES_MAX = 100_000
RULES = ("symbols", "brackets", "funding-info")
"""Files beside candles that are none: the rules of their symbols."""


@dataclass(slots=True)
class Joined:
    """All that was read of one series: rows in order of time, each time once, and where each came from."""

    series: Series
    rows: FloatArray
    rejected: list[Rejected]
    repeated: int
    places: list[str]
    sources: IntArray
    lines: IntArray

    @property
    def files(self) -> int:
        return len(self.places)

    def place_of(self, at_ms: int) -> str:
        """``file:line`` of the row of that time."""
        index = int(np.searchsorted(self.rows[:, 0], at_ms))
        return f"{self.places[int(self.sources[index])]}:{int(self.lines[index])}"


@dataclass(slots=True)
class Read:
    """What a run over files found. ``problems`` are files that cannot be used, each as ``file:line: what``."""

    tables: dict[Series, list[Table]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def files_under(paths: Sequence[Path]) -> list[Path]:
    """The files that were named, and those in the folders that were. Raises CandleFileError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            listed = (p for p in path.rglob("*") if p.is_file() and p.name.lower().endswith(SUFFIXES))
            inside = sorted(p for p in listed if not p.name.startswith(RULES))
            if not inside:
                raise CandleFileError(f"{path}:1: no file in this folder is one of {', '.join(SUFFIXES)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise CandleFileError(f"{path}:1: no such file or folder")
    if len(found) > FILES_MAX:
        raise CandleFileError(f"{paths[0]}:1: {len(found):,} files; import at most {FILES_MAX:,} at once")
    return list(dict.fromkeys(found))


def grouped(paths: Sequence[Path]) -> list[list[Path]]:
    """Files whose names say the same belong to one series most likely: one series at a time is held in memory."""
    groups: dict[object, list[Path]] = {}
    for path in paths:
        try:
            named: object = named_by(path)
        except CandleFileError:
            named = None
        groups.setdefault(named, []).append(path)
    return list(groups.values())


def read_files(paths: Sequence[Path], said: Named, progress: Callable[[int], None] = lambda done: None) -> Read:
    """Everything that can be read of them, and what is wrong with the others. ``said`` wins over what names say."""
    read = Read()
    for done, path in enumerate(paths, start=1):
        try:
            for series, table in tables_of(path, said):
                read.tables.setdefault(series, []).append(table)
        except CandleFileError as error:
            read.problems.append(str(error))
        progress(done)
    return read


def tables_of(path: Path, said: Named) -> Iterator[tuple[Series, Table]]:
    """Every table of a file, and of which series it is. Raises CandleFileError."""
    _check_sum(path)
    try:
        members = members_of(path) if path.suffix == ".zip" else ("",)
    except UnpackingError as error:
        raise CandleFileError(f"{path}:{error.line}: {error.message}") from None
    for member in members:
        place = f"{path}!{member}" if member else str(path)
        own = _named_together(path, member, said, alone=len(members) == 1)
        symbol, kind = said.symbol or own.symbol, said.kind or own.kind
        timeframe = said.timeframe or own.timeframe
        if symbol is None:
            raise CandleFileError(f"{place}:1: its name does not say of which symbol it is; add --symbol BTCUSDT")
        funding = kind is Kind.FUNDING
        if is_frame(path):
            table = read_frame(path, funding=funding, named=timeframe)
        else:
            table = read_table(place, blocks_of_lines(path, member), funding=funding, named=timeframe)
        yield series_of(symbol, kind_of(kind, table), table), table


def joined(series: Series, tables: Sequence[Table], *, later_wins: bool = False) -> Joined:
    """One run of rows. Files that overlap must say the same. Raises CandleFileError with both places."""
    rows = np.concatenate([table.rows for table in tables])
    sources = np.repeat(np.arange(len(tables)), [len(table.rows) for table in tables])
    lines = np.concatenate([table.lines for table in tables])
    rejected = [row for table in tables for row in table.rejected]
    repeated = sum(table.repeated for table in tables)
    if len(rows) > 1 and not (np.diff(rows[:, 0]) > 0).all():
        order = np.argsort(rows[:, 0], kind="stable")
        rows, sources, lines = rows[order], sources[order], lines[order]
        again = np.flatnonzero(rows[1:, 0] == rows[:-1, 0]) + 1
        if series.timeframe is None:  # not every source says how long the interval was
            hours = np.maximum(rows[again, 2], rows[again - 1, 2])
            for index in (again, again - 1):
                rows[index, 2] = np.where(rows[index, 2] == 0, hours, rows[index, 2])
        differs = (rows[again] != rows[again - 1]).any(axis=1)
        if differs.any() and not later_wins:
            raise _disagree(tables, rows, sources, lines, int(again[np.argmax(differs)]))
        rows, sources, lines = (np.delete(column, again - 1, axis=0) for column in (rows, sources, lines))
        repeated += len(again)
    return Joined(series, rows, rejected, repeated, [table.place for table in tables], sources, lines)


def _disagree(
    tables: Sequence[Table], rows: FloatArray, sources: IntArray, lines: IntArray, index: int
) -> CandleFileError:
    one, other = tables[int(sources[index - 1])], tables[int(sources[index])]
    return CandleFileError(
        f"{other.place}:{int(lines[index])}: differs from {one.place}:{int(lines[index - 1])} at "
        f"{clock_of(rows[index, 0])}; leave one of the two out, or add --replace and name the right one last"
    )


def _named_together(path: Path, member: str, said: Named, *, alone: bool) -> Named:
    """What an archive's name and that of the file in it say. Raises CandleFileError where the only file is another."""
    outer = named_by(path)
    if not member:
        return outer
    inner = named_by(path.parent / Path(member).name)
    for option in ("symbol", "timeframe"):
        one, other = getattr(outer, option), getattr(inner, option)
        if alone and getattr(said, option) is None and None not in (one, other) and one != other:
            what = f"the archive is called {one} and the file in it {other}; say which it is with --{option}"
            raise CandleFileError(f"{path}!{member}:1: {what}")
    kind = outer.kind if alone or inner.kind is None else inner.kind
    return Named(symbol=inner.symbol or outer.symbol, kind=kind, timeframe=inner.timeframe or outer.timeframe)


def _check_sum(path: Path) -> None:
    """Binance lays the SHA-256 of an archive beside it. Raises CandleFileError."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file():
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found not in beside.read_text("ascii", "replace").split():
        raise CandleFileError(f"{path}:1: its SHA-256 is not the one in {beside.name}; fetch the archive again")
