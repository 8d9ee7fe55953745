"""The dashboard beside a running bot: a process of its own, which is started again when it has ended.

In the bot's own process its threads took turns with trading's loop at the interpreter, and a crowd at the dashboard
made that loop late (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from fsm.cli.inputs import Inputs

LOOK_S = 2.0
TRIES, PAUSE_S = 10, 0.5
"""For the port: the window of a bot that was killed a moment ago lets it go as soon as it has noticed."""
END_S = 8.0
"""What the window has to end, longer than it takes by itself (web/server.py)."""
NOT_ITS_BUSINESS = ("BINANCE_", "TG_", "SIM_", "DASHBOARD_")


class WindowEnded(Exception):
    """The dashboard has ended by itself."""


class Dashboard:
    """Open until ``windows`` is left, which may be long after the bot's own end. It opens once it may."""

    def __init__(
        self,
        windows: ExitStack,
        inputs: Inputs,
        db: Path,
        port: int | None,
        *,
        tell: Callable[[str], None],
        is_json: bool,
    ) -> None:
        self.may_open = asyncio.Event()
        self._windows = windows
        given, secret = inputs.config.settings.web, inputs.config.environment.secrets.dashboard_token
        self._host, self._port = given.host, given.port if port is None else port
        self._token = secret.reveal() if secret else None
        self._options = ["--db", str(db), "--mark", inputs.config.environment.mark, *(["--json"] if is_json else [])]
        if (file := inputs.config.environment.dashboard_token_file) is not None:
            self._options += ["--token-file", str(file)]
        self._tell = tell
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[str] | None = None

    async def run(self) -> None:
        """A task for the bot's fence, which begins it again: on the same socket, so that callers only wait."""
        await self.may_open.wait()
        if self._socket is None:
            self._socket = await self._bound()
        if self._socket is None:
            return
        process = self._process = await asyncio.to_thread(self._started, self._socket)
        while True:
            await asyncio.sleep(LOOK_S)
            if process.poll() is not None:
                raise WindowEnded(f"the dashboard's process ended with {process.returncode}")

    async def _bound(self) -> socket.socket | None:
        """A bot without a window is better than none, so it goes on where there is no port."""
        from web.server import CannotServe, address, bound, check_binding

        for left in reversed(range(TRIES)):
            try:
                check_binding(self._host, self._token)
                listening = bound(self._host, self._port)
            except CannotServe as error:
                if not left:
                    click.echo(f"warning: no dashboard: {error} ({error.hint})", err=True)
                    return None
                await asyncio.sleep(PAUSE_S)
            else:
                break
        self._windows.callback(self._close)
        self._tell(address(listening))
        return listening

    def _started(self, listening: socket.socket) -> subprocess.Popen[str]:
        """It has a session of its own: Ctrl-C is for the bot, which then ends it."""
        fd = listening.fileno()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "fsm.cli.window_process", "--socket", str(fd), *self._options],
            stdin=subprocess.PIPE,
            pass_fds=(fd,),
            env={name: text for name, text in os.environ.items() if not name.startswith(NOT_ITS_BUSINESS)},
            start_new_session=True,
            text=True,
        )
        assert process.stdin is not None
        with suppress(OSError):  # it has ended already, which is seen in a moment
            process.stdin.write(f"{self._token or ''}\n")
            process.stdin.flush()
        return process

    def _close(self) -> None:
        """End it by ending its standard input; harmless when it has ended."""
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._socket is not None:
            self._socket.close()
