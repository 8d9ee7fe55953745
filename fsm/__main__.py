"""Starts the command line: ``python -m fsm``, and ``fsm`` where it is installed."""

import gc

# Loading a command makes a hundred thousand objects, all of which stay: looking through them for garbage every few
# hundred, as Python does, is a tenth of a start. What runs for days sets it back (fsm/cli/run.py).
gc.set_threshold(20_000, 20, 50)

from fsm.cli.app import app  # noqa: E402


def main() -> None:
    """The command ``fsm``."""
    app(prog_name="fsm")


if __name__ == "__main__":
    app()
