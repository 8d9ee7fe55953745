"""Serves the window on a socket: in this thread, or in one of its own."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from web.access import is_loopback
from web.crowd import HEAD_BYTES_MAX
from web.doorway import CONNECTIONS_MAX, Connection, Doorway
from web.tokens import HINT, TOKEN_LENGTH_MIN, weakness

KEEP_ALIVE_S = 5
SHUTDOWN_S = 2
"""What running answers have to end; open streams are then cut, and their listeners come back."""
START_S = 10.0
SWITCH_S = 0.0005
"""How long a thread that computes may keep the others waiting; Python's own 5 ms add up when several readers work
beside the loop that talks to all callers, and commands are answered by it."""


class CannotServe(Exception):
    """The window must not, or cannot, be opened there. ``hint`` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def check_binding(host: str, token: str | None) -> None:
    """Raises CannotServe where others could reach a window without a token, or with one that can be guessed."""
    if token is not None and (problem := weakness(token)) is not None:
        raise CannotServe(problem, HINT)
    if token is None and not is_loopback(host):
        raise CannotServe(
            f"{host} can be reached from other machines and DASHBOARD_TOKEN is not set",
            f"set DASHBOARD_TOKEN ({TOKEN_LENGTH_MIN} characters or more), or serve on 127.0.0.1",
        )


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises CannotServe."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio does not recognise it and leaves Nagle's delay on: 40 ms for every answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(CONNECTIONS_MAX)
    except OSError as error:
        listening.close()
        raise CannotServe(
            f"cannot listen on {host} port {port}: {error.strerror or error}",
            "another program may use the port; choose another one (0 takes a free one)",
        ) from error
    return listening


def address(listening: socket.socket) -> str:
    """The URL under which this machine reaches a listening socket."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


class WebServer:
    """A window on a listening socket, open from ``start`` to ``stop``, or within a ``with`` block."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._socket = listening
        self.url = address(self._socket)
        self._server = uvicorn.Server(_config(app))
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._ready = threading.Event()

    @classmethod
    def on(cls, app: ASGIApp, *, host: str, port: int, token: str | None) -> Self:
        """On a socket of its own. Raises CannotServe."""
        check_binding(host, token)
        return cls(app, bound(host, port))

    @property
    def is_alive(self) -> bool:
        """Whether its thread serves."""
        return self._thread.is_alive()

    def start(self) -> Self:
        """Serve in a thread beside whatever this process does. Raises CannotServe when it does not come up."""
        sys.setswitchinterval(SWITCH_S)
        self._thread.start()
        waited_s = 0.0
        while not self._server.started and self._thread.is_alive() and waited_s < START_S:
            self._ready.wait(0.01)
            waited_s += 0.01
        if not self._server.started:
            raise CannotServe("the web server did not start", "look into the log")
        return self

    def serve(self) -> None:
        """Serve in this thread until the process is told to end."""
        self._run()

    def stop(self) -> None:
        """Close the window; harmless when it is closed."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(SHUTDOWN_S + 3)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _protocol() -> type[asyncio.Protocol]:
    """uvicorn's protocol, with one doorway for all connections of a server."""
    doorway = Doorway()

    class Guarded(Connection):
        def __init__(self, **given: Any) -> None:
            super().__init__(doorway=doorway, **given)

    return Guarded


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # who asks is who is connected: a header must not say otherwise
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
