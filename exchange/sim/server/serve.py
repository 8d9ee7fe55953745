"""Runs a simulation as a process: listens, says that it is ready, moves the clock, saves, and ends when told to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from exchange.sim.server.app import App
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.saved import StateFile, encode
from exchange.sim.server.setup import SimulationSetup, build
from exchange.sim.server.wire import Wire

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
Keeper = Callable[[], Coroutine[Any, Any, None]]
_TICK_S = 0.01
_SAVE_S = 1.0
_LIVE_MS = 60_000
"""Live prices pass the clock on for months: without anything new of the account it is saved so often."""

_WATCH_S = 0.5
_PING_S, _PONG_S = 180.0, 600.0  # a ping every 3 minutes, its pong within 10 (stream pages, checked 2026-11)
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that they are the ones to close
_ADDRESS_BYTES_MAX = 65_536  # 1024 stream names in one address


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """How a simulation runs. ``with_parent``: it ends when the process that started it is gone."""

    port: int
    state: Path | None = None
    with_parent: bool = False


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and leaves signals to the process, which saves and ends with 0."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(setting: SimulationSetup, process: Process) -> None:
    """Until SIGTERM or SIGINT. Raises what ``build`` does, StateError, and what ``host`` does."""
    file = None if process.state is None else StateFile(process.state)
    if file is not None:
        file.lock()
    await host(App(build(setting, None if file is None else file.read())), process, file)


async def host(app: App, process: Process, file: StateFile | None, beside: Sequence[Keeper] = ()) -> None:
    """Answer until SIGTERM or SIGINT, then save, with ``beside`` beside. Raises OSError for a port that is taken."""
    emulator = app.emulator
    with socket.create_server((HOST, process.port)) as listener:
        # asyncio does it only for sockets made with IPPROTO_TCP, and without it every answer waits 40 ms for an ACK
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        server = _Server(_config(app), lambda: _announce(emulator, port))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _end, server)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_keep_time(app)),
                group.create_task(_keep_listen_key(emulator)),
                *(group.create_task(keep()) for keep in beside),
            ]
            if file is not None:
                tasks.append(group.create_task(_keep_state(emulator, file)))
            if process.with_parent:
                tasks.append(group.create_task(_follow_parent(server)))
            await server.serve(sockets=[listener])
            for task in tasks:
                task.cancel()
    if file is not None:
        file.write(encode(emulator))


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Wire,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PONG_S,
        ws_per_message_deflate=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=_ADDRESS_BYTES_MAX,
    )


def _end(server: uvicorn.Server) -> None:
    server.should_exit = True


def _announce(emulator: Emulator, port: int) -> None:
    """The first line of stdout: everything a client needs."""
    line = {
        "ready": True,
        "rest": f"http://{HOST}:{port}",
        "ws": f"ws://{HOST}:{port}",
        "apiKey": emulator.credentials.api_key,
        "apiSecret": emulator.credentials.api_secret,
        "symbols": list(emulator.world.feeds),
        "data_end": emulator.world.data_end_ms,
    }
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


async def _keep_time(app: App) -> None:
    """Let prices go on; never for more than half of the time, so that requests are answered between movements."""
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        await app.control.keep_time()
        await asyncio.sleep(max(_TICK_S, loop.time() - began_s))


async def _keep_listen_key(emulator: Emulator) -> None:
    while True:
        await asyncio.sleep(_WATCH_S)
        if emulator.listen_keys.is_overdue:
            emulator.expire_listen_key()
        emulator.hub.cut_old()


async def _keep_state(emulator: Emulator, file: StateFile) -> None:
    """Once a second where something changed; only what is younger can be lost by a violent death."""
    saved, span_ms = (-1, -1), 1 if emulator.world.is_recorded else _LIVE_MS
    while True:
        now = (emulator.changes, emulator.now_ms // span_ms)
        if now != saved:
            try:
                await asyncio.to_thread(file.write, encode(emulator))
                saved = now
            except OSError as error:
                log.error("the state could not be saved and is tried again: %s", error)
        await asyncio.sleep(_SAVE_S)


async def _follow_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()
    while True:
        await asyncio.sleep(_WATCH_S)
        if os.getppid() != parent:
            break
    log.warning("the process that started this simulation is gone, so it ends too")
    server.should_exit = True
