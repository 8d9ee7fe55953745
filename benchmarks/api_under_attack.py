"""Measures what misbehaving callers of the window cost a bot that trades: how late its loop is without and with them.

The bot is ``python -m fsm run`` on the embedded exchange, its window beside it. Its own pulse says how late
its event loop was at most in each five seconds, commits included. The callers: streams that are opened, hear their
first event and are left (RECONNECTS times), bodies of 1 MB, and connections that never finish their request.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-that-nobody-guesses-7Q"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
SLOW_CALLERS = 60
CALLERS = 4


@contextmanager
def running_bot(folder: Path) -> Iterator[str]:
    (folder / ".env").write_text(f"BINANCE_ENV=sim\nDASHBOARD_TOKEN={TOKEN}\n", "utf-8")
    places = ["--env-file", str(folder / ".env"), "--db", str(folder / "sim.sqlite"), "--port", "0"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fsm", "run", "--log", "text", *places],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield next(filter(None, (re.search(r"dashboard is at (\S+)", line) for line in process.stdout))).group(1)
    finally:
        process.terminate()
        process.communicate()


class Listening:
    """Reads the bot's pulse until told to stop; each pulse counts once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.lags_ms: list[float] = []
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        seen: set[float] = set()
        with httpx.Client(base_url=self._url, headers=HEADERS, timeout=60) as client:
            while not self._stop.wait(1.0):
                answer = client.get("/api/summary")
                if answer.status_code == 200 and (lag_ms := answer.json()["loop_lag_ms"]) is not None:
                    if lag_ms not in seen:
                        self.lags_ms.append(lag_ms)
                    seen.add(lag_ms)

    def told(self) -> dict[str, float | int]:
        worst = sorted(self.lags_ms) or [0.0]
        return {"pulses": len(self.lags_ms), "median_of_worst_ms": statistics.median(worst), "worst_ms": worst[-1]}


def while_(url: str, work: Callable[[], object]) -> dict[str, object]:
    began = time.perf_counter()
    with Listening(url) as listening:
        found = work()
    return {"seconds": round(time.perf_counter() - began, 1), "loop_lag": listening.told(), "callers": found}


def reconnect(url: str, count: int) -> dict[str, float | int]:
    """Several callers at once, each again and again."""
    taken: list[float] = []

    def again() -> None:
        with httpx.Client(base_url=url, headers=HEADERS, timeout=60) as client:
            for _ in range(count // CALLERS):
                since = time.perf_counter()
                with client.stream("GET", "/api/events") as stream:
                    stream.raise_for_status()
                    next(line for line in stream.iter_lines() if line.startswith("event"))
                taken.append(time.perf_counter() - since)

    threads = [threading.Thread(target=again) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return {"reconnects": len(taken), "p50_ms": round(cuts[49] * 1e3, 1), "p99_ms": round(cuts[98] * 1e3, 1)}


def oversized(url: str, count: int) -> dict[str, int]:
    answers: dict[str, int] = {}
    for _ in range(count):
        try:
            status = str(httpx.post(f"{url}/api/login", content=b"x" * 1_000_000, timeout=60).status_code)
        except httpx.TransportError as error:  # cut off in the middle of the body, as it deserves
            status = type(error).__name__
        answers[status] = answers.get(status, 0) + 1
    return answers


def slow(url: str, seconds: float) -> dict[str, object]:
    """Connections that begin a request and say no more, while somebody asks on in order."""
    host, _, port = url.removeprefix("http://").partition(":")
    with ExitStack() as held, httpx.Client(base_url=url, headers=HEADERS, timeout=60) as client:
        for number in range(SLOW_CALLERS):
            connection = held.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"GET / HTTP/1.1\r\nHost:" if number % 2 else b"POST /api/login HTTP/1.1\r\nHost: x\r\n")
        answered, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            answered.append(client.get("/api/positions").status_code)
    return {"slow_callers": SLOW_CALLERS, "others_answered": len(answered), "all_200": set(answered) == {200}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reconnects", type=int, default=1_000)
    parser.add_argument("--quiet-seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, running_bot(Path(scratch)) as url:
        result = {
            "quiet": while_(url, lambda: threading.Event().wait(options.quiet_seconds)),
            "reconnects": while_(url, lambda: reconnect(url, options.reconnects)),
            "oversized_bodies": while_(url, lambda: oversized(url, 200)),
            "slow_callers": while_(url, lambda: slow(url, 20.0)),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
