"""The dashboard in a real browser: it draws, lives, acts, and talks to nobody but its own host.

Needs Debian's chromium; without it the tests are skipped. With SCREENSHOTS=docs/screenshots the pictures of the
documentation are made anew:

    SCREENSHOTS=docs/screenshots python -m pytest tests/integration/test_web_browser.py -n0
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from websockets.sync.client import ClientConnection, connect

from exchange.sim.symbols import shipped_folder
from fsm.config import load_config
from fsm.lab.backtest import Request, run_backtest
from fsm.live import documents
from rules.load import load_rules
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.inbox import Inbox
from store.journal import Journal
from store.lock import ProcessLock
from store.rows import AlertRow, DocumentRow, PositionMark
from web.app import create_app
from web.server import WebServer

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
FROM_MS, TO_MS = 1_725_148_800_000, 1_733_011_200_000  # 2024-09-01 to 2024-12-01
HELD = "BTCUSDT"
TOKEN = "a-token-that-nobody-guesses-7Q"
PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium (apt install chromium)")


class Bot:
    """What a running daemon does to the database: holds the lock, holds a position, writes, carries out commands."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.journal = Journal(store, run_id="show0001")

    def document(self, name: str, body: Any) -> None:
        row = DocumentRow(name=name, at_ms=TO_MS, body_json=msgspec.json.encode(body).decode())
        self.journal.commit(Batch(documents=[row]))

    def repeat(self, symbol: str, state: str, at_ms: int) -> None:
        """Journal the newest step that led to a state once more."""
        (row,) = queries.transitions(self.store, queries.TransitionFilter(symbol=symbol, state=state), limit=1).rows
        fresh = replace(row, id=0, at_ms=at_ms, prev_hash="", hash="", run_id="")
        self.journal.commit(Batch(transitions=[fresh]))

    def settle_in(self) -> None:
        self.repeat(HELD, "PROTECTED", TO_MS)
        position = queries.positions(self.store)[0]
        assert position.entry is not None
        mark = PositionMark(
            symbol=HELD,
            mark=position.entry * Decimal("1.004"),
            upnl=position.entry * position.size * Decimal("0.004"),
            liquidation_price=position.entry / 2,
            isolated_wallet=Decimal("2400"),
            updated_ms=TO_MS,
        )
        alert = AlertRow(
            at_ms=TO_MS, kind="trade_opened", severity="info", text=f"{HELD}: opened", dedupe_key="1", due_ms=TO_MS
        )
        self.journal.commit(Batch(marks=[mark], alerts=[alert]))
        self.document("machine", documents.machine())
        self.document("limits", {"action": "BLOCK_ENTRIES", "losses": _losses()})
        self.document("config", {"config": {"protection": {"deadline_ms": 5_000}}})
        now_ms = time.time_ns() // 1_000_000
        verified = {HELD: {"client_id": position.stop_client_order_id, "verified_wall_ms": now_ms - 3_000}}
        self.document(
            "health",
            {"wall_ms": now_ms, "speed": 600, "stream": "connected", "stops": verified},
        )


def _losses() -> list[dict[str, str]]:
    rows = (
        ("LIMIT_DAY", 200, 62),
        ("LIMIT_WEEK", 500, 141),
        ("LIMIT_MONTH", 1_000, 300),
        ("LIMIT_DRAWDOWN", 1550, 640),
    )
    return [
        {"name": name, "period": "now", "allowed": str(allowed), "used": str(used), "left": str(allowed - used)}
        for name, allowed, used in rows
    ]


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    path = tmp_path_factory.mktemp("browser") / "sim.sqlite"
    request = Request(
        config=load_config(ROOT / "config.yaml", None, {}),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=(HELD, "DOGEUSDT", "ETHUSDT"),
        from_ms=FROM_MS,
        to_ms=TO_MS,
        db=path,
    )
    run_backtest(request)
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        # What the banner says is the database's own word; this one plays a simulation.
        store.connection.execute("UPDATE meta SET environment = 'sim'")
        made = Bot(store)
        made.settle_in()
        yield made


