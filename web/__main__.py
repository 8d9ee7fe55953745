"""``python -m web``: the window alone. It reads the database and DASHBOARD_TOKEN, and no key of the exchange."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from web.app import create_app
from web.server import CannotServe, WebServer, check_binding
from web.tokens import token_given

EXIT_REFUSED = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--db", type=click.Path(dir_okay=False, path_type=Path), help="default: var/<BINANCE_ENV>.sqlite")
@click.option("--host", default="127.0.0.1", show_default=True, help="another address needs DASHBOARD_TOKEN")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one")
def main(db: Path | None, host: str, port: int) -> None:
    """Serve the dashboard and its API from the database alone.

    Of the environment, DASHBOARD_TOKEN (or DASHBOARD_TOKEN_FILE, the path of a file that holds it) and BINANCE_ENV (for
    the default of --db) are read, and nothing else. A token in a file can be exchanged while this runs.
    """
    database = db or Path("var") / f"{os.environ.get('BINANCE_ENV') or 'sim'}.sqlite"
    try:
        token, token_file = token_given(os.environ)
    except (OSError, UnicodeDecodeError) as error:
        click.echo(f"web: DASHBOARD_TOKEN_FILE cannot be read: {error}", err=True)
        sys.exit(EXIT_REFUSED)
    try:
        check_binding(host, token)
        server = WebServer.on(
            create_app(database, token=token, token_file=token_file), host=host, port=port, token=token
        )
    except CannotServe as error:
        click.echo(f"web: {error}: {error.hint}", err=True)
        sys.exit(EXIT_REFUSED)
    with suppress(OSError):  # a full disk behind stdout closes no window
        click.echo(f"dashboard at {server.url}")
        if token is None:
            click.echo("no DASHBOARD_TOKEN: this machine may read, nobody may act", err=True)
    server.serve()


if __name__ == "__main__":
    main()
