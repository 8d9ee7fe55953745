"""The window over real connections: started alone, streaming, beside a writer, and with callers who misbehave."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from rules.load import load_rules
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.inbox import Inbox
from store.journal import Journal
from store.lock import ProcessLock
from store.rows import AlertRow
from web.app import create_app
from web.events import BEHIND_MAX, LISTENERS_MAX
from web.server import CannotServe, WebServer, bound, check_binding

ROOT = Path(__file__).parents[3]
FROM_MS, TO_MS = 1_730_419_200_000, 1_733_011_200_000  # November 2024
TOKEN = "a-token-that-nobody-guesses-7Q"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PATIENCE_S = 120.0


class Bot:
    """The writer beside the window."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.journal = Journal(store, run_id="test0001")
        self.row = queries.transitions(store, limit=1).rows[0]

    def step(self, count: int = 1) -> int:
        """Journal a step ``count`` times; the id of the last."""
        fresh = replace(self.row, id=0, at_ms=TO_MS + 1, prev_hash="", hash="", run_id="")
        self.journal.commit(Batch(transitions=[fresh] * count))
        return queries.newest_ids(self.store).transition

    def alert(self, text: str) -> None:
        row = AlertRow(at_ms=TO_MS, kind="k", severity="info", text=text, dedupe_key=text, due_ms=TO_MS)
        self.journal.commit(Batch(alerts=[row]))


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    path = tmp_path / "sim.sqlite"
    request = Request(
        config=load_config(ROOT / "config.yaml", None, {}),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=("BTCUSDT",),
        from_ms=FROM_MS,
        to_ms=TO_MS,
        db=path,
    )
    run_backtest(request)
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        yield Bot(store)


