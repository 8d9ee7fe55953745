"""Where studies are kept, and what they are called."""

from __future__ import annotations

import re
from pathlib import Path

from fsm.optimise.parameters import SearchError

STUDIES = Path("var") / "studies"
SUFFIX = ".sqlite"
SUFFIXES = (SUFFIX, ".sqlite3", ".db")
"""What makes a path of a word."""

LEDGER = "tried.ledger"
"""Beside the studies that have no other place: which variants were tried on which data, in any of them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def study_path(given: str, folder: Path = STUDIES) -> Path:
    """A file where a path is given, else the study of that name. Raises SearchError for what is neither."""
    path = Path(given)
    if path.is_dir():
        raise SearchError(f"{given} is a folder: name a file for the study, or give it a name")
    if "/" in given or path.suffix in SUFFIXES:
        return path
    if not _NAME.fullmatch(given):
        raise SearchError(
            f"{given!r} is no name of a study: use up to 64 letters, digits, dots, dashes and underscores, and begin "
            "with a letter or a digit; or give a path"
        )
    return folder / f"{given}{SUFFIX}"


def study_name(path: Path) -> str:
    return path.stem if path.suffix in SUFFIXES else path.name
