"""The speed of the search mode: variants a second, their ratio to other engines on the same task, and memory.

Everything is pinned to one core (the last part to two), in turn, in one call; only ratios within a call mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks._clones import BASES, clone_name, widened
from benchmarks._ground import (
    PEERS,
    WORK,
    YEAR,
    Failed,
    Used,
    folder_of_candles,
    in_turn,
    installed,
    read,
    result_of,
    run,
    write,
)

TASK = Path(__file__).parent / "task"
VARIANTS = 12
CLONES = 50


def child(kind: str, data: Path) -> dict[str, Any]:
    """One process of ours: what it took, as JSON on its output."""
    from fsm.backtest.run import Request
    from fsm.config import load_config
    from fsm.search import evaluate, prepare
    from fsm.search.straight.compiled import PLAIN, Wanted
    from rules.load import load_rules, parse_rules

    symbols: tuple[str, ...] = ()
    config = load_config(TASK / "config.yaml", None, {})
    rules = load_rules(TASK / "rules.yaml")
    if kind == "crowd":
        _with_clones()
        symbols = tuple(clone_name(number) for number in range(CLONES))
    request = Request(config=config, rules=rules, data=(data,), symbols=symbols)
    form: Wanted = PLAIN if kind == "plain" else "fastest"
    spent_s: list[float] = []
    for _ in range(1 if kind == "crowd" else 3):  # the first one compiles, or loads what was compiled
        prepared = prepare(request)
        began_s = time.process_time()
        outcome = evaluate(prepared, rules, config.settings, form)
        assert outcome.by_engine == ""
        outcome.figures  # noqa: B018
        spent_s.append(time.process_time() - began_s)
    found: dict[str, Any] = {"trades": len(outcome.trades), "engine_s": spent_s[-1]}
    if kind == "crowd":
        return found
    found["compile_s"] = spent_s[0] - spent_s[-1]
    text = rules.text
    others = [
        parse_rules(text.replace("2 * atr_1h", f"{2 + number / 20} * atr_1h"), "rules.yaml")
        for number in range(VARIANTS)
    ]
    spent, trades = [], 0
    for number in range(-2, VARIANTS):
        began_s = time.process_time()
        made = evaluate(prepared, others[max(number, 0)], config.settings, form)
        if number >= 0:
            spent.append(time.process_time() - began_s)
            trades += len(made.trades)
    return {**found, "variant_s": statistics.median(spent), "variant_trades": trades / VARIANTS}


def _with_clones() -> None:
    import msgspec

    from exchange.sim.playback import rulebook, symbols

    filters, brackets = symbols.shipped_filters(), symbols.shipped_brackets()
    renamed = {name: msgspec.structs.replace(each, symbol=name) for name, each in widened(filters, CLONES).items()}
    rulebook.shipped_filters = lambda: renamed
    rulebook.shipped_brackets = lambda: widened(brackets, CLONES)


def told(kind: str, data: Path, cpu: int) -> Any:
    """(what it said, its peak in MB)"""
    used = run([sys.executable, "-m", "benchmarks.search_mode", "--child", kind, str(data)], cpu=cpu)
    return json.loads(used.out), used.peak_mb


def engines(common: Path, rounds: int, cpu: int) -> list[str]:
    """Against the engines of others, in turn."""
    jobs: dict[str, Any] = {}
    for name in ("backtesting.py", "raptorbt"):
        if (command := installed(name)) is not None:
            jobs[name] = lambda command=command: run([*command, str(common / "BTCUSDT.npy")], tree=PEERS, cpu=cpu)
    own = {"plain": "plain install", **({"common": "extra search"} if find_spec("numba") else {})}
    for kind in own:
        command = [sys.executable, "-m", "benchmarks.search_mode", "--child", kind, str(common)]
        jobs[kind] = lambda command=command: run(command, cpu=cpu)
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}

    def kept(name: str) -> Used:
        used: Used = jobs[name]()
        said[name].append(json.loads(used.out) if name in own else result_of(used))
        return used

    try:
        in_turn({name: lambda name=name: kept(name) for name in jobs}, rounds)
    except Failed as error:
        return [f"| a peer does not run here: {error} | | | |"]
    found = {name: medians(each[1:]) for name, each in said.items()}
    lines = []
    for kind, how in own.items() if "backtesting.py" in found else ():
        peer, made = found["backtesting.py"], found[kind]
        theirs_ms, ours_ms = peer["engine_s"] * 1000, made["engine_s"] * 1000
        what = f"{theirs_ms:.0f} ms, {peer['trades']} trades / {ours_ms:.0f} ms, {made['trades']} trades"
        row = f"backtesting.py's engine / ours, common task, {how}"
        lines.append(f"| {row} | {what} | {theirs_ms / ours_ms:.2f} | >= {5 if kind == 'plain' else 20} |")
    ours = found[[*own][-1]]
    if "common" in own:
        lines.append(f"| to compile, or to load what was compiled, once a process | {ours['compile_s']:.2f} s | | |")
    if "raptorbt" in found:
        peer = found["raptorbt"]
        each, its = ours["variant_s"] / ours["variant_trades"], peer["engine_s"] / peer["trades"]
        what = f"{each * 1e6:.0f} us / {its * 1e6:.0f} us a trade"
        lines.append(f"| one variant in a study / raptorbt's engine, per trade | {what} | {each / its:.2f} | <= 1.0 |")
    lines.append(f"| variants a second, one core | {1 / ours['variant_s']:.1f} | | |")
    return lines


def medians(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Of what each round said; words as the last one said them."""
    return {
        name: last if isinstance(last, str) else statistics.median(each[name] for each in said)
        for name, last in said[-1].items()
    }


def together(common: Path, cpu: int) -> str:
    """Two processes on two cores against one."""

    def rate(cpus: list[int]) -> float:
        began_s = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.search_mode", "--child", "common", str(common)]
        running = [
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, preexec_fn=lambda cpu=each: os.sched_setaffinity(0, {cpu})
            )  # type: ignore[misc]
            for each in cpus
        ]
        assert all(process.wait() == 0 for process in running)
        return len(cpus) / (time.perf_counter() - began_s)

    one, two = rate([cpu]), rate([cpu, cpu + 1])
    return f"| variants a second, 2 processes / 1 | | {two / one:.2f} | >= 1.8 |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--candles", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--child", nargs=2)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child[0], Path(arguments.child[1]))))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    folder = folder_of_candles(arguments.candles)
    scratch = Path(tempfile.mkdtemp(prefix="search"))
    raw = {name: read(folder, name)[-3 * YEAR :] for name in BASES if (folder / f"{name}-1h.csv.gz").exists()}
    common = write(scratch / "common", {"BTCUSDT": raw["BTCUSDT"]})
    print("| what | measured | ratio | target |\n|---|---|---|---|", flush=True)
    print("\n".join(engines(common, arguments.rounds, arguments.cpu)), flush=True)
    if (os.cpu_count() or 1) > arguments.cpu + 1:
        print(together(common, arguments.cpu), flush=True)
    names = [*raw]
    crowd = write(scratch / "crowd", {clone_name(n): raw[names[n % len(names)]] for n in range(CLONES)})
    found, peak_mb = told("crowd", crowd, arguments.cpu)
    print(
        f"| memory of a worker, {CLONES} symbols x 3 years | {peak_mb:.0f} MB, {found['trades']} trades | | <= 300 MB |"
    )


if __name__ == "__main__":
    main()
