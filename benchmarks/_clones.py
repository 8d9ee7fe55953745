"""The command line of the tree on PYTHONPATH, where C00USDT, C01USDT, … are clones of symbols that it has rules for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

BASES = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")


def clone_name(number: int) -> str:
    return f"C{number:02}USDT"


def widened(known: dict[str, Any], count: int) -> dict[str, Any]:
    """With what each clone's original has."""
    return {**known, **{clone_name(number): known[BASES[number % len(BASES)]] for number in range(count)}}


def main(count: int) -> None:
    import msgspec

    symbols = import_module("exchange.sim.playback.symbols")
    filters, brackets = symbols.shipped_filters(), symbols.shipped_brackets()
    renamed = {
        name: msgspec.structs.replace(found, symbol=name) if hasattr(found, "symbol") else found
        for name, found in widened(filters, count).items()
    }
    symbols.shipped_filters = lambda: renamed
    symbols.shipped_brackets = lambda: widened(brackets, count)
    import_module("fsm.__main__")
    import_module("fsm.cli.app").app()


if __name__ == "__main__":
    main(int(sys.argv.pop(1)))
