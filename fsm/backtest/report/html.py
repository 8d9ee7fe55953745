"""Builds HTML in which nothing can break out: whatever is not markup made here is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Part:
    """A piece of a page that is HTML already. ``tag`` and ``together`` make them; a plain text never is one."""

    __slots__ = ("html",)

    def __init__(self, html: str) -> None:
        self.html = html


Child = str | Part | None


def tag(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Part:
    """An element. Texts and values are escaped; ``class_`` is class, ``aria_label`` aria-label; True has no value."""
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in ("meta", "line", "rect", "circle", "path", "br") and not children:
        return Part(f"<{name}{given}>" if name in ("meta", "br") else f"<{name}{given}/>")
    return Part(f"<{name}{given}>{together(*children).html}</{name}>")


def together(*children: Child) -> Part:
    """Pieces one after the other."""
    return Part(
        "".join(child.html if isinstance(child, Part) else escape(child) for child in children if child is not None)
    )


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[Child]], *, words: int = 1, titled: bool = False
) -> Part:
    """A table in which the first ``words`` columns are words and all others numbers; it scrolls by itself.

    ``titled``: the title above it says the same, so that only a reader of screens is told.
    """
    kind = ["words" if index < words else "num" for index in range(len(head))]
    top = tag("tr", *(tag("th", name, scope="col", class_=each) for name, each in zip(head, kind, strict=True)))
    body = [
        tag(
            "tr",
            *(
                tag("th", cell, scope="row", class_="words") if index == 0 else tag("td", cell, class_=kind[index])
                for index, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="unseen" if titled else None),
            tag("thead", top),
            tag("tbody", *body),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def panel(key: str, title: str, *children: Child, wide: bool = False) -> Part:
    """A part of the page under its title."""
    heading = tag("h2", title, id=f"{key}-title")
    return tag(
        "section", heading, *children, class_="panel wide" if wide else "panel", id=key, aria_labelledby=f"{key}-title"
    )
