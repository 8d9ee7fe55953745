"""Starts the command line: ``python -m fsm``, and ``fsm`` where it is installed."""

from fsm.cli.app import app


def main() -> None:
    """The command ``fsm``."""
    app(prog_name="fsm")


if __name__ == "__main__":
    app()
