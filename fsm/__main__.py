"""Starts the command line: ``python -m fsm``, and ``fsm`` where it is installed."""

import gc
import sys

# Loading a command makes a hundred thousand objects, all of which stay: looking through them for garbage every few
# hundred, as Python does, is a tenth of a start. What runs for days sets it back (fsm/cli/run.py).
gc.set_threshold(20_000, 20, 50)


def main(name: str | None = "fsm") -> None:
    """The command ``fsm``; under no name it is called by whatever started this module."""
    if sys.argv[1:] == ["--help"]:
        from fsm.cli.quick_help import tell_help

        if tell_help(name or "python -m fsm"):
            return
    try:
        from fsm.cli.app import app

        app(prog_name=name)
    except KeyboardInterrupt:  # while modules are loaded; to end a run is no failure of it
        sys.exit(0 if "run" in sys.argv[1:] else 130)


if __name__ == "__main__":
    main(None)
