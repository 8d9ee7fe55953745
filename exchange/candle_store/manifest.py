"""The manifest of a store: which file holds each series, its hash, and what was left out of it; and its own hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from exchange.candle_columns import CandleFileError
from exchange.candle_store.series import Series, series_named

DEFAULT_STORE = Path("var") / "data"
"""Where the store is, unless a command is told otherwise."""

MANIFEST = "manifest.json"
FORMAT = 1
_BYTES_MAX = 64_000_000


class Rejected(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A row that cannot be true, so it counts as missing; where it was read."""

    open_time_ms: int
    kind: str
    file: str
    line: int
    message: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One series. ``missing`` candles lie between its first and its last; ``rejected`` lists the first hundred."""

    file: str
    sha256: str
    rows: int
    first_ms: int
    last_ms: int
    missing: int = 0
    rejected: tuple[Rejected, ...] = ()


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    sha256: str
    series: dict[str, Entry]


def is_store(folder: Path) -> bool:
    """Whether a folder is a store, and not one of candle files."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[Series, Entry]:
    """Every series by its name. Raises CandleFileError."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise CandleFileError(f"{path}:1: larger than {_BYTES_MAX:,} bytes; {_again(folder)}")
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError) as error:
        raise CandleFileError(f"{path}:1: is no manifest of a candle store ({error}); {_again(folder)}") from None
    if document.format != FORMAT:
        what = f"format {document.format} is not known here, only {FORMAT}"
        raise CandleFileError(f"{path}:1: {what}; use the version of the bot that wrote it, or {_again(folder)}")
    if document.sha256 != _hash(document.series):
        raise CandleFileError(f"{path}:1: its hash is not that of what it lists: it was edited; {_again(folder)}")
    found = {series_named(name): entry for name, entry in document.series.items()}
    unknown = next((name for name in document.series if series_named(name) is None), None)
    if unknown is not None:
        raise CandleFileError(f"{path}:1: {unknown!r} is the name of no series; {_again(folder)}")
    return {series: entry for series, entry in found.items() if series is not None}


def write_manifest(folder: Path, entries: dict[Series, Entry]) -> None:
    """Take the place of the one before, at once or not at all."""
    series = {item.name: entries[item] for item in sorted(entries, key=lambda item: item.name)}
    document = _Document(format=FORMAT, sha256=_hash(series), series=series)
    replace_file(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Written beside it and on disk before it takes its name: whoever dies in between leaves the old one."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names are on disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash(series: dict[str, Entry]) -> str:
    ordered = {name: series[name] for name in sorted(series)}
    return hashlib.sha256(msgspec.json.encode({"format": FORMAT, "series": ordered})).hexdigest()


def _again(folder: Path) -> str:
    return f"move {folder} away and fetch or import its candles again"
