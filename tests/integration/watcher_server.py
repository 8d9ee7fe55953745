"""Somebody outside who expects pings: a real server on loopback that remembers when each came."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Watcher:
    url: str = ""
    paths: list[str] = field(default_factory=list)
    last_s: float = field(default_factory=time.monotonic)
    status: int = 200
    location: str = ""
    names: list[str | None] = field(default_factory=list)
    """What each request said who asks."""

    @property
    def count(self) -> int:
        return len(self.paths)

    def is_silent(self, seconds: float) -> bool:
        return time.monotonic() - self.last_s > seconds


@contextmanager
def watcher() -> Iterator[Watcher]:
    found = Watcher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.paths.append(self.path)
            found.names.append(self.headers.get("Authorization"))
            found.last_s = time.monotonic()
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
