"""Keeps the window's rooms apart: so many requests at once and no more, and beside them the operator's own road.

A command (``POST /api/bot/…``) is never turned away for what others do. Who may not command is told so before his body
is read, so nobody without the token can fill that road.
"""

from __future__ import annotations

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import ApiError, ErrorAnswer

HEAD_BYTES_MAX = 16_384
"""Of a request's first line and headers together."""
REQUESTS_MAX = 384
"""Requests under way: every reader that waits (desk.WAITING_MAX), every stream (events.LISTENERS_MAX), and as many that
send their body slowly."""
ADMIN_ROAD = "/api/bot/"

_encode = msgspec.json.Encoder().encode


class Crowd:
    """ASGI middleware that counts who is inside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refuse(refusal, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1

    def _refusal(self, scope: Scope) -> ApiError | None:
        if _head_bytes(scope) > HEAD_BYTES_MAX:
            return head_too_large()
        if self._inside < REQUESTS_MAX or (scope["method"] == "POST" and scope["path"].startswith(ADMIN_ROAD)):
            return None
        return ApiError(503, "BUSY", "too many requests at once", "ask again", headers={"Retry-After": "1"})


def head_too_large() -> ApiError:
    hint = f"first line and headers have at most {HEAD_BYTES_MAX} bytes together"
    return ApiError(431, "HEAD_TOO_LARGE", "the head is too large", hint, headers={"Connection": "close"})


async def refuse(error: ApiError, send: Send) -> None:
    """Answer with an error without asking the application."""
    status, headers, body = spelt_out(error)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def spelt_out(error: ApiError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """An error as it goes over the wire: status, headers and body."""
    body = _encode(ErrorAnswer(error.problem))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return error.status, headers, body


def _head_bytes(scope: Scope) -> int:
    """As they were sent, but for gaps that mean nothing."""
    first = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) + len(" ? HTTP/1.1\r\n")
    return first + sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
