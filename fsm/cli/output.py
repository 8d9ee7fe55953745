"""Prints what a command found: tables and lines for people, or one JSON document for programs, on stdout."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from shutil import get_terminal_size
from typing import Any

import click
import msgspec

from fsm.cli import layout
from fsm.cli.shown import Shown

PAGE_WIDTH = 120
"""Columns of what is drawn as a whole where no terminal says how many it has."""

WIDTH_UNLIMITED = 10_000
"""Columns where nobody looks: lines in pipes and files are cut and joined by other programs, never by us."""

ROOM_MIN = 20
"""Columns for a value, however narrow the terminal is."""

GUARD_COLUMNS = ("passed", "guard", "found", "needed")
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


def line(text: str = "", *, err: bool = False) -> None:
    """A sentence, in as many lines as the terminal makes of it; in pipes and files in one."""
    room, indent = width(err=err), text[: len(text) - len(text.lstrip(" "))]
    for each in [text] if layout.columns_of(text) <= room else layout.folded(text, room, indent):
        click.echo(each, err=err)


def hanging(first: str, text: str) -> None:
    """A name and what is said of it, of which everything stands beside the name however many lines it takes."""
    blank, room = " " * layout.columns_of(first), width()
    before = first
    for each in layout.folded(text, max(room - len(blank), ROOM_MIN)):
        if len(blank) + layout.columns_of(each) > room:  # a hash, which stays whole to be copied
            click.echo(f"{before.rstrip()}\n{each}" if before.strip() else each)
        else:
            click.echo(f"{before}{each}".rstrip())
        before = blank


def verbatim(text: str) -> None:
    """What is for programs or to be pasted: never folded."""
    click.echo(text)


def raw(text: str) -> None:
    """Text without an end of line, at once: for a line that is written over."""
    click.echo(text, nl=False)


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def to_paste(steps: Iterable[tuple[str, str]]) -> None:
    """Commands with what each is for: beside it, or above it on a narrow terminal; a command stays whole."""
    listed = list(steps)
    widest = max(len(command) for command, _ in listed)
    is_beside = all(widest + len(f"    # {meaning}") <= width() for _, meaning in listed)
    for command, meaning in listed:
        if is_beside:
            click.echo(f"  {command:<{widest}}  # {meaning}")
        else:
            line(f"  # {meaning}")
            click.echo(f"  {command}")


_BANNERS = {"mainnet": "  MAINNET: this bot trades real money  "}


def banner(environment: str | None) -> None:
    """Stands above everything that has to do with real money; nothing stands above anything else."""
    for text in filter(None, (_BANNERS.get(environment or ""),)):
        line(click.style(text, fg="white", bg="red", bold=True))


def heading(text: str) -> None:
    """A title above a table or a list, with an empty line before it."""
    click.echo()
    for each in layout.folded(text, width()):
        click.echo(click.style(each, bold=True))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows under their headers; the columns named in ``right`` are numbers and end at the same place.

    On a terminal that is too narrow for them each row becomes a block: no number and no name is ever broken.
    """
    cells = [[cell_text(cell) for cell in row] for row in rows]
    laid = layout.table(columns, cells, right, width())
    if laid is None:
        for first, lines in layout.stacked(columns, cells, width()):
            for text in filter(None, (click.style(first, bold=True) if first else "", *lines)):
                click.echo(text)
        return
    names, lines = laid
    for name in names:
        click.echo(click.style(name, bold=True))
    for text in lines:
        click.echo(text)


def width(*, err: bool = False) -> int:
    """Columns that a line may have."""
    return get_terminal_size().columns if (sys.stderr if err else sys.stdout).isatty() else WIDTH_UNLIMITED


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
    for name, value in listed:
        hanging(f"{name:<{indent}}", value)


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
