"""The window full of callers who are slow, many or unheard: others are served, and the operator always gets in."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.web.conftest import copied
from tests.pace import stretch
from web import doorway
from web.app import create_app
from web.bot_database import WAITING_MAX
from web.crowd import HEAD_BYTES_MAX
from web.doorway import CONNECTIONS_MAX, FIRST_S, HEAD_S, WAITING_OF_ADDRESS_MAX
from web.events import LISTENERS_MAX
from web.server import CannotServe, WebServer, check_binding
from web.token_throttle import ALL_FAILURES_MAX

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-that-nobody-guesses-7Q"
PATIENCE_S = 120.0
HALF_HEAD = b"GET /api/summary HTTP/1.1\r\nHost:"
BROWSER = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
STREAM = f"GET /api/events HTTP/1.1\r\n{BROWSER}\r\n".encode()
READ = f"GET /api/trades?limit=500 HTTP/1.1\r\n{BROWSER}Connection: close\r\n\r\n".encode()
FLATTEN = f"POST /api/bot/flatten HTTP/1.1\r\n{BROWSER}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()


@pytest.fixture
def server(journal: Path, tmp_path: Path) -> Iterator[WebServer]:
    app = create_app(copied(journal, tmp_path), token=TOKEN)
    with WebServer.on(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server


@contextmanager
def connected(server: WebServer, *sent: bytes, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S, source_address=(source, 0)) as connection:
        for part in sent:
            connection.sendall(part)
        yield connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> str:
    code: str = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]
    return code


class Callers:
    """Several requests at the same moment, each on a connection and a thread of its own."""

    def __init__(self, server: WebServer, count: int, request: bytes) -> None:
        self.answers: list[bytes] = []
        self._server, self._request = server, request
        self._together = threading.Barrier(count + 1)
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with connected(self._server) as connection:
            self._together.wait()
            connection.sendall(self._request)
            self.answers.append(everything(connection))

    def begin(self) -> None:
        self._together.wait()

    def end(self) -> Counter[int]:
        """One that connected more than a second before it asked may have had to make way, and has no answer: 0."""
        for thread in self._threads:
            thread.join()
        return Counter(status_of(answer) if answer else 0 for answer in self.answers)


class TestHeads:
    def test_a_head_that_does_not_come_ends_the_connection(self, server: WebServer) -> None:
        with connected(server, HALF_HEAD) as half, connected(server) as silent:
            began = time.monotonic()
            answer = everything(half)
            assert (status_of(answer), error_of(answer)) == (408, "SLOW_HEAD")
            assert everything(silent) == b""
            assert time.monotonic() - began > HEAD_S / 2

    def test_a_head_that_drips_has_no_more_time_than_one_that_stops(self, server: WebServer) -> None:
        with connected(server, HALF_HEAD) as dripping:
            dripping.settimeout(0.2)
            answer, began = b"", time.monotonic()
            while not answer and time.monotonic() - began < PATIENCE_S:
                dripping.sendall(b"a")
                try:
                    answer = dripping.recv(100)
                except TimeoutError:
                    continue
            assert status_of(answer) == 408

    def test_the_oldest_of_an_address_makes_way(self, server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doorway, "HEAD_S", 10 * PATIENCE_S)  # nobody's time runs out
        with ExitStack() as held:
            slow = [held.enter_context(connected(server, HALF_HEAD)) for _ in range(WAITING_OF_ADDRESS_MAX + 8)]
            began = time.monotonic()
            while time.monotonic() - began < FIRST_S:
                assert httpx.get(f"{server.url}/api/health").status_code == 200
            assert httpx.get(f"{server.url}/api/health").status_code == 200
            assert status_of(everything(slow[0])) == 408

    def test_when_all_places_are_taken_there_is_still_one(self, server: WebServer) -> None:
        with ExitStack() as held:
            for _ in range(CONNECTIONS_MAX + 20):
                held.enter_context(connected(server, HALF_HEAD))
            with connected(server, FLATTEN) as operator:
                assert status_of(everything(operator)) == 202

    @pytest.mark.parametrize("chunk", [HEAD_BYTES_MAX + 4_000, 1_000])
    def test_a_head_over_the_promised_size_is_refused_however_it_comes(self, server: WebServer, chunk: int) -> None:
        head = b"GET /api/health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (HEAD_BYTES_MAX + 1_000) + b"\r\n\r\n"
        with connected(server, *(head[at : at + chunk] for at in range(0, len(head), chunk))) as connection:
            answer = everything(connection)
        assert (status_of(answer), error_of(answer)) == (431, "HEAD_TOO_LARGE")

    def test_a_head_of_the_promised_size_is_served(self, server: WebServer) -> None:
        wide = {"X": "a" * (HEAD_BYTES_MAX - 1_000)}
        assert httpx.get(f"{server.url}/api/health", headers=wide).status_code == 200

    def test_what_is_not_http_is_told_so(self, server: WebServer) -> None:
        with connected(server, b"HELLO\r\n\r\n") as connection:
            assert error_of(everything(connection)) == "BAD_REQUEST"


class TestMany:
    def test_of_300_readers_at_once_as_many_are_served_as_can_be(
        self, server: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doorway, "FIRST_S", PATIENCE_S)  # they connect one after the other
        callers = Callers(server, 300, READ)
        callers.begin()
        statuses = callers.end()
        assert set(statuses) <= {200, 503}
        assert statuses[200] >= WAITING_MAX
        refused = [answer for answer in callers.answers if status_of(answer) == 503]
        assert all(b"\r\nretry-after: " in answer.lower() for answer in refused)

    def test_no_more_streams_are_accepted_than_promised_when_all_come_at_once(self, server: WebServer) -> None:
        with ExitStack() as held:
            streams = [held.enter_context(connected(server)) for _ in range(LISTENERS_MAX * 2)]
            for stream in streams:
                stream.sendall(STREAM)
            firsts = Counter(status_of(stream.recv(100)) for stream in streams)
            assert firsts == {200: LISTENERS_MAX, 503: LISTENERS_MAX}
        with connected(server, STREAM) as later:
            assert status_of(later.recv(100)) in (200, 503)

    def test_flatten_is_answered_within_a_second_in_a_crowd(self, server: WebServer) -> None:
        """128 slow heads, 300 readers and a stream that nobody reads, at once."""
        before = stretch()
        taken_s = self.flattened_in_a_crowd_s(server)
        assert taken_s < max(before, stretch())

    def flattened_in_a_crowd_s(self, server: WebServer) -> float:
        callers = Callers(server, 300, READ)
        with ExitStack() as held:
            held.enter_context(connected(server, STREAM))
            for _ in range(128):
                held.enter_context(connected(server, HALF_HEAD))
            callers.begin()
            began = time.monotonic()
            with connected(server, FLATTEN) as operator:
                answer = everything(operator)
            taken_s = time.monotonic() - began
            callers.end()
        assert status_of(answer) == 202
        return taken_s


class Guessers:
    """Callers with wrong tokens who never rest, each request from another address of this machine's 127.0.0.0/8 and
    as if a proxy spoke for yet another one."""

    def __init__(self, server: WebServer, count: int) -> None:
        self._server = server
        self._counts: Counter[int] = Counter()
        self._told = threading.Condition()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._guess, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _guess(self, number: int) -> None:
        tries = 0
        while not self._is_over.is_set():
            tries += 1
            head = f"POST /api/bot/flatten HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.{tries % 250}\r\n"
            wrong = f"{head}X-Dashboard-Token: {TOKEN[:-4]}{tries % 10_000:04}\r\nContent-Length: 2\r\n"
            source = f"127.0.{number}.{2 + tries % 20}"
            with connected(self._server, f"{wrong}Connection: close\r\n\r\n{{}}".encode(), source=source) as asking:
                answer = everything(asking)
            with self._told:
                self._counts[status_of(answer) if answer else 503] += 1
                self._told.notify_all()

    def until(self, holds: Callable[[Counter[int]], bool]) -> None:
        with self._told:
            assert self._told.wait_for(lambda: holds(self._counts), PATIENCE_S), self._counts

    def end(self) -> Counter[int]:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        return self._counts


class TestGuessing:
    def test_the_right_token_is_answered_within_a_second_while_wrong_ones_come_from_everywhere(
        self, server: WebServer
    ) -> None:
        """As fast as twelve guessers can, from 240 addresses, each request in another name's place."""
        before = stretch()
        guessers = Guessers(server, 12)
        taken: list[float] = []
        answers: list[int] = []
        try:
            guessers.until(lambda counts: counts[429] > 300)
            for request in (FLATTEN, READ, FLATTEN, READ, FLATTEN):
                began = time.monotonic()
                with connected(server, request) as operator:
                    answers.append(status_of(everything(operator)))
                taken.append(time.monotonic() - began)
        finally:
            counts = guessers.end()
        assert set(counts) <= {401, 429, 503}, "no guesser got in"
        assert counts[401] <= ALL_FAILURES_MAX, "wrong ones are slowed, however many addresses they have"
        assert answers == [202, 200, 202, 200, 202]
        assert max(taken) < max(before, stretch())


