"""From an alert's link to trade, candle, condition, edit, what it would have done, and loading it: at most 8 clicks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.config import load_config
from store import queries
from store.database import open_store
from store.inbox import Inbox
from store.lock import ProcessLock
from store.rules_edits import text_in
from tests.integration.web.chromium import ROOT, TOKEN, Page, needs_chromium
from tests.integration.web.conftest import copied
from tests.integration.web.show import TO_MS, Show
from tests.integration.web.test_web_pages import follow
from web.app import create_app
from web.server import WebServer

pytestmark = needs_chromium

CLICKS_MAX = 8
TRADE = "ETHUSDT-17"


@pytest.fixture
def show(journal: Path, tmp_path: Path) -> Iterator[Show]:
    path = copied(journal, tmp_path)
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        made = Show(store)
        plain = load_config(ROOT / "config.yaml", None, {}).settings.plain()
        plain["reload"]["edit_in_browser"] = plain["web"]["jobs"] = True
        made.document("config", {"config": plain})
        yield made


def worker(db: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fsm", "worker", "--once", "--db", str(db), "--data", str(shipped_folder())]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_from_an_alerts_link_to_loading_what_it_taught(page: Page, show: Show) -> None:
    app = create_app(show.store.path, token=TOKEN)
    clicks = 0

    def click(selector: str, arrived: str, *, leaves: bool = False) -> None:
        nonlocal clicks
        clicks += 1
        action = f"document.querySelector('{selector}').click()"
        if leaves:
            follow(page, action, arrived)
        else:
            page.run(action)
            page.wait_for(arrived, within_s=120)

    with WebServer.on(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        url = server.url
        page.open(url)
        page.wait_for("!document.getElementById('login').hidden")
        page.run(f"document.getElementById('token').value = '{TOKEN}'")
        page.run("document.getElementById('login-form').requestSubmit()")
        page.wait_for("document.querySelector('#why tbody tr')")
        # The link of an alert is that of its trade.
        clicks += 1
        follow(page, f"location.href = '/trades/{TRADE}'", "document.querySelector('#entry-reasons .tree')"
               " && document.querySelector('#candle-chart canvas')")  # fmt: skip
        # Its candles lead to the candle of the signal, with every condition there.
        candle = "document.querySelector('#why-detail h3')?.textContent.includes('2024-11-26 16:00')"
        click("#page-words a.to-candle", f"{candle} && document.querySelector('#why-detail .tree a')", leaves=True)
        # A condition leads to its line in the rules.
        click("#why-detail .tree a", "document.querySelector('#rules-text .code-line.meant')", leaves=True)
        assert page.run("document.querySelector('#rules-text .code-line.meant').textContent").strip()
        page.wait_for("!document.getElementById('rules-edit').hidden")
        click("#rules-edit", "!document.getElementById('editor').hidden")
        page.run(
            "(() => { const text = document.getElementById('editor-text');"
            " text.value = text.value.replace('adx_trend: 25', 'adx_trend: 28'); })()"
        )
        click("#editor-ask", "document.getElementById('editor-said').textContent.includes('waits for')")
        with worker(show.store.path) as working:
            page.wait_for("document.querySelector('#editor-said table')", within_s=120)
        assert working.returncode == 0
        rows = page.run(
            "[...document.querySelectorAll('#editor-said tbody tr')].map((tr) => tr.children[1].textContent)"
        )
        closed = [row for row in queries.trades(show.store, limit=1_000) if row.signal_candle_ms >= 0]
        assert len(rows) == 2
        assert 0 < int(rows[1]) <= len(closed)
        click("#editor-load", "document.getElementById('editor-said').textContent.includes('handed to the bot')")
        (command,) = Inbox(show.store).take(TO_MS)
        assert "adx_trend: 28" in text_in(command.kind.split(" ")[3])
        Inbox(show.store).finish(command.id, "done", detail="rules.yaml is in force", at_ms=TO_MS)
        page.wait_for("document.getElementById('rules-edit-note').textContent.includes('is in force')")
        page.assert_quiet(url)
    assert clicks <= CLICKS_MAX, clicks
