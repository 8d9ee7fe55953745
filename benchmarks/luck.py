"""Shows that luck is not called significant, and that an edge is: strategies of dice, over thousands of searches.

SEEDS searches of 1,000 variants over three years of days have no edge at all; how often the best of them is called
significant must not lie above the stated one in twenty. Then one variant has an edge, from half of what theory says is
found in nine of ten searches to more.
"""

from __future__ import annotations

import argparse
import time

from fsm.optimise.dice import DICE, dice, share_interval, verdict
from fsm.optimise.luck import SIGNIFICANT, edge_found

DAYS, VARIANTS = 1_095, 1_000
PARTS = (0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="?", type=int, default=1_000)
    seeds: int = parser.parse_args().seeds
    since = time.perf_counter()
    hits = sum(verdict(dice(seed, days=DAYS, variants=VARIANTS)).significant for seed in range(seeds))
    low, high = share_interval(hits, seeds)
    print(
        f"{seeds:,} searches of {VARIANTS:,} strategies of dice over {DAYS:,} days, significant at {SIGNIFICANT:.0%}:"
    )
    print(f"  {hits} of {seeds:,}: {low:.2%} to {high:.2%} (95 % interval), stated {1 - SIGNIFICANT:.0%}")
    edge = edge_found(DAYS, VARIANTS, 1 / (DAYS - 1), kurtosis=DICE)
    print(f"one of them has an edge; theory finds a yearly Sharpe ratio of {edge * 365**0.5:.2f} in 90 % of searches:")
    power = 0.0
    for part in PARTS:
        told = [verdict(dice(10**6 + s, days=DAYS, variants=VARIANTS, edge=part * edge)) for s in range(seeds)]
        found = sum(each.significant and each.best == 0 for each in told)
        low, high = share_interval(found, seeds)
        power = found / seeds if part == 1.0 else power
        print(
            f"  Sharpe {part * edge * 365**0.5:5.2f} ({part:.1f} of it): {found / seeds:6.1%} ({low:.1%} to {high:.1%})"
        )
    print(f"seconds {time.perf_counter() - since:.0f}")
    return 0 if share_interval(hits, seeds)[0] <= 1 - SIGNIFICANT and power >= 0.9 else 1


if __name__ == "__main__":
    raise SystemExit(main())
