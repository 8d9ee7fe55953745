"""Alerts reach Telegram through an outbox: late, retried, survived, and never with a secret in a log (R51)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from exchange.binance.signing import Secret
from exchange.sim.symbols import shipped_brackets, shipped_filters
from fsm.config import Secrets, load_config
from fsm.live.clock import WallClock
from fsm.live.delivery import Delivery
from fsm.live.in_force import InForce
from fsm.live.telegram import NotDelivered, Telegram
from rules.load import load_rules
from store.alerts import AlertBox
from store.database import Store, open_store
from store.queries import alerts
from store.rows import AlertRow

ROOT = Path(__file__).parents[4]
SECRETS = Secrets(tg_bot_token=Secret("12:token-of-a-bot"), tg_chat_id=Secret("42"))


class Messenger(HTTPServer):
    """As much of Telegram as a bot sees, on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.heard: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Messenger

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append({"path": self.path, **body})
        code, answer = self.server.answers.pop(0) if self.server.answers else (200, {"ok": True})
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def messenger() -> Iterator[Messenger]:
    server = Messenger()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "x.sqlite", mode="write", at_ms=0) as opened:
        yield opened


def in_force() -> InForce:
    return InForce(
        database_id="5eed0001",
        settings=load_config(ROOT / "config.yaml", None, {}).settings,
        rules=load_rules(ROOT / "rules.yaml"),
        filters=shipped_filters(),
        brackets=shipped_brackets(),
    )


def message(kind: str = "kill_switch") -> AlertRow:
    return AlertRow(at_ms=1, kind=kind, severity="critical", text="LIMIT_DAY was hit", dedupe_key=kind, due_ms=0)


def deliver(store: Store, messenger_url: str) -> None:
    box = AlertBox(store)
    delivery = Delivery(box, Telegram(messenger_url, SECRETS), in_force(), WallClock())

    async def once() -> None:
        for row in box.due(WallClock().now_ms()):
            await delivery.deliver(row)

    asyncio.run(once())


def test_a_message_is_delivered_once(store: Store, messenger: Messenger) -> None:
    AlertBox(store).add(message())
    deliver(store, messenger.url)
    deliver(store, messenger.url)
    (heard,) = messenger.heard
    assert heard["path"] == "/bot12:token-of-a-bot/sendMessage"
    assert (heard["chat_id"], heard["text"], heard["disable_notification"]) == ("42", "LIMIT_DAY was hit", False)
    assert alerts(store)[0].state == "SENT"


def test_what_config_calls_silent_makes_no_sound(store: Store, messenger: Messenger) -> None:
    AlertBox(store).add(message("lifecycle"))
    deliver(store, messenger.url)
    assert messenger.heard[0]["disable_notification"] is True


def test_while_telegram_is_away_the_message_waits(store: Store) -> None:
    AlertBox(store).add(message())
    deliver(store, "http://127.0.0.1:9")
    (row,) = alerts(store)
    assert (row.state, row.attempts) == ("PENDING", 1)
    assert row.due_ms > WallClock().now_ms()
    assert "token" not in (row.last_error or "")


def test_it_asks_for_patience_and_gets_it(store: Store, messenger: Messenger) -> None:
    messenger.answers.append((429, {"ok": False, "description": "slow down", "parameters": {"retry_after": 30}}))
    AlertBox(store).add(message())
    deliver(store, messenger.url)
    (row,) = alerts(store)
    assert row.due_ms >= WallClock().now_ms() + 29_000


def test_what_it_will_never_take_is_dropped(store: Store, messenger: Messenger) -> None:
    messenger.answers.append((400, {"ok": False, "description": "chat not found"}))
    AlertBox(store).add(message())
    deliver(store, messenger.url)
    (row,) = alerts(store)
    assert (row.state, row.last_error) == ("DROPPED", "HTTP 400: chat not found")


def test_an_error_never_shows_the_token(messenger: Messenger) -> None:
    messenger.answers.append((403, {"ok": False, "description": "bot 12:token-of-a-bot was blocked"}))
    with pytest.raises(NotDelivered) as raised:
        asyncio.run(Telegram(messenger.url, SECRETS).send("x", silent=False))
    assert "token-of-a-bot" not in str(raised.value)
