"""Runs the bot with a wall clock that a file sets, on an exchange on this machine that it takes for the testnet.

``faked_clock.py REST WS FILE ARGUMENTS…``: FILE holds the milliseconds that are added to this machine's clock. Patched
is what `date -s` or NTP would change, in the whole process; the code that decides is the code that ships.
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
    real_ns, offset = time.time_ns, Path(file)

    def faked_ns() -> int:
        return real_ns() + int(offset.read_text()) * 1_000_000

    time.time_ns = faked_ns  # type: ignore[assignment]
    time.time = lambda: faked_ns() / 1e9
    environment._TESTNET = dataclasses.replace(environment._TESTNET, rest_url=rest, ws_urls=(ws,))
    sys.argv = ["fsm", *arguments]
    runpy.run_module("fsm", run_name="__main__")


main()