@pytest.fixture(scope="module")
def url(bot: Bot) -> Iterator[str]:
    app = create_app(bot.store.path, token=TOKEN)
    with WebServer(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


class Page:
    """One tab, spoken to over the DevTools protocol; remembers what it logged and whom it asked."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if hasattr(self, "_session"):
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
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Until the expression holds; the page itself waits, so nothing is asked in a loop here."""
        promise = (
            "new Promise((done, fail) => { const until = Date.now() + 20000;"
            f" const look = () => {{ let found = false; try {{ found = Boolean({script}); }} catch {{ }}"
            " if (found) done(true); else if (Date.now() > until) fail(new Error('not in time'));"
            " else setTimeout(look, 50); }; look(); })"
        )
        assert self.run(promise) is True, f"{script} did not come true; page: {self.run('document.body.innerText')}"

    def log_in(self) -> None:
        self.wait_for("!document.getElementById('login').hidden || !document.getElementById('main').hidden")
        self.run(
            "(() => { if (document.getElementById('login').hidden) return;"
            f" document.getElementById('token').value = '{TOKEN}';"
            " document.getElementById('login-form').requestSubmit(); })()"
        )
        self.wait_for("document.querySelector('#transitions table') && document.querySelector('#candle-chart canvas')")
        self.wait_for("document.querySelector('#protection .bars')")

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


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    arguments = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
        f"--user-data-dir={tmp_path / 'profile'}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(CHROMIUM), *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr)))
        with connect(found.group(), max_size=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(tmp_path / "profile", ignore_errors=True)


def assert_quiet(page: Page, url: str) -> None:
    assert page.complaints == []
    assert {asked for asked in page.requests if not asked.startswith((url, "about:", "data:"))} == set()


def test_the_page_draws_everything_without_a_complaint_or_a_foreign_request(page: Page, url: str) -> None:
    page.open(url)
    page.log_in()
    assert page.run("document.getElementById('environment').textContent") == "SIM"
    assert page.run("document.querySelectorAll('#budgets li').length") == 4
    assert "stop verified" in page.run("document.getElementById('positions').innerText")
    assert page.run("document.querySelectorAll('#machine .state').length") == 7
    assert page.run("document.querySelectorAll('#regimes .strip i').length") > 3
    assert page.run("document.querySelectorAll('#why tbody tr').length") == 3
    assert page.run("[...document.querySelectorAll('#equity-chart canvas')].some((c) => c.width > 300)")
    assert "Equity from" in page.run("document.getElementById('equity-words').textContent")
    page.picture("desktop")
    for section in ("equity", "machine", "why"):
        page.run(f"document.getElementById('{section}-title').scrollIntoView()")
        page.picture(f"desktop-{section}")
    assert_quiet(page, url)


def test_a_step_of_the_machine_appears_without_reloading(page: Page, url: str, bot: Bot) -> None:
    page.open(url)
    page.log_in()
    page.wait_for("document.getElementById('link').dataset.state === 'live'")
    before = page.run("document.querySelectorAll('#transitions tbody tr').length")
    newest = queries.newest_ids(bot.store).transition
    bot.repeat("DOGEUSDT", "SIGNALLED", TO_MS + 1_000)
    page.wait_for(f"document.querySelector('#transitions tbody tr').innerText.includes('{newest + 1}')")
    assert page.run("document.querySelectorAll('#transitions tbody tr').length") == before + 1
    page.wait_for("document.querySelector('#machine-words').innerText.includes('DOGEUSDT SIGNALLED')")
    assert_quiet(page, url)


def test_flatten_is_typed_confirmed_and_its_end_is_shown(page: Page, url: str, bot: Bot) -> None:
    page.open(url)
    page.log_in()
    page.wait_for("[...document.getElementById('control-symbol').options].length === 4")
    page.run(f"document.getElementById('control-symbol').value = '{HELD}'")
    page.run("document.querySelector('[data-command=flatten]').click()")
    assert page.run("document.getElementById('confirm').open && document.getElementById('confirm-go').disabled")
    page.run("document.activeElement.id === 'confirm-text'")
    typed = "document.getElementById('confirm-text').value = '{}';" + (
        "document.getElementById('confirm-text').dispatchEvent(new Event('input'))"
    )
    page.run(typed.format("flatten"))
    assert page.run("document.getElementById('confirm-go').disabled")
    page.run(typed.format(f"flatten {HELD}"))
    page.picture("confirm")
    page.run("document.getElementById('confirm-go').click()")
    page.wait_for("!document.getElementById('confirm').open")
    inbox = Inbox(bot.store)
    (command,) = inbox.take(TO_MS)
    assert (command.kind, command.symbol, command.source) == ("flatten", HELD, "web")
    bot.repeat(HELD, "EXITING", TO_MS + 2_000)
    inbox.finish(command.id, "done", detail="flat on the exchange", at_ms=TO_MS + 2_000)
    page.wait_for("document.getElementById('controls-note').textContent.includes('done. flat on the exchange')")
    assert_quiet(page, url)


@pytest.mark.parametrize(("name", "width", "dark"), [("phone", 375, False), ("dark", 1_360, True)])
def test_it_works_on_a_phone_and_in_the_dark(page: Page, url: str, name: str, width: int, dark: bool) -> None:
    page.open(url, width=width, height=812 if width < 500 else 900, dark=dark)
    page.log_in()
    assert page.run("document.documentElement.scrollWidth") <= width, "the page must not scroll sideways"
    assert page.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    page.picture(name)
    assert_quiet(page, url)


def test_a_screen_reader_gets_names_for_everything_that_can_be_used(page: Page, url: str) -> None:
    page.open(url)
    page.log_in()
    usable = {"button", "combobox", "textbox", "link", "checkbox", "image", "region", "table", "progressbar"}
    nameless = [
        node["role"]["value"]
        for node in page.tree()
        if node.get("role", {}).get("value") in usable and not node.get("name", {}).get("value", "").strip()
    ]
    # The tables of the charting library hold its canvases; they stand inside a picture that has a name.
    assert [role for role in nameless if role != "table"] == []
    assert page.run("document.querySelectorAll('h1').length") == 1
    assert page.run("document.documentElement.lang") == "en"


CONTRASTS = r"""(() => {
  const linear = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (text) => {
    const [r, g, b] = (text.match(/[\d.]+/g) ?? []).map(Number).map(linear);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const back = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (color !== 'rgba(0, 0, 0, 0)' && color !== 'transparent') return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const passed = 'svg, .chart, script, [disabled], .unseen, .skip, [hidden], noscript';
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.closest(passed) || !node.getClientRects().length) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(back(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}: ${node.textContent}`);
  }
  return found;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_the_contrast_that_wcag_aa_asks_for(page: Page, url: str, dark: bool) -> None:
    page.open(url, dark=dark)
    page.log_in()
    assert page.run(CONTRASTS) == []


def test_the_keyboard_reaches_every_control_and_the_focus_is_seen(page: Page, url: str) -> None:
    page.open(url)
    page.log_in()
    reached = set()
    page.run("document.body.focus()")
    for _ in range(160):
        page.press("Tab", 9)
        reached.add(page.run("document.activeElement.id || document.activeElement.dataset.command || ''"))
    assert {
        "theme",
        "symbol",
        "timeframe",
        "equity-range",
        "control-symbol",
        "pause",
        "resume",
        "halt",
        "flatten",
    } <= reached
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.run("document.getElementById('theme').focus()")
    page.press("Tab", 9)
    assert page.run(outline) != "none"
