"""Starts a simulator as a process of its own and waits until it is ready: for programs and tests that need one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

_END_S = 10.0
_SECRETS = ("BINANCE_API_", "DASHBOARD_TOKEN", "TG_", "PING_URL", "ALERT_URLS", "ESCALATION_URLS")
_LAST_WORDS_S = 1.0


class LaunchError(RuntimeError):
    """The simulator did not start; the message ends with why, in its own last words."""


class Process(subprocess.Popen[str]):
    """With the last line that it said on stderr."""

    last_words = ""


class Launched(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first line a simulator prints: where it is, and the keys of its account."""

    rest: str
    ws: str
    api_key: str
    api_secret: str
    symbols: list[str]
    data_end: int = msgspec.field(name="data_end")
    pid: int = 0


@contextmanager
def launched(*options: str, module: str = "exchange.sim") -> Iterator[Launched]:
    """``python -m exchange.sim`` with these options on a free port, ended with the block. Raises LaunchError."""
    process = start(*options, module=module)
    try:
        yield ready(process)
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start(*options: str, module: str = "exchange.sim") -> Process:
    """The process, not ready yet."""
    command = [sys.executable, "-m", module, "--with-parent", *options]
    process = Process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment())
    threading.Thread(target=_pass_on, args=(process,), name="simulator's stderr", daemon=True).start()
    return process


def _environment() -> dict[str, str]:
    """Without keys and tokens: what simulates an account, or asks for public prices, needs none."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}


def _pass_on(process: Process) -> None:
    """What it says goes where this process's own words go, so that a terminal nobody reads cannot hold it up (R71)."""
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            process.last_words = line.strip() or process.last_words
            with suppress(OSError, ValueError):
                sys.stderr.write(line)


def ready(process: Process) -> Launched:
    """Wait for its first line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        code = process.wait()
        _until_passed_on(process)
        why = process.last_words.removeprefix("error: ") or "it did not say why"
        raise LaunchError(f"the exchange inside this program ended with {code} before it was ready: {why}")
    found = msgspec.json.decode(line, type=Launched)
    return msgspec.structs.replace(found, pid=process.pid)


def _until_passed_on(process: Process) -> None:
    """Its reason stands before ours."""
    until_s = time.monotonic() + _LAST_WORDS_S
    while process.stderr is not None and not process.stderr.closed and time.monotonic() < until_s:
        time.sleep(0.01)
