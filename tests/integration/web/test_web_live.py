"""A bot that trades, watched and commanded in a real browser; and beset by callers who misbehave while it trades."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from store import queries
from store.database import open_store
from store.inbox import Inbox
from tests.effort import FULL
from tests.integration.web.chromium import TOKEN, Page, needs_chromium
from tests.integration.web.running import RunningBot, running_bot
from web import documents

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
RECONNECTS = 500 if FULL else 100
SLOW_CALLERS = 60
ENTRY_S = 300.0
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBot]:
    with running_bot(tmp_path_factory.mktemp("bot")) as running:
        yield running


def typed(text: str) -> str:
    return (
        f"document.getElementById('confirm-text').value = '{text}';"
        "document.getElementById('confirm-text').dispatchEvent(new Event('input'))"
    )


def drawn(chart: str) -> str:
    """Whether something is painted on a chart."""
    return (
        f"[...document.querySelectorAll('#{chart} canvas')].some((canvas) => canvas.width && canvas.height &&"
        " canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))"
    )


@needs_chromium
@pytest.mark.slow
def test_a_trade_is_watched_live_and_flattened_from_the_page(bot: RunningBot, page: Page) -> None:
    page.open(bot.url)
    page.wait_for("!document.getElementById('login').hidden")
    page.run(f"document.getElementById('token').value = '{TOKEN}'")
    page.run("document.getElementById('login-form').requestSubmit()")
    page.wait_for("document.getElementById('link').dataset.state === 'live'")
    page.run("window.loadedOnce = true")

    page.wait_for("document.querySelector('#positions .card')", within_s=ENTRY_S)
    page.wait_for("document.querySelector('#positions .proof').innerText.includes('stop verified')")
    page.wait_for("document.querySelector('#machine-words').innerText.includes('PROTECTED')")
    symbol = page.run("document.querySelector('#positions .card h3').firstChild.textContent")
    page.run(f"document.getElementById('symbol').value = '{symbol}'")
    page.run("document.getElementById('symbol').dispatchEvent(new Event('change'))")
    page.wait_for(f"document.getElementById('candle-words').innerText.includes('{symbol} closed at')")
    page.wait_for(drawn("candle-chart"))
    page.wait_for(drawn("equity-chart"))

    page.run(f"document.getElementById('control-symbol').value = '{symbol}'")
    page.run("document.querySelector('[data-command=flatten]').click()")
    page.run(typed("flatten"))
    assert page.run("document.getElementById('confirm-go').disabled"), "half of it is not enough"
    page.run(typed(f"flatten {symbol}"))
    page.run("document.getElementById('confirm-go').click()")
    page.wait_for("document.getElementById('controls-note').textContent.includes(': done')")
    page.wait_for(f"document.getElementById('machine-words').innerText.includes('{symbol} HALT')")
    page.wait_for("document.querySelector('#positions .card') === null")
    assert page.run("window.loadedOnce") is True, "everything came without loading the page again"
    page.assert_quiet(bot.url)

    with open_store(bot.db, mode="read") as store:
        (command,) = Inbox(store).recent(limit=5)
        steps = queries.transitions(store, queries.TransitionFilter(symbol=symbol)).rows
        positions = queries.positions(store)
    assert (command.kind, command.symbol, command.state) == ("flatten", symbol, "done")
    assert [(step.trigger, step.source, step.dest) for step in steps[:2]] == [
        ("flat", "FLATTEN", "HALT"),
        ("flatten", "PROTECTED", "FLATTEN"),
    ]
    assert positions == []


def raw(url: str, *parts: bytes) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    for part in parts:
        connection.sendall(part)
    return connection


def cross_site(client: httpx.Client) -> set[int]:
    """What a page of another site can make a browser send: a form, without headers of its own, cookies withheld."""
    headers = {"Origin": "https://attacker.example", "Content-Type": "text/plain", "Authorization": ""}
    return {client.post(f"/api/bot/{kind}", headers=headers, content="{}").status_code for kind in ("flatten", "halt")}


def injected(url: str) -> bytes:
    """An answer to a request whose header tries to begin another one."""
    head = b"GET /api/why/X%0d%0aSet-Cookie:a=b HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\tSet-Cookie: c=d\r\n"
    with raw(url, head + f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()) as connection:
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def pulse(bot: RunningBot) -> documents.HealthDocument:
    with open_store(bot.db, mode="read") as store:
        return documents.health(store)


def until(condition: Callable[[], bool], client: httpx.Client) -> None:
    """Ask again and again, in the pace of the answers."""
    for _ in range(5_000):
        if condition():
            return
        client.get("/api/health")
    raise AssertionError("not in time")


def test_callers_who_misbehave_do_not_keep_the_bot_from_working(bot: RunningBot) -> None:
    """Slow bodies and headers, 500 reconnects, oversized bodies, other sites: trading goes on, and places come free."""
    with httpx.Client(base_url=bot.url, headers=HEADERS, timeout=PATIENCE_S) as client, ExitStack() as held:
        until(lambda: pulse(bot).wall_ms is not None, client)
        before, commands = pulse(bot), client.get("/api/commands").json()
        for number in range(SLOW_CALLERS):
            half = b"GET /api/summary HTTP/1.1\r\nHost:" if number % 2 else b"POST /api/login HTTP/1.1\r\nHost: x\r\n"
            held.enter_context(raw(bot.url, half, b"" if number % 2 else b"Content-Length: 100\r\n\r\n{"))
        lags = []
        for number in range(RECONNECTS):
            with client.stream("GET", "/api/events") as stream:
                assert stream.status_code == 200
                next(line for line in stream.iter_lines() if line.startswith("event"))
            if number % 50 == 0:
                assert client.post("/api/bot/pause", content=b"x" * 100_000).status_code in (413, 400)
                assert cross_site(client) == {401}
                lags.append(pulse(bot).loop_lag_ms or 0.0)
        answer = injected(bot.url)
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"set-cookie" not in answer.partition(b"\r\n\r\n")[0].lower()
        until(lambda: (pulse(bot).wall_ms or 0) > (before.wall_ms or 0), client)
        until(lambda: (pulse(bot).decided_ms or 0) > (before.decided_ms or 0), client)
        until(lambda: "fsm_http_listeners 0.0" in client.get("/metrics").text, client)
        deadline_ms = client.get("/api/summary").json()["protection_deadline_ms"]
        assert max(lags) < deadline_ms, "a loop that late would miss the deadline of a stop"
        assert client.get("/api/commands").json() == commands, "nobody who may not command has commanded"
    assert "answer failed" not in bot.said()
