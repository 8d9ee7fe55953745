"""Everybody at once at a dashboard: heads that never end, readers without a pause, and a listener who does not read."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

SLOW_HEADS, READERS = 128, 300
DRIP_S = 0.5
AGAIN_S = 0.2
PATIENCE_S = 30.0


class Crowd:
    """One address and its callers; ``answers`` counts what readers were told, ``slow`` the heads under way now."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._wearing = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
        self.answers: Counter[int] = Counter()
        self.slow = 0

    @asynccontextmanager
    async def gathered(self) -> AsyncIterator[None]:
        """All of them, until the block ends."""
        callers = [self._slow_head() for _ in range(SLOW_HEADS)] + [self._reader(n) for n in range(READERS)]
        tasks = [asyncio.create_task(caller) for caller in [*callers, self._unread_stream()]]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def flatten(self) -> tuple[int, float]:
        """The status of the answer, and how many seconds it took. On a connection and in a thread of its own: to wait
        behind the rest of this crowd in one loop is not the dashboard's doing."""
        head = f"POST /api/bot/flatten HTTP/1.1\r\n{self._wearing}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        began_s = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.sendall(head.encode())
            answer = connection.recv(65_536)
        return int(answer.split(b" ", 2)[1]), time.monotonic() - began_s

    async def _slow_head(self) -> None:
        """A letter now and then; when the door is shut, the next one."""
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.slow += 1
                try:
                    writer.write(b"GET /api/summary HTTP/1.1\r\nHost: ")
                    while not writer.is_closing():
                        writer.write(b"a")
                        await writer.drain()
                        await asyncio.sleep(DRIP_S)
                finally:
                    self.slow -= 1
                    writer.close()
            await asyncio.sleep(AGAIN_S)

    async def _reader(self, number: int) -> None:
        path = ("/api/trades?limit=500", "/api/transitions?limit=200", "/api/summary")[number % 3]
        while True:
            with suppress(OSError):
                status = await self._asked(f"GET {path} HTTP/1.1\r\n{self._wearing}Connection: close\r\n\r\n")
                self.answers[status] += 1
            await asyncio.sleep(AGAIN_S)

    async def _unread_stream(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1_024)
        writer.write(f"GET /api/events HTTP/1.1\r\n{self._wearing}\r\n".encode())
        await asyncio.Event().wait()

    async def _asked(self, request: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request.encode())
            answer = await reader.read()
        finally:
            writer.close()
        return int(answer.split(b" ", 2)[1]) if answer else 0
