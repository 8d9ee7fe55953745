"""A real browser for the tests: Debian's chromium, headless, spoken to over the DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).parents[3]
CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "a-token-that-nobody-guesses-7Q"
PATIENCE_S = 200.0
WAIT_S = 120.0

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="there is no /usr/bin/chromium (apt-get install chromium)"
)

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
)  # fmt: skip


@contextmanager
def browser(profile: Path) -> Iterator[str]:
    """A browser with an empty profile, as long as the block runs: the address it is spoken to at."""
    process = subprocess.Popen(
        [str(CHROMIUM), *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stderr is not None
        yield next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr))).group()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(profile, ignore_errors=True)


@contextmanager
def tab(address: str) -> Iterator[Page]:
    """A page that shares nothing with other ones."""
    with connect(address, max_size=None, proxy=None, ping_interval=None) as socket:
        page = Page(socket)
        try:
            yield page
        finally:
            page.close()


class Page:
    """One tab, spoken to over the DevTools protocol; remembers what it logged and whom it asked."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._context = self._call("Target.createBrowserContext")["browserContextId"]
        made = self._call("Target.createTarget", url="about:blank", browserContextId=self._context)
        target = made["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(PATIENCE_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(parameters["args"])[:500])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(json.dumps(parameters["entry"])[:500])

    def open(self, url: str, *, width: int = 1_360, height: int = 900, dark: bool = False) -> None:
        self.resize(width, height)
        self.turn(dark=dark)
        self._call("Page.navigate", url=url)

    def resize(self, width: int, height: int = 900) -> None:
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def turn(self, *, dark: bool) -> None:
        """What the system says about its colours, which may change while the page is open."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, script: str) -> Any:
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script: str, *, within_s: float = WAIT_S) -> None:
        """Until the expression holds; the page itself waits, so nothing is asked in a loop here."""
        promise = (
            f"new Promise((done) => {{ const until = Date.now() + {within_s * 1000};"
            f" const look = () => {{ let found = false; try {{ found = Boolean({script}); }} catch {{ }}"
            " if (found) done(true); else if (Date.now() > until) done(false);"
            " else setTimeout(look, 50); }; look(); })"
        )
        if self.run(promise) is not True:
            raise AssertionError(f"{script} did not come true; the page: {self.run('document.body.innerText')}")

    def log_in(self) -> None:
        self.wait_for("!document.getElementById('login').hidden || !document.getElementById('main').hidden")
        self.run(
            "(() => { if (document.getElementById('login').hidden) return;"
            f" document.getElementById('token').value = '{TOKEN}';"
            " document.getElementById('login-form').requestSubmit(); })()"
        )
        self.wait_for("document.querySelector('#why table') && document.querySelector('#candle-chart canvas')")
        self.wait_for("document.querySelector('#machine svg') && document.querySelector('#trades tbody tr')")

    def picture(self, name: str) -> bytes:
        found = self._call("Page.captureScreenshot", format="png")
        data = base64.b64decode(found["data"])
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            (ROOT / folder).mkdir(parents=True, exist_ok=True)
            (ROOT / folder / f"{name}.png").write_bytes(data)
        return data

    def tree(self) -> list[dict[str, Any]]:
        """The accessibility tree, as a screen reader gets it."""
        nodes: list[dict[str, Any]] = self._call("Accessibility.getFullAXTree")["nodes"]
        return [node for node in nodes if not node.get("ignored")]

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = "none" if kind == "mouseMoved" else "left"
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    def close(self) -> None:
        self._session = None
        self._call("Target.disposeBrowserContext", browserContextId=self._context)

    def assert_quiet(self, url: str) -> None:
        """Nothing was complained about, and nobody but this host was asked."""
        assert self.complaints == []
        assert {asked for asked in self.requests if not asked.startswith((url, "about:", "data:"))} == set()
