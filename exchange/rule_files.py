"""Files with the rules of symbols, beside candles or in a store: what an exchange said of them, and since when.

``symbols.json`` has the shape of GET /fapi/v1/exchangeInfo, ``brackets.json`` that of GET /fapi/v1/leverageBracket,
``funding-info.json`` that of GET /fapi/v1/fundingInfo. With a date in its name, ``symbols-2025-11-13.json``, a file
says what was so from that day on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from exchange.candle_columns import CandleFileError

Row = Mapping[str, object]

_BYTES_MAX = 64_000_000


class RuleKind(StrEnum):
    """What a file has; the beginning of its name."""

    SYMBOLS = "symbols"
    BRACKETS = "brackets"
    FUNDING = "funding-info"


_SHAPES = {
    RuleKind.SYMBOLS: "exchangeInfo, an object with a list of symbols",
    RuleKind.BRACKETS: "leverageBracket, a list",
    RuleKind.FUNDING: "fundingInfo, a list",
}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What one file says of one symbol. ``since_ms`` None: the file has no date."""

    row: Row
    since_ms: int | None
    path: Path

    @property
    def date(self) -> str | None:
        return None if self.since_ms is None else date_of(self.since_ms)


def rules_in(folders: Iterable[Path], kind: RuleKind) -> dict[str, list[RuleRow]]:
    """Everything that files of a kind say, by symbol. Raises CandleFileError."""
    found: dict[str, list[RuleRow]] = {}
    for folder in folders:
        for since_ms, path in _files(folder, kind):
            for row in _rows(path, kind):
                found.setdefault(str(row["symbol"]), []).append(RuleRow(row, since_ms, path))
    return found


def at(rows: Iterable[RuleRow], at_ms: int) -> RuleRow | None:
    """What was so then: the newest of its time, else what has no date, else the first that was written down later."""
    listed = list(rows)
    before = [row for row in listed if row.since_ms is not None and row.since_ms <= at_ms]
    if before:
        return max(before, key=lambda row: row.since_ms or 0)
    undated = [row for row in listed if row.since_ms is None]
    if undated:
        return undated[-1]
    return min(listed, key=lambda row: row.since_ms or 0, default=None)


def encoded(kind: RuleKind, rows: Iterable[Row]) -> bytes:
    """A file of a kind with these rows, in the order of their symbols."""
    listed = sorted(rows, key=lambda row: str(row["symbol"]))
    content = {"symbols": listed} if kind is RuleKind.SYMBOLS else listed
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def dated_name(kind: RuleKind, at_ms: int) -> str:
    return f"{kind}-{date_of(at_ms)}.json"


def date_of(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, tz=UTC):%Y-%m-%d}"


def _files(folder: Path, kind: RuleKind) -> list[tuple[int | None, Path]]:
    pattern = re.compile(rf"{kind}(?:-(\d{{4}}-\d{{2}}-\d{{2}}))?\.json")
    found: list[tuple[int | None, Path]] = []
    for path in sorted(folder.glob(f"{kind}*.json")):
        name = pattern.fullmatch(path.name)
        if name is not None:
            found.append((None if name[1] is None else _midnight_ms(path, name[1]), path))
    return found


def _midnight_ms(path: Path, date: str) -> int:
    try:
        return round(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1_000)
    except ValueError:
        raise CandleFileError(f"{path}:1: {date} is no day; rename the file") from None


def _rows(path: Path, kind: RuleKind) -> list[dict[str, object]]:
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise CandleFileError(f"{path}:1: larger than {_BYTES_MAX:,} bytes")
        content = msgspec.json.decode(path.read_bytes())
        if kind is RuleKind.SYMBOLS:
            content = msgspec.convert(content, dict[str, object])["symbols"]
        rows = msgspec.convert(content, list[dict[str, object]])
    except (OSError, msgspec.MsgspecError, KeyError) as error:
        raise CandleFileError(f"{path}:1: has not the shape of {_SHAPES[kind]} ({error}); fetch it again") from None
    unnamed = next((number for number, row in enumerate(rows, start=1) if not isinstance(row.get("symbol"), str)), None)
    if unnamed is not None:
        raise CandleFileError(f"{path}:1: entry {unnamed} has no symbol; fetch the file again")
    return rows
