"""The dashboard's files: a closed list, read once; no address leads to anything else on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    body: bytes
    media_type: str
    etag: str


def _read(path: Path) -> PageFile:
    body = path.read_bytes()
    return PageFile(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _files() -> dict[str, PageFile]:
    found = {
        f"/static/{path.relative_to(STATIC).as_posix()}": _read(path)
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in _TYPES
    }
    found["/"] = found.pop("/static/index.html")
    return found


FILES: dict[str, PageFile] = _files()
"""By address."""

PAGES = ("/symbols/{symbol}", "/trades/{id}", "/rules", "/runs", "/statistics", "/audit", "/log", "/settings")
"""Pages with addresses of their own: the file of "/", which sees by its address what to show (static/pages.js)."""
