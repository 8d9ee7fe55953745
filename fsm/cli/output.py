"""Prints what a command found: tables and lines for people, or one JSON document for programs, on stdout."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from fsm.cli.shown import Shown

WIDTH_UNLIMITED = 10_000
"""Columns where nobody looks: lines in pipes and files are cut and joined by other programs, never by us."""

GUARD_COLUMNS = ("passed", "guard", "found", "needed")
_LONG_NUMBER = re.compile(r"\d+\.\d{9,}")


def is_lost() -> bool:
    """Nothing more can be shown: the reader has gone, or the disk is full."""
    raw = getattr(sys.stdout, "buffer", None)
    return isinstance(raw, Shown) and raw.lost is not None


def document(data: Any) -> None:
    """Print the JSON document of a command; indented for a terminal."""
    encoded = msgspec.json.encode(data)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    click.echo(encoded.decode())


def line(text: str = "") -> None:
    click.echo(text)


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
    """Print rows under their headers; the columns named in ``right`` are numbers and end at the same place."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell_text(cell)) for cell in row))
    width = None if sys.stdout.isatty() else WIDTH_UNLIMITED
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(shown)
    click.echo("\n".join(text.rstrip() for text in captured.get().rstrip("\n").split("\n")))


def counted(number: int, noun: str) -> str:
    """1 file, 12 files."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names with their values, one a line, the values below one another."""
    listed = [(name, cell_text(value)) for name, value in rows]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        click.echo(f"{name:<{width}}  {value}".rstrip())


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
