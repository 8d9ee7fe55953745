"""As much of Telegram's Bot API as a bot sees, as a real server on loopback: starlette and uvicorn in a thread."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOKEN = "7000000001:token-of-the-bot-under-test"
CHAT = "700012345"
STRANGER = 700099999
LONG_POLL_S_MAX = 0.3
"""How long it lets a bot wait for a message at most: tests have no time."""


@dataclass
class MessengerServer:
    """Everything it was asked, and what it answers. Updates are forgotten when a higher offset confirms them."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, list[tuple[int, object]]] = field(default_factory=dict)
    down: bool = False
    now_s: int = 0
    _numbers: int = 5_000

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What arrived in the chat."""
        return [ask for ask in self.asked if ask["method"] == "sendMessage" and ask["taken"]]

    @property
    def edits(self) -> list[dict[str, Any]]:
        """Messages that were given another text."""
        return [ask for ask in self.asked if ask["method"] == "editMessageText" and ask["taken"]]

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """Pictures that arrived in the chat."""
        return [ask for ask in self.asked if ask["method"] == "sendPhoto" and ask["taken"]]

    @property
    def texts(self) -> list[str]:
        return [str(message["text"]) for message in self.sent]

    def write(self, text: str, *, chat: int | str = CHAT, sent_s: int | None = None) -> int:
        """Somebody writes to the bot."""
        self._numbers += 1
        message = {
            "message_id": self._numbers,
            "date": self.now_s if sent_s is None else sent_s,
            "chat": {"id": int(chat), "type": "private"},
            "from": {"id": int(chat), "is_bot": False, "first_name": "Somebody"},
            "text": text,
        }
        self.updates.append({"update_id": self._numbers, "message": message})
        return self._numbers

    def answer_once(self, method: str, status: int, body: object) -> None:
        """The next call of a method is answered so; a body that is no dict is sent as it is."""
        self.answers.setdefault(method, []).append((status, body))

    async def handle(self, request: Request) -> Response:
        method = request.path_params["method"]
        body = await _fields(request)
        ask = {"method": method, "token": request.path_params["token"], "taken": False, **body}
        self.asked.append(ask)
        if self.down:
            return _answer(502, "<html>Bad Gateway</html>")
        if self.answers.get(method):
            return _answer(*self.answers[method].pop(0))
        if ask["token"] != TOKEN:
            return _answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        if method == "getUpdates":
            return _answer(200, {"ok": True, "result": await self._news(body)})
        ask["taken"] = True
        chat = {"id": int(CHAT), "type": "private"}
        ask["message_id_given"] = len(self.asked)
        result = {"message_id": len(self.asked), "date": self.now_s, "chat": chat, "text": body.get("text", "")}
        return _answer(200, {"ok": True, "result": result})

    async def _news(self, body: dict[str, str]) -> list[dict[str, Any]]:
        offset = int(body.get("offset", 0))
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        waited_s = 0.0
        while not self.updates and waited_s < min(LONG_POLL_S_MAX, float(body.get("timeout", 0))):
            await asyncio.sleep(0.02)
            waited_s += 0.02
        return list(self.updates)


async def _fields(request: Request) -> dict[str, Any]:
    """As a form, or in parts where a file comes along; of a file its bytes."""
    if not request.headers.get("content-type", "").startswith("multipart/"):
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + await request.body()
    )
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = content if part.get_filename() else content.decode()
    return found


def _answer(status: int, body: object) -> Response:
    text = json.dumps(body) if isinstance(body, dict) else str(body)
    return Response(text, status_code=status, media_type="application/json")


@contextmanager
def messenger_server() -> Iterator[MessengerServer]:
    """One that listens, and is gone at the end."""
    state = MessengerServer()
    app = Starlette(routes=[Route("/bot{token}/{method}", state.handle, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        state.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.should_exit = True
            thread.join(10)
