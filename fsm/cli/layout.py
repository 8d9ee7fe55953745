"""Lays text out in so many columns: sentences are folded between words, and in tables no number or name is broken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

BETWEEN = "  "
"""What stands between two columns of a table."""

_BREAKS = re.compile(r"(?<!\d{4}-\d\d-\d\d) +(?!(?:%|USDT|R|ATR|bp|ms|s|min|h|d|points)(?![\w]))(?=\S)")
"""Where a line may end: a day and its time are one word, and so are a number and its unit."""

_STYLES = re.compile(r"\x1b\[[0-9;]*m")


def columns_of(text: str) -> int:
    """How many columns a terminal takes for it; colours take none."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    wide = (2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in _STYLES.sub("", text))
    return sum(wide) - sum(1 for sign in text if unicodedata.combining(sign))


def longest_word(text: str) -> int:
    """What must stay in one line to be read: a number with its unit, a name, a time of day."""
    return max((columns_of(word) for line in text.split("\n") for word in _words(line)), default=0)


def folded(text: str, room: int, indent: str = "") -> list[str]:
    """The lines that it takes; ``indent`` stands before all but the first. A word that is longer than the room stays
    whole, to be copied."""
    lines: list[str] = []
    for given in text.split("\n"):
        if columns_of(given) <= room:
            lines.append(given)
            continue
        line = ""
        for word in _words(given):
            if line and columns_of(line) + 1 + columns_of(word) > room:
                lines.append(line)
                line = f"{indent}{word}"
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str], room: int
) -> tuple[list[str], list[str]] | None:
    """The lines of the columns' names and those of the rows; None where not even the longest words fit beside each
    other. The columns named in ``right`` are numbers and end at the same place."""
    places = list(zip_longest(columns, *rows, fillvalue=""))
    widths = [max(columns_of(line) for text in place for line in text.split("\n")) for place in places]
    over = sum(widths) + len(BETWEEN) * (len(widths) - 1) - room
    if over > 0:
        least = [max(map(longest_word, place)) for place in places]
        if over > sum(widths) - sum(least):
            return None
        for _ in range(over):
            loose = [place for place, width in enumerate(widths) if width > least[place]]
            widths[max(loose, key=widths.__getitem__)] -= 1
    is_right = [name in right for name in columns]
    head = [folded(name, width) for name, width in zip(columns, widths, strict=True)]
    highest = max(map(len, head), default=0)
    names = _row([[*[""] * (highest - len(each)), *each] for each in head], widths, is_right)
    cells = ([folded(text, width) for text, width in zip(row, widths, strict=False)] for row in rows)
    return list(names), [line for row in cells for line in _row(row, widths, is_right)]


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int], is_right: Sequence[bool]) -> Iterator[str]:
    """The lines of one row, whose cells are lines of their own."""
    for texts in zip_longest(*cells, fillvalue=""):
        padded = []
        for text, width, right in zip(texts, widths, is_right, strict=False):
            blank = " " * (width - columns_of(text))
            padded.append(f"{blank}{text}" if right else f"{text}{blank}")
        yield BETWEEN.join(padded).rstrip()


def stacked(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> Iterator[tuple[str, list[str]]]:
    """A block for each row, where a terminal is too narrow for the columns: the first value, and the lines below it
    with the others and their names. What says nothing is left out."""
    for first, *others in rows:
        lines: list[str] = []
        line = ""
        for name, value in zip(columns[1:], others, strict=False):
            if not value.strip():
                continue
            said = f"{name} {value.strip()}"
            if line and columns_of(line) + len(BETWEEN) + columns_of(said) > room:
                lines.extend(_whole(line, room))
                line = ""
            line = f"{line}{BETWEEN}{said}" if line else f"{BETWEEN}{said}"
        yield first, [*lines, *_whole(line, room)] if line else lines


def _whole(line: str, room: int) -> list[str]:
    return [line] if columns_of(line) <= room else folded(line, room, BETWEEN * 2)


def _words(line: str) -> list[str]:
    """Its words; what it is indented by belongs to the first."""
    inner = line.lstrip(" ")
    words = _BREAKS.split(inner.rstrip(" "))
    return [line[: len(line) - len(inner)] + words[0], *words[1:]]