@pytest.fixture
def url(bot: Bot) -> Iterator[str]:
    with WebServer.on(create_app(bot.store.path, token=TOKEN), host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


class Listener:
    """One stream, event by event."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()

    def next(self) -> tuple[str, str, Any]:
        """The next event: its name, its id, what it carries."""
        found: dict[str, str] = {}
        for line in self._lines:
            if not line and "event" in found:
                return found["event"], found["id"], json.loads(found["data"])
            assert not line.startswith(":"), "nothing came until the heartbeat"
            name, _, value = line.partition(": ")
            if name in ("event", "id", "data"):
                found[name] = value
        raise AssertionError("the stream ended")


@contextmanager
def listening(url: str, last_event_id: str | None = None) -> Iterator[Listener]:
    headers = HEADERS | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    timeout = httpx.Timeout(PATIENCE_S)
    with httpx.Client(timeout=timeout) as client, client.stream("GET", f"{url}/api/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer)


def nobody_listens(client: httpx.Client) -> None:
    """Wait until every place is free again."""
    until_s = time.monotonic() + PATIENCE_S
    while "fsm_http_listeners 0.0" not in client.get("/metrics").text:
        assert time.monotonic() < until_s, "places do not come free"


class TestEvents:
    def test_each_transition_alert_and_command_comes_as_it_happens(self, bot: Bot, url: str) -> None:
        with listening(url) as listener:
            assert listener.next()[0] == "hello"
            number = bot.step()
            name, _, body = listener.next()
            assert (name, body["id"], body["symbol"]) == ("transition", number, "BTCUSDT")
            assert body["explanation"]
            bot.alert("look here")
            name, _, body = listener.next()
            assert (name, body["text"]) == ("alert", "look here")
            accepted = httpx.post(f"{url}/api/bot/pause", headers=HEADERS).json()
            states = [listener.next()[2]["state"]]
            inbox = Inbox(bot.store)
            inbox.take(TO_MS)
            states.append(listener.next()[2]["state"])
            inbox.finish(accepted["id"], "done", at_ms=TO_MS)
            name, _, body = listener.next()
            assert (name, [*states, body["state"]]) == ("command", ["posted", "taken", "done"])

    def test_a_lost_connection_loses_nothing(self, bot: Bot, url: str) -> None:
        with listening(url) as listener:
            listener.next()
            first = bot.step()
            _, last, _ = listener.next()
        wanted = [bot.step(), bot.step(150)]
        bot.alert("while nobody listened")
        httpx.post(f"{url}/api/bot/pause", headers=HEADERS)
        with listening(url, last) as listener:
            seen: list[int] = []
            others: set[str] = set()
            while len(seen) < wanted[1] - first or others != {"alert", "command"}:
                name, _, body = listener.next()
                if name == "transition":
                    seen.append(body["id"])
                else:
                    others.add(name)
        assert seen == list(range(first + 1, wanted[1] + 1))

    @pytest.mark.parametrize("last", ["0.0.0", "999999.0.0"])
    def test_who_is_too_far_behind_or_ahead_is_told_to_read_again(self, bot: Bot, url: str, last: str) -> None:
        newest = bot.step(BEHIND_MAX)
        with listening(url, last) as listener:
            name, position, _ = listener.next()
            assert name == "reset"
            assert position.startswith(f"{newest}.")
            number = bot.step()
            assert listener.next()[2]["id"] == number

    def test_a_last_id_that_makes_no_sense_begins_anew(self, bot: Bot, url: str) -> None:
        with listening(url, "what?") as listener:
            assert listener.next()[0] == "hello"

    def test_listeners_are_bounded_and_places_come_free_again(self, bot: Bot, url: str) -> None:
        limits = httpx.Limits(max_connections=100)
        with httpx.Client(timeout=PATIENCE_S, limits=limits, headers=HEADERS, base_url=url) as client:
            request = client.build_request("GET", f"{url}/api/events")
            streams = [client.send(request, stream=True) for _ in range(LISTENERS_MAX)]
            listeners = [Listener(stream) for stream in streams]
            assert {listener.next()[0] for listener in listeners} == {"hello"}
            refused = client.send(request, stream=True)
            assert refused.status_code == 503
            assert json.loads(refused.read())["error"]["code"] == "TOO_MANY_LISTENERS"
            for stream in streams:
                stream.close()
            nobody_listens(client)
        with listening(url) as listener:
            assert listener.next()[0] == "hello"

    def test_listeners_who_leave_while_commits_come_leave_nothing_behind(self, bot: Bot, url: str) -> None:
        """Leaving and a commit at the same instant once kept a listener's place for ever."""
        with httpx.Client(timeout=PATIENCE_S, headers=HEADERS, base_url=url) as client:
            for _ in range(150):
                with client.stream("GET", "/api/events") as stream:
                    assert stream.status_code == 200
                    Listener(stream).next()
                    bot.step()
            nobody_listens(client)


class TestAlone:
    """``python -m web`` as a process of its own."""

    @contextmanager
    def started(self, *arguments: str, **environment: str) -> Iterator[str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        process = subprocess.Popen(
            [sys.executable, "-m", "web", "--port", "0", *arguments],
            cwd=ROOT,
            env=kept | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found.group()
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) is not None

    def test_it_reads_beside_the_writer_without_any_key(self, bot: Bot) -> None:
        transport = httpx.HTTPTransport(retries=20)
        with (
            self.started("--db", str(bot.store.path), DASHBOARD_TOKEN=TOKEN) as url,
            httpx.Client(transport=transport, base_url=url) as client,
        ):
            assert client.get("/api/health").json()["daemon_running"] is True
            assert client.get("/api/summary").status_code == 401
            assert client.get("/api/summary", headers=HEADERS).json()["environment"] == "backtest"
            number = bot.step()
            assert client.get(f"/api/transitions/{number}", headers=HEADERS).status_code == 200
            accepted = client.post("/api/bot/flatten", headers=HEADERS).json()
            assert [row.id for row in Inbox(bot.store).take(TO_MS)] == [accepted["id"]]

    def test_it_starts_before_there_is_a_database(self, tmp_path: Path) -> None:
        transport = httpx.HTTPTransport(retries=20)
        with (
            self.started("--db", str(tmp_path / "later.sqlite")) as url,
            httpx.Client(transport=transport, base_url=url) as client,
        ):
            assert client.get("/").status_code == 200
            assert client.get("/api/summary").json()["error"]["code"] == "DATABASE_MISSING"

    @pytest.mark.parametrize("token", [{}, {"DASHBOARD_TOKEN": "short"}])
    def test_it_refuses_to_be_public_without_a_good_token(self, token: dict[str, str]) -> None:
        command = [sys.executable, "-m", "web", "--host", "0.0.0.0", "--port", "0"]
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        done = subprocess.run(command, cwd=ROOT, env=kept | token, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert "DASHBOARD_TOKEN" in done.stderr
        assert "short" not in done.stderr


class TestBinding:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "bot.example"])
    def test_a_public_address_needs_a_token(self, host: str) -> None:
        with pytest.raises(CannotServe, match="can be reached from other machines"):
            check_binding(host, None)
        check_binding(host, TOKEN)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
    def test_loopback_does_not(self, host: str) -> None:
        check_binding(host, None)

    def test_answers_are_not_held_back_by_nagle(self) -> None:
        """asyncio switches the delay off only for sockets that call themselves TCP."""
        with bound("127.0.0.1", 0) as listening:
            assert listening.proto == socket.IPPROTO_TCP

    def test_readers_who_compute_let_the_other_threads_go_on_soon(self, url: str) -> None:
        """The window works beside trading's loop, which must not wait for five milliseconds at every turn."""
        assert sys.getswitchinterval() <= 0.001

    def test_a_port_that_is_taken_is_told_in_words(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotServe, match="cannot listen"):
            WebServer.on(
                create_app(tmp_path / "x.sqlite", token=None), host="127.0.0.1", port=taken.getsockname()[1], token=None
            )


def raw(url: str, *parts: bytes) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    for part in parts:
        connection.sendall(part)
    return connection


class TestMisbehaviour:
    def test_callers_who_never_finish_keep_nobody_else_waiting(self, bot: Bot, url: str) -> None:
        half = b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        slow = [raw(url, b"GET /api/summary HTTP/1.1\r\nHost:") for _ in range(30)] + [
            raw(url, half) for _ in range(30)
        ]
        assert httpx.get(f"{url}/api/summary", headers=HEADERS).status_code == 200
        for connection in slow:
            connection.close()

    def test_a_listener_who_reads_nothing_does_not_slow_the_writer(self, bot: Bot, url: str) -> None:
        head = f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        deaf = [raw(url, head) for _ in range(10)]
        with listening(url) as listener:
            listener.next()
            for _ in range(20):
                number = bot.step(40)
            while listener.next()[2]["id"] < number:
                pass
        for connection in deaf:
            connection.close()

    def test_headers_that_never_end_are_refused(self, url: str) -> None:
        connection = raw(url, b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a" * 70_000)
        assert b" 431 " in connection.recv(100)
        connection.close()

    def test_garbage_is_refused_and_the_window_stays_open(self, url: str) -> None:
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\r\n" * 20 + b"HELLO\r\n\r\n"):
            connection = raw(url, garbage)
            connection.close()
        assert httpx.get(f"{url}/api/health").status_code == 200
