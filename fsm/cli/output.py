"""Prints what a command found: tables and lines for people, or one JSON document for programs, on stdout."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import click
import msgspec

from fsm.cli.shown import Shown

PAGE_WIDTH = 120
"""Columns of what is drawn as a whole where no terminal says how many it has."""

WIDTH_UNLIMITED = 10_000
"""Columns where nobody looks: lines in pipes and files are cut and joined by other programs, never by us."""

ROOM_MIN = 20
"""Columns for a value, however narrow the terminal is."""

GUARD_COLUMNS = ("passed", "guard", "found", "needed")
_BETWEEN_WORDS = re.compile(r"(?<!\d{4}-\d\d-\d\d)\s+")
"""A day and its time are one word."""

_LONG_NUMBER = re.compile(r"\d+\.\d{9,}")


def is_lost() -> bool:
    """Nothing more can be shown: the reader has gone, or the disk is full."""
    raw = getattr(sys.stdout, "buffer", None)
    return isinstance(raw, Shown) and raw.lost is not None


def document(data: Any, *, indented: bool = True) -> None:
    """Print the JSON document of a command; indented for a terminal, unless it is one line of many."""
    encoded = msgspec.json.encode(data)
    if indented and sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    click.echo(encoded.decode())


def line(text: str = "") -> None:
    click.echo(text)


def raw(text: str) -> None:
    """Text without an end of line, at once: for a line that is written over."""
    click.echo(text, nl=False)


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def paragraph(text: str) -> None:
    """A sentence or two, in as many lines as the terminal makes of it."""
    for each in wrap(text, width(), break_on_hyphens=False):
        click.echo(each)


_BANNERS = {"mainnet": "  MAINNET: this bot trades real money  "}


def banner(environment: str | None) -> None:
    """Stands above everything that has to do with real money; nothing stands above anything else."""
    for text in filter(None, (_BANNERS.get(environment or ""),)):
        line(click.style(text, fg="white", bg="red", bold=True))


def heading(text: str) -> None:
    """A title above a table or a list, with an empty line before it."""
    click.echo()
    click.echo(click.style(text, bold=True))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows under their headers; the columns named in ``right`` are numbers and end at the same place.

    On a terminal that is too narrow for them each row becomes a block: no number and no name is ever broken.
    """
    cells = [[cell_text(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty() and all(
        text.isascii() and "\n" not in text for row in (columns, *cells) for text in row
    ):
        _plain_table(columns, cells, right)
        return
    room = width()
    words = [max(map(_longest_word, column)) for column in zip_longest(columns, *cells, fillvalue="")]
    if sum(words) + 2 * (len(columns) - 1) > room:
        _stacked(columns, cells, room)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column, least in zip(columns, words, strict=True):
        shown.add_column(column, justify="right" if column in right else "left", overflow="fold", min_width=least)
    for row in cells:
        shown.add_row(*map(escape, row))
    console = Console(width=room, highlight=False)
    with console.capture() as captured:
        console.print(shown)
    click.echo("\n".join(text.rstrip() for text in captured.get().rstrip("\n").split("\n")))


def _longest_word(text: str) -> int:
    """What must stay in one line to be read: a number, a name, a time of day."""
    return max(map(len, _BETWEEN_WORDS.split(text)))


def _stacked(columns: Sequence[str], rows: Iterable[Sequence[str]], room: int) -> None:
    """A block for each row, where a terminal is too narrow for the columns: the first value above, the others with
    their names below it, none of them broken. What says nothing is left out."""
    for first, *others in rows:
        if first:
            click.echo(click.style(first, bold=True))
        line = ""
        for name, value in zip(columns[1:], others, strict=False):
            if not value:
                continue
            said = f"{name} {value}"
            if line and len(line) + 2 + len(said) > room:
                click.echo(line)
                line = ""
            line = f"{line}  {said}" if line else f"  {said}"
        if line:
            click.echo(line)


def _plain_table(columns: Sequence[str], rows: list[list[str]], right: Sequence[str]) -> None:
    """The same table where nobody looks: nothing to fold, nothing to colour, and nothing to load for it."""
    lines = [list(columns), *rows]
    widths = [max(len(line[place]) for line in lines if place < len(line)) for place in range(len(columns))]
    for line in lines:
        padded = (
            text.rjust(room) if name in right else text.ljust(room)
            for name, text, room in zip(columns, line, widths, strict=False)
        )
        click.echo("  ".join(padded).rstrip())


def width() -> int:
    """Columns that a line may have."""
    return get_terminal_size().columns if sys.stdout.isatty() else WIDTH_UNLIMITED


def price(value: Decimal | None) -> str:
    """Averages and marks come with as many digits as a division gives; eight are enough to read."""
    return "" if value is None else f"{Decimal(f'{value:.8g}').normalize():f}"


def counted(number: int, noun: str) -> str:
    """1 file, 12 files."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names with their values, the values below one another; a long one goes on in the next line."""
    listed = [(name, cell_text(value)) for name, value in rows]
    indent = max((len(name) for name, _ in listed), default=0) + 2
    room = max(width() - indent, ROOM_MIN)
    for name, value in listed:
        lines = wrap(value, room, break_on_hyphens=False) if len(value) > room else [value]
        click.echo(f"{name:<{indent}}{lines[0]}".rstrip())
        for further in lines[1:]:
            click.echo(f"{'':<{indent}}{further}")


def guard_rows(guards: Iterable[tuple[bool, str, str, str]]) -> list[tuple[str, ...]]:
    """Guards as rows of a table: what has not passed stands out, and no number has more digits than one reads."""
    return [
        ("yes" if passed else "NO", name, _LONG_NUMBER.sub(_shortened, value), _LONG_NUMBER.sub(_shortened, limit))
        for passed, name, value, limit in guards
    ]


def cell_text(value: object) -> str:
    """A value as it stands in a table: nothing for None, yes or no, at most ten digits of a float."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


def _shortened(number: re.Match[str]) -> str:
    return f"{float(number[0]):.10g}"
