"""The dashboard's files: a closed list, read once; no address leads to anything else on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
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
    """``is_lasting``: other contents would have another address, so a browser need not ask again."""

    body: bytes
    media_type: str
    etag: str
    is_lasting: bool = False


def _file(body: bytes, suffix: str) -> PageFile:
    return PageFile(body, _TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _files() -> dict[str, PageFile]:
    """Each file under its name, and under an address with the version of them all, which is what the page asks for."""
    paths = [path for path in sorted(STATIC.rglob("*")) if path.suffix in _TYPES]
    found = {path.relative_to(STATIC).as_posix(): _file(path.read_bytes(), path.suffix) for path in paths}
    page = found.pop("index.html")
    version = hashlib.sha256("".join(file.etag for file in found.values()).encode()).hexdigest()[:12]
    lasting = {f"/static/{version}/{name}": replace(file, is_lasting=True) for name, file in found.items()}
    return {
        "/": _page(
            page.body, f"/static/{version}/", [name for name in found if name.endswith(".js") and "/" not in name]
        ),
        **{f"/static/{name}": file for name, file in found.items()},
        **lasting,
    }


def _page(body: bytes, root: str, modules: list[str]) -> PageFile:
    """With the addresses of this version. All modules are asked for at once, not each when another imports it."""
    text = body.decode().replace('"/static/', f'"{root}')
    links = "".join(f'  <link rel="modulepreload" href="{root}{name}">\n' for name in modules)
    return _file(text.replace("</head>", f"{links}</head>").encode(), ".html")


FILES: dict[str, PageFile] = _files()
"""By address."""

PAGES = ("/symbols/{symbol}", "/trades/{id}", "/rules", "/runs", "/statistics", "/audit", "/log", "/settings")
"""Pages with addresses of their own: the file of "/", which sees by its address what to show (static/pages.js)."""
