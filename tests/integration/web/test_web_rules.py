"""The page of rules: versions and what each changed, an edit that is checked, sent and followed, and hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fsm.config import load_config
from rules.load import parse_rules
from store import queries
from store.batch import Batch
from store.database import open_store
from store.inbox import Inbox
from store.lock import ProcessLock
from store.rows import AlertRow, RuleVersionRow, SystemEventRow
from store.rules_edits import text_in
from tests.integration.web.chromium import ROOT, TOKEN, Page, needs_chromium
from tests.integration.web.conftest import copied
from tests.integration.web.show import TO_MS, Show
from tests.integration.web.test_web_pages import come_in
from web.app import create_app
from web.server import WebServer

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
SHIPPED = (ROOT / "rules.yaml").read_text("utf-8")
OTHER = SHIPPED.replace("dwell_candles: 3", "dwell_candles: 4") + "# <img src=x onerror=alert(1)>\n"
HOSTILE = "rules.yaml: <script>alert(1)</script> was refused"


def config(*, may_edit: bool) -> dict[str, object]:
    plain = load_config(ROOT / "config.yaml", None, {}).settings.plain()
    plain["reload"]["edit_in_browser"] = may_edit
    return {"config": plain}


@pytest.fixture
def edited(journal: Path, tmp_path: Path) -> Iterator[Show]:
    """A journal in which the rules were changed once, and an edit was refused; editing is allowed."""
    path = copied(journal, tmp_path)
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        store.connection.execute("UPDATE meta SET environment = 'sim'")
        show = Show(store)
        now = parse_rules(OTHER, "x").hash
        event = SystemEventRow(at_ms=TO_MS, kind="RELOAD", reason="RULES", facts_json="{}", rules_hash=now)
        told = AlertRow(
            at_ms=TO_MS, kind="rules_changed", severity="warning", text=HOSTILE, dedupe_key="h", due_ms=TO_MS
        )
        version = RuleVersionRow(at_ms=TO_MS, rules_hash=now, text=OTHER)
        show.journal.commit(Batch(rule_versions=[version], system_events=[event], alerts=[told]))
        show.document("config", config(may_edit=True))
        yield show


@pytest.fixture
def address(edited: Show) -> Iterator[str]:
    app = create_app(edited.store.path, token=TOKEN)
    with WebServer.on(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


def asked(address: str, path: str, body: dict[str, str]) -> httpx.Response:
    return httpx.post(address + path, headers=HEADERS, json=body, timeout=60)


def test_an_edit_of_other_rules_than_those_in_force_is_409(edited: Show, address: str) -> None:
    now = parse_rules(OTHER, "x").hash
    old = parse_rules(SHIPPED, "x").hash
    refused = asked(address, "/api/bot/edit-rules", {"based_on": old, "text": SHIPPED})
    assert (refused.status_code, refused.json()["error"]["guard"]) == (409, "CHANGED")
    assert Inbox(edited.store).take(TO_MS) == []
    accepted = asked(address, "/api/bot/edit-rules", {"based_on": now, "text": SHIPPED})
    assert accepted.status_code == 202
    (command,) = Inbox(edited.store).take(TO_MS)
    _, _, based_on, packed = command.kind.split(" ")
    assert (based_on, text_in(packed)) == (now, SHIPPED)
    shown = httpx.get(address + accepted.json()["url"], headers=HEADERS).json()
    assert shown["kind"] == f"rules edit {now}"
    edited.document("config", config(may_edit=False))
    off = asked(address, "/api/bot/edit-rules", {"based_on": now, "text": SHIPPED})
    assert (off.status_code, off.json()["error"]["guard"]) == (409, "EDITING_OFF")


def test_a_text_is_checked_with_the_place_of_each_problem(address: str) -> None:
    bad = SHIPPED.replace("dwell_candles: 3", "dwell_candles: many")
    found = asked(address, "/api/rules/check", {"text": bad}).json()
    assert found["hash"] is None
    line = bad[: bad.index("dwell_candles: many")].count("\n") + 1
    assert [problem["line"] for problem in found["problems"]] == [line]
    assert asked(address, "/api/rules/check", {"text": SHIPPED}).json()["hash"] == parse_rules(SHIPPED, "x").hash
    assert asked(address, "/api/rules/check", {"text": "x" * 300_000}).status_code == 422
    assert asked(address, "/api/rules/check", {"text": "x" * 2_000_000}).status_code == 413


@needs_chromium
def test_versions_are_compared_and_an_edit_is_loaded(page: Page, edited: Show, address: str) -> None:
    come_in(page, address, "/rules")
    page.wait_for("document.querySelectorAll('#rules-versions tbody tr').length === 2")
    page.run("document.querySelector('#rules-versions tbody button').click()")
    page.wait_for("document.querySelector('#rules-diff .added')")
    changed = page.run(
        "[...document.querySelectorAll('#rules-diff .added, #rules-diff .gone')].map((n) => n.textContent)"
    )
    assert any(line.startswith("-") and "dwell_candles: 3" in line for line in changed)
    assert any(line.startswith("+") and "dwell_candles: 4" in line for line in changed)
    assert HOSTILE in page.run("document.getElementById('rules-news').textContent")
    assert page.run("document.querySelectorAll('main img, main script').length") == 0
    page.wait_for("!document.getElementById('rules-edit').hidden")
    page.run("document.getElementById('rules-edit').click()")
    page.wait_for("!document.getElementById('editor').hidden")
    assert page.run("document.getElementById('editor-text').value") == OTHER
    page.run(
        "(() => { const text = document.getElementById('editor-text');"
        " text.value = text.value.replace('dwell_candles: 4', 'dwell_candles: x'); })()"
    )
    page.run("document.getElementById('editor-load').click()")
    page.wait_for("document.querySelector('#editor-problems li')")
    assert Inbox(edited.store).take(TO_MS) == [], "what cannot be used is not sent"
    page.run(
        "(() => { const text = document.getElementById('editor-text');"
        " text.value = text.value.replace('dwell_candles: x', 'dwell_candles: 5'); })()"
    )
    page.run("document.getElementById('editor-load').click()")
    page.wait_for("document.getElementById('editor-said').textContent.includes('handed to the bot')")
    checks = "performance.getEntriesByType('resource').filter((each) => each.name.endsWith('/api/rules/check')).length"
    before = page.run(checks)
    page.run("(() => { const text = document.getElementById('editor-text'); text.value = text.value; })()")
    page.wait_for(f"{checks} > {before}")
    page.run("new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); })")
    assert "handed to the bot" in page.run("document.getElementById('editor-said').textContent"), (
        "a check that was begun by typing does not hide what became of it"
    )
    inbox = Inbox(edited.store)
    (command,) = inbox.take(TO_MS)
    assert "dwell_candles: 5" in text_in(command.kind.split(" ")[3])
    inbox.finish(command.id, "refused", guard="CHANGED", detail="the rules have changed <b>", at_ms=TO_MS)
    page.wait_for("document.getElementById('editor-said').textContent.includes('CHANGED: the rules have changed <b>')")
    page.assert_quiet(address)


@needs_chromium
def test_where_editing_is_off_the_page_says_how_to_edit(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/rules")
    page.wait_for("document.getElementById('rules-edit-note').textContent.includes('edit_in_browser')")
    assert page.run("document.getElementById('rules-edit').hidden")
    shown = page.run(
        "[...document.querySelectorAll('#rules-text .code-line')].map((node) => node.textContent).join('')"
    )
    assert shown.rstrip("\n") == queries.rule_versions(show.store)[0].text.rstrip("\n")
