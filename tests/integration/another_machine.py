"""Runs the bot as on a machine of its own: the folder for locks of this machine is another one.

``another_machine.py FOLDER ARGUMENTS…``: all else is the code that ships.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from store import lock


def main() -> None:
    folder, *arguments = sys.argv[1:]
    lock._MACHINE = (Path(folder),)
    sys.argv = ["fsm", *arguments]
    runpy.run_module("fsm", run_name="__main__")


main()
