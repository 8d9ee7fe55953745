"""The dashboard beside a running bot: opened in a thread of its own, and again when it has ended."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output

if TYPE_CHECKING:
    from fsm.cli.inputs import Inputs
    from web.server import WebServer

LOOK_S = 2.0


class WindowEnded(Exception):
    """The dashboard's server has ended by itself."""


class Window:
    """Open until ``windows`` is left, which may be long after the bot's own end. It opens once it may."""

    def __init__(self, windows: ExitStack, inputs: Inputs, db: Path, port: int | None, *, is_told: bool) -> None:
        self.may_open = asyncio.Event()
        self._windows = windows
        self._inputs = inputs
        self._db = db
        self._port = port
        self._is_told = is_told

    async def run(self) -> None:
        """A task for the bot's fence. Loading and starting it takes half a second, which trading's loop must not."""
        await self.may_open.wait()
        server = await asyncio.to_thread(self._open)
        if server is None:
            return
        self._windows.callback(server.stop)
        while True:
            await asyncio.sleep(LOOK_S)
            if not server.is_alive:
                raise WindowEnded("the dashboard's server ended by itself")

    def _open(self) -> WebServer | None:
        """A bot without a window is better than none, so it goes on where there is no port."""
        from web.app import create_app
        from web.server import CannotServe, WebServer

        given, secret = self._inputs.config.settings.web, self._inputs.config.environment.secrets.dashboard_token
        token = secret.reveal() if secret else None
        try:
            app = create_app(self._db, token=token)
            server = WebServer(app, host=given.host, port=given.port if self._port is None else self._port, token=token)
            server.start()
        except CannotServe as error:
            click.echo(f"warning: no dashboard: {error} ({error.hint})", err=True)
            return None
        if self._is_told:
            output.line(f"The dashboard is at {server.url}")
        return server
