"""`data download` from a server on loopback: killed at random, it goes on and comes to the same bytes."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.launch import Launched, launched

ROOT = Path(__file__).parents[2]
END = "2025-06-29"
END_MS = 1_751_155_200_000
SYMBOLS = "BTCUSDT,SOLUSDT"
TO = ("--to", "2025-06-28")


HOP_BY_HOP = ("content-length", "connection", "transfer-encoding")


class Door(BaseHTTPRequestHandler):
    """Passes every request on to the simulator, and tells that it came.

    What all downloads of these tests together have used of the limit is not told: each would wait for the next minute.
    """

    protocol_version = "HTTP/1.1"
    server: DoorServer

    def do_GET(self) -> None:
        self.server.comes(self.path)
        behind = http.client.HTTPConnection(self.server.behind, timeout=30)
        behind.request("GET", self.path)
        answer = behind.getresponse()
        body = answer.read()
        try:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP and not name.lower().startswith("x-mbx-used"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # whoever asked was killed meanwhile
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        del format, args


class DoorServer(ThreadingHTTPServer):
    """``reached`` is set when so many requests have come as were waited for."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.behind = urlsplit(behind).netloc
        self.paths: list[str] = []
        self.reached = threading.Event()
        self._left = 0

    def wait_for(self, count: int) -> None:
        self.paths, self._left = [], count
        self.reached.clear()

    def comes(self, path: str) -> None:
        self.paths.append(path)
        self._left -= 1
        if self._left == 0:
            self.reached.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Launched]:
    """A minute of the exchange's limits passes in a second, and none of these tests lasts a day of it."""
    with launched("--data", str(shipped_folder()), "--speed", "60", "--start", END) as found:
        yield found


@contextmanager
def door(exchange: Launched) -> Iterator[DoorServer]:
    server = DoorServer(exchange.rest)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def begun(folder: Path, url: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fsm", "data", "download", "--symbols", SYMBOLS, "--data", str(folder), *TO, *more],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BINANCE_ENV": "sim", "SIM_REST_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, url: str, *more: str) -> None:
    process = begun(folder, url, *more)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(exchange: Launched, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was fetched without being disturbed."""
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, tmp_path_factory.getbasetemp())
    folder = tmp_path_factory.mktemp("whole") / "store"
    with door(exchange) as server:
        finished(folder, server.url)
    return folder


def test_what_is_fetched_is_what_the_exchange_has(whole: Path) -> None:
    ours, theirs = CandleFolders([whole]), CandleFolders([shipped_folder()])
    for symbol in SYMBOLS.split(","):
        mine, recorded = ours.candles(symbol), theirs.candles(symbol)
        until = int(np.searchsorted(recorded.open_time_ms, END_MS))
        assert mine.length == until
        for name in ("open_time_ms", "open", "high", "low", "close", "volume"):
            assert np.array_equal(getattr(mine, name), getattr(recorded, name)[:until]), name
        mark, rates = ours.mark(symbol), ours.funding(symbol)
        assert mark is not None
        assert mark.length == until
        assert rates is not None
        assert rates.time_ms[-1] == END_MS - 8 * 3_600_000


def killed_often(exchange: Launched, whole: Path, folder: Path, kills: int, seed: int) -> int:
    """Kill downloads until there were so many deaths; whatever is left is finished and compared. Returns the deaths."""
    chance, wanted, deaths = random.Random(seed), files_of(whole), 0
    with door(exchange) as server:
        while deaths < kills:
            server.wait_for(chance.randint(1, 14))
            process = begun(folder, server.url)
            while process.poll() is None and not server.reached.wait(timeout=0.2):
                pass  # it may end before so many requests
            try:
                process.wait(timeout=chance.uniform(0, 0.03))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate(timeout=60)
            if process.returncode == 0:
                assert files_of(folder) == wanted
                shutil.rmtree(folder)
            else:
                deaths += 1
        finished(folder, server.url)
    assert files_of(folder) == wanted
    return deaths


def test_killed_at_random_it_goes_on_and_comes_to_the_same_bytes(
    exchange: Launched, whole: Path, tmp_path: Path
) -> None:
    assert killed_often(exchange, whole, tmp_path / "store", kills=2, seed=1) == 2


@pytest.mark.slow
def test_killed_fifty_times_at_random(exchange: Launched, whole: Path, tmp_path: Path) -> None:
    assert killed_often(exchange, whole, tmp_path / "store", kills=50, seed=2) == 50


def test_update_asks_only_for_what_is_new(exchange: Launched, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(whole, folder)
    with door(exchange) as server:
        finished(folder, server.url)
        candles = [path for path in server.paths if "lines" in path]
    assert files_of(folder) == files_of(whole)
    assert len(candles) == 4, "one each for where a series begins, and nothing else is missing"


@pytest.mark.slow
def test_an_earlier_beginning_is_put_before_what_there_is(exchange: Launched, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with door(exchange) as server:
        finished(folder, server.url, "--from", "2025-01-01", "--to", "2025-02-28")
        finished(folder, server.url, "--from", "2024-12-01", "--to", "2024-12-20")
        assert int(CandleFolders([folder]).candles("BTCUSDT").open_time_ms[0]) == 1_733_011_200_000
        finished(folder, server.url)
    assert files_of(folder) == files_of(whole)
