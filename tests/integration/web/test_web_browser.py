"""The dashboard in a real browser: it draws, lives, acts, and talks to nobody but its own host.

Needs Debian's chromium; without it the tests are skipped. With SCREENSHOTS=docs/screenshots the pictures of the
documentation are made anew:

    SCREENSHOTS=docs/screenshots python -m pytest tests/integration/web/test_web_browser.py -n0
"""

from __future__ import annotations

import pytest

from store import queries
from store.inbox import Inbox
from tests.effort import sampled
from tests.integration.web.chromium import Page, needs_chromium
from tests.integration.web.show import HELD, TO_MS, Show
from tests.integration.web.test_web_pages import come_in

pytestmark = needs_chromium


def test_the_page_draws_everything_without_a_complaint_or_a_foreign_request(page: Page, url: str, show: Show) -> None:
    show.pulse()
    page.open(url)
    page.log_in()
    assert page.run("document.getElementById('environment').textContent") == "SIM"
    assert page.run("document.querySelectorAll('#budgets li').length") == 4
    assert "stop verified" in page.run("document.getElementById('positions').innerText")
    assert page.run("document.querySelectorAll('#machine .state').length") == 7
    assert page.run("document.querySelectorAll('#why tbody tr').length") == 5
    assert page.run("document.querySelector('#why tbody a').textContent") == HELD, "what is open stands first"
    page.wait_for("document.querySelector('#positions .picture .way')")
    assert page.run("document.querySelectorAll('#positions .picture .level').length") >= 3
    page.wait_for("document.getElementById('news-words').textContent")
    assert page.run("[...document.querySelectorAll('#equity-chart canvas')].some((c) => c.width > 300)")
    assert "Limits (dashed) act at: day" in page.run("document.getElementById('equity-words').textContent")
    assert "no real money" in page.run("document.getElementById('banner').innerText")
    assert "Ready, not tripped" in page.run("document.getElementById('kill-switch').textContent")
    assert page.run("document.querySelectorAll('#budgets progress').length") == 4
    assert page.run("document.querySelectorAll('#positions .ladder .stop, #positions .ladder .target').length") >= 2
    assert page.run("document.querySelectorAll('#machine-words .steps i').length") > 10
    page.picture("desktop")
    for section in ("equity", "machine", "why"):
        page.run(f"document.getElementById('{section}-title').scrollIntoView()")
        page.picture(f"desktop-{section}")
    page.assert_quiet(url)


@pytest.mark.parametrize(("name", "width", "dark"), [("phone", 375, False), ("dark", 1_360, True)])
def test_it_works_on_a_phone_and_in_the_dark(
    page: Page, url: str, show: Show, name: str, width: int, dark: bool
) -> None:
    show.pulse()
    page.open(url, width=width, height=812 if width < 500 else 900, dark=dark)
    page.log_in()
    assert page.run("document.documentElement.scrollWidth") <= width, "the page must not scroll sideways"
    assert page.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    page.picture(name)
    page.assert_quiet(url)


