"""Measures the dashboard's overview in a real browser beside an earlier version: first paint, and until all is there.

Both look at a journal of their own making with the same content: SYMBOLS symbols, HELD open positions, ROWS steps. Each
page is opened several times, the two in turn, in one browser, with a session that is logged in.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks._ground import EARLIER, ROOT, earlier_tree
from tests.integration.web.chromium import TOKEN, Page, browser, tab

PATIENCE_S = 900.0
COMPLETE = {
    "now": "document.querySelectorAll('#why tbody tr').length >= {symbols}"
    " && document.querySelectorAll('#positions .card').length >= {held}"
    " && document.querySelector('#equity-chart canvas') && document.querySelector('#candle-chart canvas')"
    " && document.querySelector('#trades tbody tr') && document.querySelector('#machine svg')",
    EARLIER: "document.querySelectorAll('#why tbody tr').length >= {symbols}"
    " && document.querySelectorAll('#positions .card').length >= {held}"
    " && document.querySelector('#equity-chart canvas') && document.querySelector('#candle-chart canvas')"
    " && document.querySelector('#trades tbody tr') && document.querySelector('#machine svg')",
}
"""What both pages show of the account, its positions, its symbols and its trades."""

MAKE = r"""
import sys
from pathlib import Path
from msgspec.structs import replace
try:
    from exchange.sim.playback.symbols import shipped_folder
except ImportError:
    from exchange.sim.symbols import shipped_folder
try:
    from fsm.backtest.run import Request, run_backtest
except ImportError:
    from fsm.lab.backtest import Request, run_backtest
from fsm.config import load_config
from rules.load import load_rules
from store import queries
from store.batch import Batch
from store.database import open_store
from store.journal import Journal

path, symbols, held, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
root, own, until_ms = Path.cwd(), "BTCUSDT", 1_733_011_200_000
run_backtest(Request(config=load_config(root / "config.yaml", None, {}), rules=load_rules(root / "rules.yaml"),
                     data=(shipped_folder(),), symbols=(own,), from_ms=1_730_419_200_000, to_ms=until_ms, db=path))
with open_store(path, mode="write", at_ms=1) as store:
    store.connection.execute("UPDATE meta SET environment = 'sim'")
    journal = Journal(store, run_id="bench003")
    steps = list(queries.each_transition(store))
    decided = list(queries.each_decision(store))
    last = {state: [step for step in steps if step.dest == state][-1] for state in ("IDLE", "PROTECTED")}
    names = [own, *(f"S{number:03d}USDT" for number in range(1, symbols))]

    def of(row, name, **changes):
        swapped = {field: value.replace(own, name) for field in row.__struct_fields__
                   if isinstance(value := getattr(row, field), str)}
        return replace(row, **{**swapped, "id": 0, "prev_hash": "", "hash": "", "run_id": "", **changes})

    for start in range(len(steps), rows, 5_000):
        places = range(start, min(start + 5_000, rows))
        some = [of(steps[place % len(steps)], names[place % len(names)]) for place in places]
        journal.commit(Batch(transitions=some))
    ends = [of(last["PROTECTED" if place < held else "IDLE"], name, at_ms=until_ms) for place, name in enumerate(names)]
    journal.commit(Batch(transitions=ends))
    others = [of(decided[place % len(decided)], name) for place, name in enumerate(names[1:], 1)]
    journal.commit(Batch(decisions=others))
"""


def made(tree: Path, path: Path, symbols: int, held: int, rows: int) -> None:
    command = [sys.executable, "-c", MAKE, str(path), str(symbols), str(held), str(rows)]
    subprocess.run(command, cwd=tree, check=True, env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"})


def logged_in(page: Page, url: str) -> None:
    page.open(url)
    page.wait_for("!document.getElementById('login').hidden", within_s=PATIENCE_S / 10)
    page.run(
        f"document.getElementById('token').value = '{TOKEN}';document.getElementById('login-form').requestSubmit()"
    )
    page.wait_for("document.querySelector('#why tbody tr')", within_s=PATIENCE_S / 10)


def opened(page: Page, url: str, complete: str) -> dict[str, float]:
    """Milliseconds from the beginning of the navigation."""
    page.open(url)
    watched = (
        f"new Promise((done) => {{ const look = () => {{ if ({complete}) done(performance.now());"
        " else requestAnimationFrame(look); }; look(); })"
    )
    whole = page.run(watched)
    painted = page.run("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
    page.open("about:blank")  # the other one has the machine for itself
    return {"first_paint_ms": painted, "complete_ms": whole}


def measured(trees: dict[str, Path], symbols: int, held: int, rows: int, rounds: int) -> dict[str, Any]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        scratch, windows, urls = Path(folder), [], {}
        try:
            for name, tree in trees.items():
                database = scratch / f"{name}.sqlite"
                made(tree, database, symbols, held, rows)
                window = subprocess.Popen(
                    [sys.executable, "-m", "web", "--db", str(database), "--port", "0"],
                    cwd=tree, env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin", "DASHBOARD_TOKEN": TOKEN},
                    stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
                windows.append(window)
                assert window.stdout is not None
                said = next(filter(None, (re.search(r"http://[^\s/]+", line) for line in window.stdout)))
                urls[name] = said.group() + "/"
            with browser(scratch / "profile") as address, ExitStack() as tabs:
                pages = {name: tabs.enter_context(tab(address)) for name in urls}
                for name, page in pages.items():
                    logged_in(page, urls[name])
                    page.open("about:blank")
                for _ in range(rounds):
                    for name, page in pages.items():
                        complete = COMPLETE[name].format(symbols=symbols, held=held)
                        found[name].append(opened(page, urls[name], complete))
        finally:
            for window in windows:
                window.terminate()
                window.wait()
    return {
        name: {what: statistics.median(run[what] for run in runs) for what in ("first_paint_ms", "complete_ms")}
        for name, runs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--held", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    trees = {"now": ROOT}
    earlier = earlier_tree()
    if earlier is not None:
        trees[EARLIER] = earlier
    result = measured(trees, given.symbols, given.held, given.rows, given.rounds)
    if earlier is not None:
        result["share"] = {what: result["now"][what] / result[EARLIER][what] for what in result["now"]}
    print(json.dumps({**vars(given), **result}, indent=2))


if __name__ == "__main__":
    main()
