"""Unpacks gzip'ed text line by line and within bounds: a small file must not take all of the memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

UNPACKED_BYTES_MAX = 256_000_000
"""Seven years of one-minute candles."""

UNPACKED_PER_BYTE_MAX = 100
UNPACKED_BYTES_FREE = 1_000_000
"""Candles unpack to five times their size, and to twenty times at most: each line has a time of its own. What unpacks
to a hundred times its size was made to fill memory. Small files are not asked."""

LINE_BYTES_MAX = 1_000
_BLOCK_BYTES = 1 << 20


class UnpackingError(ValueError):
    """A file that cannot be unpacked: ``line`` of it, and what is wrong."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def blocks_of_lines(path: Path) -> Iterator[list[str]]:
    """The lines of a file, without their ends, about a megabyte at a time. Raises UnpackingError.

    The whole is unpacked once before, and thrown away: what is too large is known before anything of it is kept.
    """
    for _ in _blocks(path):
        pass
    rest, number = b"", 0
    for block in _blocks(path):
        whole, found, rest = (rest + block).rpartition(b"\n")
        if found:
            lines = _decoded(whole, number).split("\n")
            number += len(lines)
            yield lines
        if len(rest) > LINE_BYTES_MAX:
            raise UnpackingError(f"a line is longer than {LINE_BYTES_MAX} bytes", number + 1)
    if rest:
        yield [_decoded(rest, number)]


def _blocks(path: Path) -> Iterator[bytes]:
    total = 0
    try:
        size = path.stat().st_size
        most = min(UNPACKED_BYTES_MAX, max(UNPACKED_BYTES_FREE, UNPACKED_PER_BYTE_MAX * size))
        with gzip.open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                total += len(block)
                if total > most:
                    raise UnpackingError(f"its {size:,} bytes unpack to more than {most:,}, so these are no candles")
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise UnpackingError(f"cannot be read as gzip'ed ASCII text ({error}); fetch the file again") from None


def _decoded(text: bytes, lines_before: int) -> str:
    try:
        return text.decode("ascii")
    except UnicodeDecodeError as error:
        line = lines_before + text.count(b"\n", 0, error.start) + 1
        raise UnpackingError(f"cannot be read as gzip'ed ASCII text ({error}); fetch the file again", line) from None
