"""Runs the bot as it is, where testnet and mainnet are emulators on this machine.

``on_loopback.py REST WS ARGUMENTS…``: these addresses stand in the place of Binance's; all else is the code that ships.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace

from exchange import environment


def main() -> None:
    rest, ws, *arguments = sys.argv[1:]
    for name in ("_TESTNET", "_MAINNET"):
        setattr(environment, name, replace(getattr(environment, name), rest_url=rest, ws_urls=(ws,)))
    sys.argv = ["fsm", *arguments]
    runpy.run_module("fsm", run_name="__main__")


main()
