"""``python -m fsm.cli.window_process``: the dashboard beside a running bot, as the bot starts it; it ends with the bot.

It is given the socket to listen on, and the token on its standard input, which the bot keeps open for as long as it
lives: so the window goes however the bot goes. No key of the exchange is in its environment.
"""

from __future__ import annotations

import select
import socket
import sys
from pathlib import Path

import click

from fsm.cli.logs import configure_logs
from fsm.cli.outlet import close_outlets, open_outlets
from fsm.cli.shown import stand_in_for_closed
from web.app import create_app
from web.server import WebServer

LOOK_S = 1.0


@click.command()
@click.option("--db", type=click.Path(path_type=Path), required=True)
@click.option("--socket", "fd", type=int, required=True, help="file descriptor of a socket that listens")
@click.option("--json", is_flag=True, help="logs as JSON lines on a terminal as well")
@click.option("--token-file", type=click.Path(path_type=Path), help="where another token may come to stand")
@click.option("--mark", required=True, help="the environment that log lines name")
def main(db: Path, fd: int, json: bool, token_file: Path | None, mark: str) -> None:
    """Serve until standard input ends."""
    stand_in_for_closed()
    open_outlets(json=json)
    configure_logs(json=json, environment=mark)
    token = sys.stdin.readline().strip() or None
    with WebServer(create_app(db, token=token, token_file=token_file), socket.socket(fileno=fd)) as server:
        while server.is_alive and not select.select([sys.stdin], [], [], LOOK_S)[0]:
            pass
    close_outlets()


if __name__ == "__main__":
    main()
