"""Seals of what changes in place: of all rows of a table one sum, brought up to date with every transaction (R74).

A row's own hash is recomputed by whoever changes the row; that of the newest row of a chain stands for all before it,
but a table whose rows come, change and go has no such order. So the hashes of its rows are added up (modulo 2²⁵⁶): a
changed, removed, invented or exchanged row gives another sum. Nothing is hashed again but the rows that were written.
Candles are many: they are sealed in blocks of thirty days of one symbol and timeframe, which verification then names.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby, repeat
from typing import Any, NamedTuple

import apsw
from peewee import Model

from store.canonical import Value, digest
from store.models import (
    Candle,
    Command,
    DecisionStretch,
    Document,
    Identity,
    Intent,
    Order,
    Position,
    SeriesAnchor,
)
from store.rows import CandleColumns
from store.tables import TABLES

SEALED: tuple[type[Model], ...] = (
    Order,
    Position,
    Intent,
    DecisionStretch,
    Identity,
    Command,
    SeriesAnchor,
    Document,
    Candle,
)
"""What decides and is not wholly given by the chained tables. The seal of all but candles has the table's name."""

BLOCK_MS = 30 * 86_400_000
_MODULUS = 2**256
_BY_NAME = {TABLES[model].name: TABLES[model] for model in SEALED if model is not Candle}
_TOLD = (Order, Position, Intent, DecisionStretch)
"""Written by store/changing_rows.py alone, which tells what it changed; what else changes is noticed by triggers."""
_INSERT_CANDLE = TABLES[Candle].insert
_CANDLES_BETWEEN = (
    "SELECT open_time_ms FROM candles WHERE symbol = ? AND timeframe = ? AND open_time_ms BETWEEN ? AND ?"
)
_READ = "SELECT count, sum FROM seals WHERE name = ?"
_WRITE = (
    "INSERT INTO seals (name, count, sum) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET count = ?2, sum = ?3"
)
# As bytes: what is damaged may not be text any more, and must not end the reading.
_CANDLE_BYTES = (
    "SELECT CAST(symbol AS BLOB), CAST(timeframe AS BLOB), open_time_ms,"
    " CAST(concat_ws('|', symbol, timeframe, open_time_ms, open, high, low, close, volume) AS BLOB)"
    " FROM candles {which} ORDER BY symbol, timeframe, open_time_ms"
)


class Sum(NamedTuple):
    """So many rows, and what their hashes add up to."""

    rows: int
    total: int

    def plus(self, rows: int, total: int) -> Sum:
        return Sum(self.rows + rows, (self.total + total) % _MODULUS)


NOTHING = Sum(0, 0)


class Seals:
    """Adds up what one connection changes, by temporary triggers of its own, and writes it where a transaction ends."""

    def __init__(self) -> None:
        self._changes: dict[str, Sum] = {}
        self._depth = 0

    def attach(self, connection: apsw.Connection) -> None:
        """From now on what changes through this connection counts; no other connection has these triggers."""
        connection.create_scalar_function("seal_count", self.count, 3)
        connection.create_scalar_function("seal_of", _content, -1, deterministic=True)
        for model in (model for model in SEALED if model not in (*_TOLD, Candle)):
            name = TABLES[model].name
            for verb, old, new in (("INSERT", "", "NEW"), ("UPDATE", "OLD", "NEW"), ("DELETE", "OLD", "")):
                hashes = (_hash_of(name, side) if side else "NULL" for side in (old, new))
                connection.execute(
                    f"CREATE TEMP TRIGGER seal_{name}_{verb.lower()} AFTER {verb} ON main.{name}"
                    f" BEGIN SELECT seal_count('{name}', {', '.join(hashes)}); END"
                )

    @contextmanager
    def kept(self, connection: apsw.Connection) -> Iterator[None]:
        """Around one transaction, or one within another: what is undone does not count."""
        before, self._depth = dict(self._changes), self._depth + 1
        try:
            yield
            if self._depth == 1:
                for name, change in self._changes.items():
                    _shift(connection, name, change)
                self._changes.clear()
        except BaseException:
            self._changes = before
            raise
        finally:
            self._depth -= 1

    def count(self, *change: Any) -> None:
        """(table, hash of the row before, hash of the row after): what one change did to a row; None: there is none."""
        name, old, new = change
        rows = (new is not None) - (old is not None)
        total = (int(new, 16) if new else 0) - (int(old, 16) if old else 0)
        self._changes[name] = self._changes.get(name, NOTHING).plus(rows, total)


