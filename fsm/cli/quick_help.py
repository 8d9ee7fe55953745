"""Prints ``--help`` as it was written down (fsm/cli/reference.py): what is asked first needs no library."""

import os
import sys


def tell_help(name: str) -> bool:
    """Whether it could be told in this way; else the command line does, which knows what to do about it."""
    try:
        columns = int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 80
    if columns < 80 or "_FSM_COMPLETE" in os.environ:
        return False
    try:
        with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:
            sys.stdout.write(file.read().replace("Usage: fsm", f"Usage: {name}", 1).replace("\n  fsm ", f"\n  {name} "))
            sys.stdout.flush()
    except (OSError, UnicodeError, AttributeError):  # a full disk, a closed stream
        return False
    return True
