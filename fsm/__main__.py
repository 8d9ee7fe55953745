"""Starts the command line: ``python -m fsm``."""

from fsm.cli.app import app

if __name__ == "__main__":
    app()
