"""Runs mutants of a room with mutmut, all of them or a sample by seed, and says how many its quick tests noticed.

``python -m tests.mutants [ROOM] [--sample N] [--seed N]``, or ``make mutants``. The work is done in a copy below
``mutants/``; ``mutmut show NAME`` there shows a mutant. Explained survivors: docs/proofs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTMUT = Path(sys.executable).with_name("mutmut")
COPIED = ("fsm", "rules", "indicators", "exchange", "store", "web", "tests", "config.yaml", "rules.yaml", "setup.cfg")
COSTLY_PLUGINS = ("unraisableexception", "threadexception", "cacheprovider", "xdist", "pytest_cov", "pytest_httpx")
"""They cost more than the tests themselves."""

FAR = {**os.environ, "FULL": "1"}
"""Tests look with all of their examples, as in ``make soak``: fewer would notice fewer."""

NO_TEST = 33
"""mutmut's word for a place that no test comes by: nobody notices that either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is changed, and which tests look; ``first`` are few mutants, made so that the names of all are known."""

    tests: tuple[str, ...]
    left_out: tuple[str, ...]
    first: str
    needless_plugins: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


ROOMS = {
    "fsm/core": Room(
        tests=("tests/unit/fsm/core",),
        left_out=("tests/unit/fsm/core/test_any_exchange.py", "tests/unit/fsm/core/test_any_broken_engine.py"),
        first="fsm.core.model.decision.x_failed*",
        needless_plugins=("hypothesispytest", "anyio"),
    ),
    "exchange/sim": Room(
        tests=("tests/unit/exchange/sim", "tests/contract", "-k=not http and not recorded"),
        unchanged=("exchange/sim/server/*", "exchange/sim/__main__.py", "exchange/sim/server/remote.py"),
        left_out=("tests/unit/exchange/sim/server", "tests/unit/exchange/sim/test_any_account.py"),
        first="exchange.sim.core.pricing.x_*",
    ),
}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    options.add_argument("room", nargs="?", choices=ROOMS, default="fsm/core", metavar="ROOM", help=" or ".join(ROOMS))
    options.add_argument("--sample", type=int, help="so many mutants (default: all)")
    options.add_argument("--seed", type=int, default=1, help="which of them (default 1)")
    chosen = options.parse_args()
    folder = copied(chosen.room)
    names: list[str] = []
    if chosen.sample:
        subprocess.run([MUTMUT, "run", ROOMS[chosen.room].first], cwd=folder, env=FAR, check=True)
        names = sorted(found(folder))
        random.Random(chosen.seed).shuffle(names)
        names = names[: chosen.sample]
    subprocess.run([MUTMUT, "run", "--max-children", "1", *names], cwd=folder, env=FAR, check=True)
    report({name: code for name, code in found(folder).items() if not names or name in names})
    return 0


def copied(name: str) -> Path:
    """A fresh copy of the product with mutmut's settings for this room."""
    folder = ROOT / "mutants" / name.replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for each in COPIED:
        if (ROOT / each).is_dir():
            shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / each, folder / each)
    with (folder / "setup.cfg").open("a", encoding="utf-8") as file:
        file.write(settings(name, ROOMS[name]))
    return folder


def settings(name: str, room: Room) -> str:
    values = {
        "source_paths": [each for each in COPIED if each.isalpha() and each != "tests"],
        "only_mutate": [f"{name}/*"],
        "do_not_mutate": room.unchanged,
        "pytest_add_cli_args_test_selection": room.tests,
        "pytest_add_cli_args": [
            *(f"--ignore={path}" for path in room.left_out),
            *(word for plugin in (*COSTLY_PLUGINS, *room.needless_plugins) for word in ("-p", f"no:{plugin}")),
        ],
        "also_copy": ["config.yaml", "rules.yaml"],
    }
    lines = "".join("\n    ".join((f"{key} =", *given)) + "\n" for key, given in values.items() if given)
    numbers = "timeout_multiplier = 6\ntimeout_constant = 10\n"
    return f"\n[mutmut]\n{lines}{numbers}track_dependencies = false\nuse_git_change_detection = false\n"


def found(folder: Path) -> dict[str, int | None]:
    """Every mutant with what became of it; None where it was not tried."""
    results: dict[str, int | None] = {}
    for path in sorted((folder / "mutants").rglob("*.meta")):
        results |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return results


def report(results: dict[str, int | None]) -> None:
    tried = {name: code for name, code in results.items() if code is not None}
    survivors = sorted(name for name, code in tried.items() if code in (0, NO_TEST))
    for module, number in sorted(Counter(name.rsplit(".", 1)[0] for name in survivors).items()):
        print(f"{number:>5} survivors in {module}")
    print("\n".join(survivors))
    print(f"{len(tried) - len(survivors):,} of {len(tried):,} noticed ({1 - len(survivors) / max(len(tried), 1):.1%})")


if __name__ == "__main__":
    sys.exit(main())
