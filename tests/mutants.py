"""Runs mutants of the core with mutmut, all of them or a sample by seed, and says how many the tests noticed.

``python -m tests.mutants [--sample N] [--seed N]``, or ``make mutants``. What is changed and which tests look is in
setup.cfg; ``mutmut show NAME`` shows a mutant. Explained survivors: docs/proofs.md.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

MUTMUT = Path(sys.executable).with_name("mutmut")
MADE = Path("mutants/fsm/core")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    options.add_argument("--sample", type=int, help="so many mutants (default: all)")
    options.add_argument("--seed", type=int, default=1, help="which of them (default 1)")
    chosen = options.parse_args()
    names: list[str] = []
    if chosen.sample:
        if not MADE.exists():  # one mutant, so that all are made
            subprocess.run([MUTMUT, "run", "fsm.core.arithmetic*", "fsm.core.move.x_failed*"], check=True)
        names = sorted(found())
        random.Random(chosen.seed).shuffle(names)
        names = names[: chosen.sample]
    subprocess.run([MUTMUT, "run", "--max-children", "1", *names], check=True)
    told = {name: code for name, code in found().items() if not names or name in names}
    report(told)
    return 0


def found() -> dict[str, int | None]:
    """Every mutant with what became of it; None where it was not tried."""
    results: dict[str, int | None] = {}
    for path in sorted(MADE.glob("*.meta")):
        results |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return results


def report(results: dict[str, int | None]) -> None:
    tried = {name: code for name, code in results.items() if code is not None}
    survivors = sorted(name for name, code in tried.items() if code == 0)
    for module, number in sorted(Counter(name.split(".")[2] for name in survivors).items()):
        print(f"{number:>5} survivors in fsm/core/{module}.py")
    print("\n".join(survivors))
    print(f"{len(tried) - len(survivors):,} of {len(tried):,} noticed ({1 - len(survivors) / max(len(tried), 1):.1%})")


if __name__ == "__main__":
    sys.exit(main())
