"""Prints the tables of docs/fill-model.md: ``python -m benchmarks.fill_model DIR…``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from exchange.types import Side
from fsm.backtest.fill_model import measured, page, paths


def main(arguments: Sequence[str]) -> None:
    folders = CandleFolders([Path(each) for each in arguments] or [shipped_folder()])
    for name, sides in (("Long", (Side.BUY,)), ("Long and short", (Side.BUY, Side.SELL))):
        stops = measured(folders, sides)
        sys.stdout.write(f"\n{name}: {len(stops)} stops\n\n" + "\n".join(page(stops)) + "\n")
    sys.stdout.write("\n" + "\n".join(paths(folders)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
