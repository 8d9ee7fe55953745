"""A small picture as a PNG, drawn without a library: lines, boxes and letters in a few colours."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from enum import IntEnum


class Ink(IntEnum):
    """Colours by their place in the palette."""

    PAPER = 0
    GRID = 1
    TEXT = 2
    UP = 3
    DOWN = 4
    ENTRY = 5
    STOP = 6
    TARGET = 7


_PALETTE: Mapping[Ink, tuple[int, int, int]] = {
    Ink.PAPER: (255, 255, 255),
    Ink.GRID: (226, 229, 234),
    Ink.TEXT: (45, 52, 64),
    Ink.UP: (22, 140, 96),
    Ink.DOWN: (201, 60, 60),
    Ink.ENTRY: (52, 101, 196),
    Ink.STOP: (178, 34, 34),
    Ink.TARGET: (15, 118, 80),
}

WIDE, HIGH = 5, 7
"""Dots of a letter."""

_LETTERS: Mapping[str, str] = {
    "0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e", "4": "02060a121f0202",
    "5": "1f101e0101110e", "6": "0608101e11110e", "7": "1f010204080808", "8": "0e11110e11110e", "9": "0e11110f01020c",
    "A": "0e11111f111111", "B": "1e11111e11111e", "C": "0e11101010110e", "D": "1c12111111121c", "E": "1f10101e10101f",
    "F": "1f10101e101010", "G": "0e11101711110f", "H": "1111111f111111", "I": "0e04040404040e", "J": "0702020202120c",
    "K": "11121418141211", "L": "1010101010101f", "M": "111b1515111111", "N": "11111915131111", "O": "0e11111111110e",
    "P": "1e11111e101010", "Q": "0e11111115120d", "R": "1e11111e141211", "S": "0f10100e01011e", "T": "1f040404040404",
    "U": "1111111111110e", "V": "11111111110a04", "W": "11111115151b11", "X": "11110a040a1111", "Y": "1111110a040404",
    "Z": "1f01020408101f", ".": "00000000000c0c", ",": "000000000c0408", "-": "0000001f000000", "+": "0004041f040400",
    "%": "18190204081303", ":": "000c0c000c0c00", "/": "00010204081000", "(": "02040808080402", ")": "08040202020408",
    " ": "00000000000000",
}  # fmt: skip
"""Seven rows of five dots each, two hexadecimal digits a row; what is not here is drawn as a blank."""


class Canvas:
    """White paper. What lies outside of it is not drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._rows = [bytearray(width) for _ in range(height)]

    def box(self, left: int, top: int, right: int, bottom: int, ink: Ink) -> None:
        """Filled, with both edges."""
        left, right = max(min(left, right), 0), min(max(left, right), self.width - 1)
        if left > right:
            return
        for y in range(max(min(top, bottom), 0), min(max(top, bottom), self.height - 1) + 1):
            self._rows[y][left : right + 1] = bytes([ink]) * (right - left + 1)

    def line(self, x1: int, y1: int, x2: int, y2: int, ink: Ink) -> None:
        steps = max(abs(x2 - x1), abs(y2 - y1), 1)
        for step in range(steps + 1):
            x, y = x1 + (x2 - x1) * step // steps, y1 + (y2 - y1) * step // steps
            self.box(x, y, x, y + 1, ink)

    def dashes(self, left: int, right: int, y: int, ink: Ink) -> None:
        for x in range(left, right, 8):
            self.box(x, y, min(x + 4, right), y, ink)

    def text(self, x: int, y: int, words: str, ink: Ink, *, scale: int = 2) -> None:
        """In capitals, its upper left corner there."""
        for place, letter in enumerate(words.upper()):
            dots = bytes.fromhex(_LETTERS.get(letter, _LETTERS[" "]))
            left = x + place * (WIDE + 1) * scale
            for row, bits in enumerate(dots):
                for column in range(WIDE):
                    if bits >> (WIDE - 1 - column) & 1:
                        dot_x, dot_y = left + column * scale, y + row * scale
                        self.box(dot_x, dot_y, dot_x + scale - 1, dot_y + scale - 1, ink)

    def png(self) -> bytes:
        """The file (PNG specification, colour type 3)."""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)
        palette = b"".join(bytes(_PALETTE[ink]) for ink in Ink)
        pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in self._rows), 6)
        chunks = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