def test_a_step_of_the_machine_appears_without_reloading(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/audit")
    page.wait_for("document.querySelector('#transitions tbody tr') && document.querySelector('#machine svg')")
    page.wait_for("document.getElementById('link').dataset.state === 'live'")
    before = page.run("document.querySelectorAll('#transitions tbody tr').length")
    newest = queries.newest_ids(show.store).transition
    show.repeat("DOGEUSDT", "SIGNALLED", TO_MS + 1_000)
    page.wait_for(f"document.querySelector('#transitions tbody tr').innerText.includes('{newest + 1}')")
    assert page.run("document.querySelectorAll('#transitions tbody tr').length") == before + 1
    page.wait_for("document.querySelector('#machine-words').innerText.includes('DOGEUSDT SIGNALLED')")
    page.assert_quiet(url)


def test_what_happened_since_the_last_look_is_told(page: Page, url: str, show: Show) -> None:
    (newest, *_) = queries.trades(show.store, status="CLOSED", limit=1)
    page.open(url)
    page.log_in()
    page.wait_for("document.getElementById('news-words').textContent.includes('for the first time')")
    database = page.run("fetch('/api/summary').then((answer) => answer.json()).then((found) => found.database_id)")
    looked = f"{{at_ms: {(newest.closed_ms or 0) - 1}, equity: '9000.00'}}"
    page.run("window.addEventListener('pagehide', (event) => event.stopImmediatePropagation(), true)")
    page.open(url + "/statistics")
    page.wait_for("document.body?.dataset.page === 'statistics'")
    page.run(f"localStorage.setItem('looked {database}', JSON.stringify({looked}))")
    page.open(url)
    page.wait_for("document.querySelector('#news-words li')")
    said = page.run("document.getElementById('news-words').textContent")
    assert "closed for" in said
    assert newest.id in said
    page.run("document.querySelector('#news-words button').click()")
    page.wait_for("document.getElementById('news-words').textContent.includes('0 closed')")
    page.assert_quiet(url)


def test_flatten_is_typed_confirmed_and_its_end_is_shown(page: Page, url: str, show: Show) -> None:
    page.open(url)
    page.log_in()
    page.wait_for("document.getElementById('control-symbol').options.length > 1")
    page.run(f"document.getElementById('control-symbol').value = '{HELD}'")
    page.run("document.querySelector('[data-command=flatten]').click()")
    assert page.run("document.getElementById('confirm').open && document.getElementById('confirm-go').disabled")
    assert page.run("document.activeElement.id === 'confirm-text'")
    typed = "document.getElementById('confirm-text').value = '{}';" + (
        "document.getElementById('confirm-text').dispatchEvent(new Event('input'))"
    )
    page.run(typed.format("flatten"))
    assert page.run("document.getElementById('confirm-go').disabled")
    page.run(typed.format(f"flatten {HELD}"))
    page.picture("confirm")
    page.run("document.getElementById('confirm-go').click()")
    page.wait_for("!document.getElementById('confirm').open")
    inbox = Inbox(show.store)
    (command,) = inbox.take(TO_MS)
    assert (command.kind, command.symbol, command.source) == ("flatten", HELD, "web")
    show.repeat(HELD, "EXITING", TO_MS + 2_000)
    inbox.finish(command.id, "done", detail="flat on the exchange", at_ms=TO_MS + 2_000)
    page.wait_for("document.getElementById('controls-note').textContent.includes('done. flat on the exchange')")
    page.assert_quiet(url)


@pytest.mark.parametrize(
    ("kind", "fields", "typed", "posted"),
    sampled(
        [
            ("reduce", {"amount": "25%"}, f"reduce {HELD} 25%", "reduce 25%"),
            ("move-stop", {"price": "0.31"}, f"move-stop {HELD} 0.31", "move-stop 0.31"),
            (
                "move-stop",
                {"price": "0.3", "looser": True, "reason": "a wick"},
                f"move-stop {HELD} 0.3 looser",
                "move-stop 0.3 looser: a wick",
            ),
            ("move-target", {"price": "0.5", "target": "2"}, f"move-target {HELD} 0.5 2", "move-target 0.5 2"),
            ("release", {}, f"release {HELD}", "release"),
            ("release", {"cancel_stop": True}, f"release {HELD} cancel-stop", "release cancel-stop"),
        ],
        often=3,
    ),
)
def test_an_open_position_is_changed_from_the_page(
    page: Page, url: str, show: Show, kind: str, fields: dict[str, str | bool], typed: str, posted: str
) -> None:
    """What is typed to confirm says everything but the reason, which is sent along."""
    show.repeat(HELD, "PROTECTED", TO_MS + 3_000)  # whatever another test made of it
    page.open(url)
    page.log_in()
    page.wait_for("document.getElementById('control-symbol').options.length > 1")
    page.run(f"document.querySelector('[data-command={kind}]').click()")
    assert not page.run("document.getElementById('confirm').open"), "it is about one symbol"
    assert "Choose first" in page.run("document.getElementById('controls-note').textContent")
    page.run(f"document.getElementById('control-symbol').value = '{HELD}'")
    page.run(f"document.querySelector('[data-command={kind}]').click()")
    for name, value in fields.items():
        given = f"checked = {str(value).lower()}" if isinstance(value, bool) else f"value = '{value}'"
        page.run(f"document.getElementById('wish-{name}').{given}")
        page.run(f"document.getElementById('wish-{name}').dispatchEvent(new Event('input'))")
    assert page.run("document.getElementById('confirm-wanted').textContent") == typed
    assert page.run("document.getElementById('confirm-go').disabled")
    page.run(f"document.getElementById('confirm-text').value = '{typed}'")
    page.run("document.getElementById('confirm-text').dispatchEvent(new Event('input'))")
    page.run("document.getElementById('confirm-go').click()")
    page.wait_for("!document.getElementById('confirm').open")
    inbox = Inbox(show.store)
    (command,) = inbox.take(TO_MS)
    assert (command.kind, command.symbol, command.source) == (posted, HELD, "web")
    inbox.finish(command.id, "refused", guard="LOOSER", detail="the stop stays", at_ms=TO_MS + 2_000)
    page.wait_for("document.getElementById('controls-note').textContent.includes('by LOOSER. the stop stays')")
    page.assert_quiet(url)


def test_what_is_about_the_account_names_no_symbol(page: Page, url: str, show: Show) -> None:
    page.open(url)
    page.log_in()
    page.wait_for("document.getElementById('control-symbol').options.length > 1")
    page.run(f"document.getElementById('control-symbol').value = '{HELD}'")
    assert page.run("document.getElementById('full-size').hidden"), "there are no small steps"
    page.run("document.querySelector('[data-command=ack]').click()")
    assert page.run("document.getElementById('confirm-wanted').textContent") == "ack"
    page.run("document.getElementById('confirm-text').value = 'ack'")
    page.run("document.getElementById('confirm-text').dispatchEvent(new Event('input'))")
    page.run("document.getElementById('confirm-go').click()")
    page.wait_for("!document.getElementById('confirm').open")
    inbox = Inbox(show.store)
    (command,) = inbox.take(TO_MS)
    assert (command.kind, command.symbol) == ("ack", None)
    inbox.finish(command.id, "done", detail="1 message is acknowledged", at_ms=TO_MS + 2_000)
    page.wait_for("document.getElementById('controls-note').textContent === 'ack: done. 1 message is acknowledged'")
    page.assert_quiet(url)


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
