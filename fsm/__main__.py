"""Starts the command line: ``python -m fsm``, and ``fsm`` where it is installed."""

import gc
import os
import sys

# Loading a command makes a hundred thousand objects, all of which stay: looking through them for garbage every few
# hundred, as Python does, is a tenth of a start. What runs for days sets it back (fsm/cli/run.py).
gc.set_threshold(20_000, 20, 50)


def main(name: str | None = "fsm") -> None:
    """The command ``fsm``; under no name it is called by whatever started this module."""
    if sys.argv[1:] == ["--help"] and _tell_help(name or "python -m fsm"):
        return
    from fsm.cli.app import app

    app(prog_name=name)


def _tell_help(name: str) -> bool:
    """The help as it was written down (fsm/cli/reference.py): the first thing that anybody asks needs no libraries."""
    try:
        columns = int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 80
    if columns < 80 or "_FSM_COMPLETE" in os.environ:
        return False
    try:
        with open(os.path.join(os.path.dirname(__file__), "cli", "help.txt"), encoding="utf-8") as file:
            sys.stdout.write(file.read().replace("Usage: fsm", f"Usage: {name}", 1))
            sys.stdout.flush()
    except (OSError, UnicodeError, AttributeError):  # a full disk, a closed stream
        return False  # by the long way, which knows what to do about it
    return True


if __name__ == "__main__":
    main(None)