CandleValues = tuple[str, str, int, str, str, str, str, str]


def insert_candles(connection: apsw.Connection, rows: Iterable[CandleValues]) -> None:
    """Write candles and seal them; one that is there already is left as it was used, and counts once."""
    blocks: dict[tuple[str, str, int], dict[int, CandleValues]] = defaultdict(dict)
    for row in rows:
        blocks[row[0], row[1], row[2] // BLOCK_MS].setdefault(row[2], row)
    for (symbol, timeframe, block), found in blocks.items():
        span = (symbol, timeframe, min(found), max(found))
        known = {row[0] for row in connection.execute(_CANDLES_BETWEEN, span)}
        found = {open_ms: row for open_ms, row in found.items() if open_ms not in known}
        if found:
            connection.executemany(_INSERT_CANDLE, list(found.values()))
            total = sum(_number("|".join(map(str, row)).encode()) for row in found.values())
            _shift(connection, _block_name(symbol, timeframe, block), Sum(len(found), total))


def insert_series(connection: apsw.Connection, series: CandleColumns) -> None:
    """Write the candles of one series, as ``insert_candles`` does."""
    times = series.open_time_ms
    prices = (series.open, series.high, series.low, series.close, series.volume)
    first = 0
    while first < len(times):
        block = times[first] // BLOCK_MS
        end = bisect_left(times, (block + 1) * BLOCK_MS, first)
        texts = (list(map(repr, column[first:end])) for column in prices)
        columns: tuple[list[Any], ...] = (times[first:end], *texts)
        span = (series.symbol, series.timeframe, times[first], times[end - 1])
        if connection.execute(_CANDLES_BETWEEN, span).fetchone() is not None:
            insert_candles(connection, [(*span[:2], *row) for row in zip(*columns, strict=True)])
        else:
            _insert_block(connection, *span[:2], columns)
        first = end


def _insert_block(connection: apsw.Connection, symbol: str, timeframe: str, columns: tuple[list[Any], ...]) -> None:
    """Candles of one block in which there is none yet between the first and the last of them."""
    connection.executemany(_INSERT_CANDLE, zip(repeat(symbol), repeat(timeframe), *columns, strict=False))
    name = _block_name(symbol, timeframe, columns[0][0] // BLOCK_MS)
    texts = map("|".join, zip(repeat(symbol), repeat(timeframe), map(str, columns[0]), *columns[1:], strict=False))
    total = sum([_number(text.encode()) for text in texts])
    _shift(connection, name, Sum(len(columns[0]), total))


def unseal(connection: apsw.Connection, name: str, hashes: Sequence[int]) -> None:
    """Take rows that were removed out of the sum of their table."""
    _shift(connection, name, Sum(-len(hashes), -sum(hashes) % _MODULUS))


def sealed(connection: apsw.Connection, name: str) -> Sum:
    """What is written down."""
    row = connection.execute(_READ, (name,)).fetchone()
    return NOTHING if row is None else Sum(row[0], _from_hex(row[1]))


class Tally:
    """Adds up the rows of one table again as a verification reads them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found = NOTHING

    def take(self, values: Sequence[Value], columns: tuple[str, ...]) -> None:
        """One row: its own hash where it has one (whether that fits is looked at elsewhere), else what is in it."""
        stored = values[-1] if columns[-1] == "row_hash" else digest(columns, values)
        self.found = self.found.plus(1, _from_hex(stored))

    def differs(self, connection: apsw.Connection) -> str:
        """How the rows differ from the seal; empty when they do not."""
        written = sealed(connection, self.name)
        return "" if written == self.found else _difference(self.found, written)


def candle_blocks(connection: apsw.Connection, *, symbol: str = "", timeframe: str = "") -> Iterator[tuple[str, Sum]]:
    """The name of every block of candles, of one series or of all, and what is in it; one candle is held at a time."""
    which = "WHERE symbol = ? AND timeframe = ?" if symbol else ""
    rows = connection.execute(_CANDLE_BYTES.format(which=which), (symbol, timeframe) if symbol else ())
    for (of_symbol, of_timeframe, block), candles in groupby(rows, lambda row: (row[0], row[1], row[2] // BLOCK_MS)):
        count = total = 0
        for row in candles:
            count += 1
            total += int.from_bytes(hashlib.sha256(row[3]).digest(), "big")
        yield _block_name(_text(of_symbol), _text(of_timeframe), block), Sum(count, total % _MODULUS)


def altered_candles(connection: apsw.Connection, symbol: str = "", timeframe: str = "") -> list[tuple[str, str]]:
    """The stretches of candles that are not as they were used, with what is wrong; of one series or of all."""
    return list(each_altered(connection, symbol, timeframe))


def each_altered(
    connection: apsw.Connection,
    symbol: str = "",
    timeframe: str = "",
    *,
    count: Callable[[int], None] = lambda rows: None,
) -> Iterator[tuple[str, str]]:
    """The same, one at a time; ``count`` hears of how many candles were looked at."""
    for name, found in candle_blocks(connection, symbol=symbol, timeframe=timeframe):
        count(found.rows)
        written = sealed(connection, name)
        if found != written:
            yield _stretch(name), _difference(found, written)
    prefix = f"candles {symbol} {timeframe} " if symbol else "candles "
    for (name,) in connection.execute("SELECT name FROM seals WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)):
        if not _has_candles(connection, name):
            yield _stretch(name), _difference(NOTHING, sealed(connection, name))


def _has_candles(connection: apsw.Connection, name: str) -> bool:
    """Whether any candle is left in a block; asked of the table, so that nothing has to be remembered of them all."""
    _, *series, block = name.split(" ")
    if len(series) != 2 or not re.fullmatch("0|[1-9][0-9]{0,8}", block):
        return False
    first_ms = int(block) * BLOCK_MS
    return bool(connection.execute(_CANDLES_BETWEEN, (*series, first_ms, first_ms + BLOCK_MS - 1)).fetchone())


def strangers(connection: apsw.Connection) -> Iterator[str]:
    """Names in the table of seals that nothing has."""
    for (name,) in connection.execute("SELECT name FROM seals WHERE substr(name, 1, 8) <> 'candles '"):
        if name not in _BY_NAME:
            yield str(name)


def _difference(found: Sum, written: Sum) -> str:
    if found.rows != written.rows:
        return f"{found.rows} rows where {written.rows} were written: some were removed or invented"
    return f"one or more of {found.rows} rows are not as they were written"


def _stretch(name: str) -> str:
    """``candles BTCUSDT 1h 600`` as an operator reads it: the series and the days."""
    _, _, series = name.partition(" ")
    series, _, block = series.rpartition(" ")
    try:
        days = [
            datetime.fromtimestamp(int(block) * BLOCK_MS / 1000 + more, UTC).date() for more in (0, BLOCK_MS / 1000)
        ]
    except (ValueError, OverflowError, OSError):
        return f"{series} {block}"
    return f"{series} {days[0]}..{days[1]}"


def _block_name(symbol: str, timeframe: str, block: int) -> str:
    return f"candles {symbol} {timeframe} {block}"


def _shift(connection: apsw.Connection, name: str, change: Sum) -> None:
    after = sealed(connection, name).plus(*change)
    if after == NOTHING:  # as if there had never been a row: buffered writes then leave the same bytes
        connection.execute("DELETE FROM seals WHERE name = ?", (name,))
        return
    connection.execute(_WRITE, (name, after.rows, f"{after.total:064x}"))


def _hash_of(name: str, side: str) -> str:
    table = _BY_NAME[name]
    if "row_hash" in table.columns:
        return f"{side}.row_hash"
    return f"seal_of('{name}', {', '.join(f'{side}.{column}' for column in table.columns)})"


def _content(*row: Any) -> str:
    """Of (table, column, …), where rows have no hash of their own."""
    return digest(_BY_NAME[row[0]].columns, row[1:])


def _number(text: bytes) -> int:
    return int.from_bytes(hashlib.sha256(text).digest(), "big")


def _from_hex(text: object) -> int:
    try:
        return int(str(text), 16)
    except ValueError:
        return -1


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
