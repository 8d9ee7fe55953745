"""Reads text line by line and within bounds, packed or not: a small file must not take all of the memory."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

UNPACKED_BYTES_MAX = 256_000_000
"""Seven years of one-minute candles."""

PLAIN_BYTES_MAX = 2_000_000_000
"""The same with all the columns that an exchange has, as a file that is not packed and takes no more than it shows."""

UNPACKED_PER_BYTE_MAX = 100
UNPACKED_BYTES_FREE = 1_000_000
"""Candles unpack to five times their size, and to twenty times at most: each line has a time of its own. What unpacks
to a hundred times its size was made to fill memory. Small files are not asked."""

LINE_BYTES_MAX = 1_000
_BLOCK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_NO_TEXT = {
    _GZIP: "is gzip'ed, whatever its name says; name it .csv.gz",
    b"PK\x03\x04": "is a zip archive, whatever its name says; name it .zip",
    b"PAR1": "is Parquet, whatever its name says; name it .parquet",
    b"ARROW1": "is Feather, whatever its name says; name it .feather",
    b"\xff\xfe": "is written in UTF-16; save it as UTF-8",
    b"\xfe\xff": "is written in UTF-16; save it as UTF-8",
}
"""What a file is that is no text, by its first bytes."""


class UnpackingError(ValueError):
    """A file that cannot be unpacked: ``line`` of it, and what is wrong."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def members_of(path: Path) -> tuple[str, ...]:
    """The tables in a zip file, in the order of their names. Raises UnpackingError."""
    try:
        with zipfile.ZipFile(path) as packed:
            listed = [found for found in packed.infolist() if not found.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise UnpackingError(f"is no zip file, or only the beginning of one ({error}); fetch it again") from None
    if any(found.flag_bits & 1 for found in listed):
        raise UnpackingError("is locked with a password; unpack it first")
    names = sorted(found.filename for found in listed if found.filename.lower().endswith(".csv"))
    own = tuple(name for name in names if not name.startswith("__MACOSX"))
    if not own:
        archive = next((found.filename for found in listed if found.filename.lower().endswith(".zip")), None)
        if archive is not None:
            raise UnpackingError(f"holds another archive, {archive}; unpack it and import what is inside")
        inside = ", ".join(found.filename for found in listed[:3]) or "nothing"
        raise UnpackingError(f"holds no .csv file but {inside}; an archive of candles has one inside")
    return own


def blocks_of_lines(path: Path, member: str = "") -> Iterator[list[str]]:
    """The lines of a file, without their ends, about a megabyte at a time; ``member`` of a zip file. Raises
    UnpackingError.

    What is packed is unpacked once before, and thrown away: what is too large is known before anything of it is kept.
    """
    if member or path.suffix == ".gz":
        for _ in _blocks(path, member):
            pass
    rest, number = b"", 0
    for block in _blocks(path, member):
        whole, found, rest = (rest + block).rpartition(b"\n")
        if found:
            lines = _decoded(whole, number).split("\n")
            number += len(lines)
            yield lines
        if len(rest) > LINE_BYTES_MAX:
            raise UnpackingError(
                f"a line is longer than {LINE_BYTES_MAX} bytes: these are no candles; fetch the file again", number + 1
            )
    if rest:
        yield [_decoded(rest, number)]


def _blocks(path: Path, member: str) -> Iterator[bytes]:
    total = 0
    try:
        with _opened(path, member) as (file, packed, most):
            while block := file.read(_BLOCK_BYTES):
                first = not total
                total += len(block)
                if total > most:
                    if packed >= total:
                        raise UnpackingError(f"is larger than {most:,} bytes; split it by months")
                    raise UnpackingError(f"its {packed:,} bytes unpack to more than {most:,}, so these are no candles")
                if first:
                    _must_be_text(block, gzipped=path.suffix == ".gz")
                yield block.removeprefix(_BOM) if first else block
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        if path.suffix == ".gz" and _begins_as_text(path):
            raise UnpackingError(
                "is not gzip'ed, whatever its name says; pack it with gzip, or take .gz off it"
            ) from None
        packing = "zip'ed" if member else "gzip'ed" if path.suffix == ".gz" else "plain"
        raise UnpackingError(f"cannot be read as {packing} ASCII text ({error}); fetch the file again") from None


def _must_be_text(beginning: bytes, *, gzipped: bool) -> None:
    found = next((what for bytes_, what in _NO_TEXT.items() if beginning.startswith(bytes_)), None)
    if gzipped and beginning.startswith(_GZIP):
        found = "is gzip'ed once more inside; unpack it (gunzip) and name it .csv.gz again"
    if found is not None:
        raise UnpackingError(found)
    if b"\n" not in beginning and beginning.count(b"\r") > 1:
        raise UnpackingError(
            "its lines end with a carriage return alone; save it with the line ends of Unix or Windows"
        )


def _begins_as_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return re.match(rb"[ -~]", file.read(1)) is not None
    except OSError:
        return False


def content_of(path: Path) -> bytes:
    """A whole file, unpacked within the same bounds. Raises UnpackingError."""
    return b"".join(_blocks(path, ""))


@contextmanager
def _opened(path: Path, member: str) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, int, int]]:
    """The bytes of it, how many there are packed, and how many may come out."""
    size = path.stat().st_size
    if member:
        with zipfile.ZipFile(path) as packed, packed.open(member) as file:
            inside = packed.getinfo(member).compress_size
            yield file, inside, min(UNPACKED_BYTES_MAX, max(UNPACKED_BYTES_FREE, UNPACKED_PER_BYTE_MAX * inside))
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as unpacked:
            yield unpacked, size, min(UNPACKED_BYTES_MAX, max(UNPACKED_BYTES_FREE, UNPACKED_PER_BYTE_MAX * size))
    else:
        with path.open("rb") as plain:
            yield plain, size, PLAIN_BYTES_MAX


def _decoded(text: bytes, lines_before: int) -> str:
    try:
        return text.decode("ascii").replace("\r", "")
    except UnicodeDecodeError as error:
        line = lines_before + text.count(b"\n", 0, error.start) + 1
        raise UnpackingError(f"cannot be read as ASCII text ({error}); fetch the file again", line) from None
