"""Shows the place of a problem in a YAML file: the line, and a caret under the column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SUFFIXES = (".yaml", ".yml")
"""Only what is meant to be shown: .env has secrets."""

_BEFORE_MAX, _LINE_MAX = 70, 100
_MAY_BE_A_KEY = re.compile(r"[A-Za-z0-9_+/=-]{40,}")
"""A secret that was pasted into the wrong file is not repeated on a terminal or in its log."""


def excerpt(file: str, line: int, column: int) -> Sequence[str]:
    """The line and the caret, each indented; nothing where the place cannot be shown. Columns count from 1."""
    from rules.source.yaml_source import contents

    path = Path(file)
    if path.suffix not in _SUFFIXES:
        return ()
    try:
        lines = contents(path).decode("utf-8", "replace").split("\n")
    except OSError:
        return ()  # gone, or a pipe, which nobody reads
    if not 0 < line <= len(lines) or not lines[line - 1].strip():
        return ()
    text = _MAY_BE_A_KEY.sub(lambda found: "•" * len(found[0]), lines[line - 1].rstrip())
    text = "".join(each if each.isprintable() else " " for each in text)
    place = min(column - 1, len(text))
    cut = max(place - _BEFORE_MAX, 0)
    shown = text[cut : cut + _LINE_MAX]
    before, after = ("…" if cut else ""), ("…" if len(text) > cut + _LINE_MAX else "")
    return (f"    {before}{shown}{after}", f"    {' ' * (len(before) + place - cut)}^")
