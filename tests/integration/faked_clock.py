"""Runs the bot with a wall clock that a file sets, on an exchange on this machine that it takes for the testnet.

``faked_clock.py REST WS FILE ARGUMENTS…``: FILE holds the milliseconds that are added to this machine's clock, and
those for which it was suspended. Patched is what `date -s`, NTP or a laptop's lid would change, in the whole process;
the code that decides is the code that ships.
"""

from __future__ import annotations

import dataclasses
import runpy
import sys
import time
from pathlib import Path

from exchange import environment


def main() -> None:
    rest, ws, file, *arguments = sys.argv[1:]
    real_ns, real_clock, told = time.time_ns, time.clock_gettime, Path(file)

    def faked_ns() -> int:
        return real_ns() + sum(map(int, told.read_text().split())) * 1_000_000

    def faked_clock(clock: int) -> float:
        asleep_ms = int(told.read_text().split()[1]) if clock == time.CLOCK_BOOTTIME else 0
        return real_clock(clock) + asleep_ms / 1000

    time.time_ns = faked_ns  # type: ignore[assignment]
    time.time = lambda: faked_ns() / 1e9
    time.clock_gettime = faked_clock
    environment._TESTNET = dataclasses.replace(environment._TESTNET, rest_url=rest, ws_urls=(ws,))
    sys.argv = ["fsm", *arguments]
    runpy.run_module("fsm", run_name="__main__")


main()