class TestEnd:
    def test_the_end_with_open_streams_and_slow_callers_is_no_error(
        self, server: WebServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = f"POST /api/bot/pause HTTP/1.1\r\n{BROWSER}Content-Length: 100\r\n\r\n{{".encode()
        with (
            connected(server, STREAM) as read,
            connected(server, STREAM),
            connected(server, HALF_HEAD),
            connected(server, body),
        ):
            assert status_of(read.recv(100)) == 200
            with caplog.at_level(logging.WARNING):
                server.stop()
            everything(read)
        assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("token", ["short", "x" * 40, "..............................", "with a space in it, long"])
def test_a_token_that_check_refuses_is_refused_here(token: str, tmp_path: Path) -> None:
    with pytest.raises(CannotServe):
        check_binding("127.0.0.1", token)
    with pytest.raises(ValueError, match="DASHBOARD_TOKEN"):
        create_app(tmp_path / "x.sqlite", token=token)


def test_a_full_disk_behind_the_log_fails_no_command(journal: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "web", "--db", str(copied(journal, tmp_path)), "--port", str(port)]
    environment = {"PATH": os.environ["PATH"], "DASHBOARD_TOKEN": TOKEN}
    with Path("/dev/full").open("wb") as full:
        alone = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=full, stderr=full)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=20), headers=headers) as client:
            answer = client.post(f"http://127.0.0.1:{port}/api/bot/flatten")
    finally:
        alone.terminate()
        alone.wait(PATIENCE_S)
    assert answer.status_code == 202
