"""Prints the tables of docs/risk-together.md: ``python -m benchmarks.risk_together DIR…``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import read_step
from exchange.sim.playback.symbols import shipped_folder
from indicators.candle import Timeframe
from indicators.correlation import independent, mean_correlation

WORST_PCT = 1


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0]) if arguments else shipped_folder()
    names = sorted(path.name.removesuffix("-1h.csv.gz") for path in folder.glob("*-1h.csv.gz"))
    symbols = [name for name in names if "-" not in name]
    read = [read_step(CandleFolders((folder,)), name, Timeframe.H1) for name in symbols]
    closes = [dict(zip(each.open_time_ms.tolist(), each.close.tolist(), strict=True)) for each in read]
    common = sorted(set.intersection(*(set(each) for each in closes)))
    returns = np.diff(np.log(np.array([[each[at_ms] for at_ms in common] for each in closes])), axis=1)
    mean = mean_correlation(closes, Timeframe.H1.ms, len(common))
    assert mean is not None
    worst = returns[:, np.argsort(returns.mean(axis=0))[: returns.shape[1] * WORST_PCT // 100]]
    pairs = np.corrcoef(returns)[np.triu_indices(len(symbols), 1)]
    falling = (worst < 0).mean() * 100
    sys.stdout.write(f"{len(symbols)} symbols, {returns.shape[1]:,} hours they share: {', '.join(symbols)}\n\n")
    sys.stdout.write(f"mean correlation {mean}, of single pairs {pairs.min():.2f} to {pairs.max():.2f}\n")
    sys.stdout.write(f"in the worst {WORST_PCT} % of hours {falling:.0f} % of the symbols fall\n\n")
    sys.stdout.write("| positions of one direction | independent ones | each risks 0.5 %: together |\n|---|---|---|\n")
    for count in (1, 2, 3, 5, 10):
        alone = independent(count, mean)
        sys.stdout.write(f"| {count} | {alone} | {count * 0.5 / float(alone) ** 0.5:.2f} % |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
