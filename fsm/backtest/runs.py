"""Runs kept under names: one database each in a folder beside the bot's own, and what each of them came to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsm.backtest.kept_run import read_kept_run
from store.database import open_store
from store.errors import StoreError

RUNS = Path("var") / "runs"
SUFFIX = ".sqlite"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
BESIDE = ("", "-wal", "-shm")
"""What SQLite leaves beside a database."""


class RunNameError(ValueError):
    """A name that no run can have, or that no run has. The message says what to do."""


@dataclass(frozen=True, slots=True)
class NamedRun:
    """``summary`` None: it is not finished, or no run; ``problem`` says which. ``made_s``: when it was written."""

    name: str
    path: Path
    made_s: float
    summary: dict[str, Any] | None
    problem: str = ""


def run_path(name: str, folder: Path = RUNS) -> Path:
    """Where the run of this name is, or would be. Raises RunNameError for what is no name."""
    if not NAME.fullmatch(name) or name.endswith(SUFFIX):
        raise RunNameError(
            f"{name!r} is no name of a run: use up to 64 letters, digits, dots, dashes and underscores, "
            "and begin with a letter or a digit"
        )
    return folder / f"{name}{SUFFIX}"


def find_run(given: str, folder: Path = RUNS) -> Path:
    """The database of a run, by its name or by its file. Raises RunNameError where there is none."""
    if Path(given).is_file():
        return Path(given)
    path = run_path(given, folder)
    if not path.is_file():
        names = ", ".join(found.name for found in named_runs(folder)) or "none yet: `backtest --name NAME` keeps one"
        raise RunNameError(f"no run is called {given}; there are {names}")
    return path


def named_runs(folder: Path = RUNS) -> list[NamedRun]:
    """Every run of the folder, the newest first."""
    found = [_named(path) for path in folder.glob(f"*{SUFFIX}") if path.is_file()]
    return sorted(found, key=lambda run: (-run.made_s, run.name))


def _named(path: Path) -> NamedRun:
    name, made_s = path.name.removesuffix(SUFFIX), path.stat().st_mtime
    try:
        with open_store(path, mode="read") as store:
            return NamedRun(name, path, made_s, read_kept_run(store).summary)
    except StoreError as error:
        return NamedRun(name, path, made_s, None, error.message)


def remove_run(path: Path) -> None:
    """Take away what a run that did not end has written."""
    for ending in BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
