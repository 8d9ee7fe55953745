"""Every page with an address of its own, in a real browser: no complaint, no barrier, figures equal to the database's.

With SCREENSHOTS=docs/screenshots the pictures of the documentation are made anew.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest

from store import queries
from store.queries.execution_figures import execution_report
from tests.effort import FULL, sampled
from tests.integration.web.chromium import ROOT, TOKEN, Page, needs_chromium
from tests.integration.web.conftest import copied
from tests.integration.web.show import HELD, TO_MS, Show
from tests.integration.web.test_web_accessibility import COLOURS, LEVELS, barriers
from tests.pace import stretch
from web.app import create_app
from web.server import WebServer

pytestmark = needs_chromium

READY = {
    "/": "document.querySelector('#why tbody tr') && document.querySelector('#equity-chart canvas')"
    " && document.querySelector('#positions .picture .way') && document.querySelector('#trades tbody tr')",
    f"/symbols/{HELD}": "document.querySelector('#why-detail .tree') && document.querySelector('#panes canvas')"
    " && document.querySelector('#candle-chart canvas') && document.querySelector('#trades tbody tr')",
    "/trades/ETHUSDT-1": "document.querySelector('#trade-steps tbody tr')"
    " && document.querySelector('#candle-chart canvas') && document.querySelector('#entry-reasons .tree')",
    "/statistics": "document.querySelector('#by-hour tbody tr') && document.querySelector('#drift').textContent",
    "/rules": "document.querySelector('#rules-versions tbody tr')",
    "/runs": "document.querySelector('#runs dd')",
    "/settings": "document.querySelector('#settings tbody tr')",
    "/audit": "document.querySelector('#transitions tbody tr')",
    "/log": "document.querySelector('#log tbody tr') && document.querySelector('#alerts tbody tr')",
}
"""What each page shows last."""


def come_in(page: Page, url: str, path: str) -> None:
    page.open(url + path)
    page.wait_for("!document.getElementById('login').hidden || !document.getElementById('main').hidden")
    page.run(
        "(() => { if (document.getElementById('login').hidden) return;"
        f" document.getElementById('token').value = '{TOKEN}';"
        " document.getElementById('login-form').requestSubmit(); })()"
    )
    page.wait_for("document.getElementById('environment').textContent === 'SIM'")


def follow(page: Page, leave: str, arrived: str) -> None:
    """Does what leads to another page, and waits there: whoever asks while a page goes is asked to ask again."""
    page.run(leave)
    for _ in range(20):
        try:
            page.wait_for(arrived)
        except AssertionError as error:
            if "navigated" not in str(error):
                raise
        else:
            return
    raise AssertionError(f"{leave} leads from page to page without end")


def figure(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("+", ""))


WIDTHS = (2_560, 1_400, 768, 375)


@pytest.mark.parametrize(
    ("path", "width"),
    [(f"/symbols/{HELD}", 1_400), ("/trades/ETHUSDT-1", 1_400), ("/trades/ETHUSDT-1", 375), ("/statistics", 1_400)],
)
def test_pictures_of_the_documentation(page: Page, url: str, show: Show, path: str, width: int) -> None:
    show.pulse()
    come_in(page, url, path)
    page.open(url + path, width=width)
    page.wait_for(READY[path])
    page.picture(f"page-{path.split('/')[1]}-{width}")
    page.assert_quiet(url)


@pytest.mark.parametrize("path", sampled(READY, often=4))
def test_a_page_shows_all_it_has_at_every_size_without_a_complaint_or_a_barrier(
    page: Page, url: str, path: str
) -> None:
    come_in(page, url, path)
    page.wait_for(READY[path])
    for dark in (True, False):
        page.run(f"if ((document.documentElement.dataset.theme === 'dark') !== {str(dark).lower()}) theme.click()")
        for width in WIDTHS:
            page.resize(width)
            # It must not scroll sideways; a chart takes its new size a moment later.
            page.wait_for(f"document.documentElement.scrollWidth <= {width}")
            if FULL or width == WIDTHS[-1]:
                assert barriers(page, rules=LEVELS if dark else COLOURS) == [], (width, dark)
    assert page.run("[...document.querySelectorAll('main > section')].some((part) => !part.hidden)")
    page.assert_quiet(url)


REACHABLE = (
    "[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex], [onclick]')]"
    ".concat([...document.querySelectorAll('*')].filter((node) => getComputedStyle(node).cursor === 'pointer'"
    " && getComputedStyle(node.parentElement ?? node).cursor !== 'pointer'))"
    ".filter((node, index, all) => all.indexOf(node) === index && node.checkVisibility({visibilityProperty: true})"
    " && !node.disabled && node.getAttribute('tabindex') !== '-1' && !(node.type === 'radio' && !node.checked))"
)
"""What can be used with a pointer: of what reacts to one, the outermost."""


@pytest.mark.parametrize("path", sampled(READY, often=3))
@pytest.mark.parametrize("width", sampled(WIDTHS, often=2))
def test_the_keyboard_reaches_everything(page: Page, url: str, path: str, width: int) -> None:
    come_in(page, url, path)
    page.resize(width)
    page.wait_for(READY[path])
    assert missed_by_keyboard(page) == []


def test_what_the_keyboard_misses_is_found(page: Page, url: str) -> None:
    come_in(page, url, "/settings")
    page.wait_for(READY["/settings"])
    page.run("document.querySelector('main').append(Object.assign(document.createElement('div'),"
             " {textContent: 'tap', style: 'cursor: pointer'}))")  # fmt: skip
    (missed,) = missed_by_keyboard(page)
    assert "tap" in missed


def missed_by_keyboard(page: Page) -> list[str]:
    """What can be used with a pointer and gets no focus however often Tab is pressed."""
    page.run(f"window.wanted = {REACHABLE}; document.activeElement.blur(); window.reached = new Set()")
    page.run("document.addEventListener('focusin', (event) => window.reached.add(event.target))")
    wanted = page.run("wanted.length")
    for _ in range(wanted + 10):
        page.press("Tab", 9)
    assert wanted > 10
    missed: list[str] = page.run(
        "wanted.filter((node) => node.isConnected && !reached.has(node)).map((node) => node.outerHTML.slice(0, 160))"
    )
    return missed


def test_a_trades_figures_are_those_of_the_database(page: Page, url: str, show: Show) -> None:
    row = queries.trade(show.store, "ETHUSDT-1")
    assert row is not None
    assert row.net_pnl is not None
    come_in(page, url, "/trades/ETHUSDT-1")
    page.wait_for(READY["/trades/ETHUSDT-1"])
    plan = page.run(
        "Object.fromEntries([...document.querySelectorAll('#plan tbody tr')].map((tr) =>"
        " [tr.children[0].textContent, [tr.children[1].textContent, tr.children[2].textContent]]))"
    )
    assert list(map(figure, plan["Entry"])) == [row.entry_price_planned, row.entry_price]
    assert figure(plan["First stop, and the last"][0]) == row.stop_price_initial
    assert figure(plan["Quantity"][1]) == row.closed_quantity
    cent = Decimal("0.01")
    assert figure(plan["Risk, and the result"][0]) == row.risk_usdt.quantize(cent)
    assert figure(plan["Risk, and the result"][1]) == row.net_pnl.quantize(cent)
    costs = page.run(
        "Object.fromEntries([...document.querySelectorAll('#costs tbody tr')].map((tr) =>"
        " [tr.children[0].textContent, tr.children[1].textContent]))"
    )
    assert figure(costs["Fees"]) == -row.fees.quantize(cent)
    assert figure(costs["Before fees"]) == row.pnl.quantize(cent)
    fills = queries.fills(show.store, trade_id=row.id)[::-1]
    shown = page.run("[...document.querySelectorAll('#trade-fills td[data-title=Price]')].map((td) => td.textContent)")
    assert list(map(figure, shown)) == [fill.price for fill in fills]
    steps = queries.transitions(show.store, queries.TransitionFilter(trade_id=row.id), limit=1_000).rows[::-1]
    hashes = page.run("[...document.querySelectorAll('#trade-steps td[data-title=Hash]')].map((td) => td.textContent)")
    assert hashes == [step.hash for step in steps]


def test_the_statistics_are_those_of_the_database(page: Page, url: str, show: Show) -> None:
    closed = queries.trades(show.store, status="CLOSED", limit=1_000)
    come_in(page, url, "/statistics")
    page.wait_for(READY["/statistics"])
    for name in ("strategy", "regime", "symbol", "side", "exit_reason", "month", "weekday", "hour"):
        shown = page.run(
            f"[...document.querySelectorAll('#by-{name} tbody tr')].map((tr) =>"
            " [...tr.children].map((td) => td.textContent))"
        )
        assert sum(int(row[1]) for row in shown) == len(closed), name
        if name == "symbol":
            for symbol, trades, _, net, *_ in shown:
                mine = [row for row in closed if row.symbol == symbol]
                assert int(trades) == len(mine)
                exact = sum((row.net_pnl or Decimal(0) for row in mine), Decimal(0))
                assert abs(figure(net) - exact) <= Decimal("0.005")


def test_the_calendar_and_the_rs_are_those_of_the_database(page: Page, url: str, show: Show) -> None:
    closed = queries.trades(show.store, status="CLOSED", limit=1_000)
    come_in(page, url, "/statistics")
    page.wait_for("document.querySelector('#r-distribution .bars') && document.querySelector('#calendar .month')")
    days: dict[str, Decimal] = {}
    for row in closed:
        day = datetime.fromtimestamp((row.closed_ms or 0) / 1000, tz=UTC).strftime("%Y-%m-%d")
        days[day] = days.get(day, Decimal(0)) + (row.net_pnl or Decimal(0))
    shown = page.run(
        "Object.fromEntries([...document.querySelectorAll('#calendar .day[title]')].map((node) =>"
        " [node.title.slice(0, 10), node.querySelector('em').textContent]))"
    )
    assert shown.keys() == days.keys()
    assert all(abs(figure(shown[day]) - net) <= Decimal("0.005") for day, net in days.items())
    counts = page.run("[...document.querySelectorAll('#r-distribution .num')].map((node) => Number(node.textContent))")
    assert sum(counts) == len(closed)
    lost = page.run(
        "[...document.querySelectorAll('#r-distribution .part.lost')].map((node) =>"
        " Number(node.nextElementSibling.textContent)).reduce((a, b) => a + b, 0)"
    )
    assert lost == sum((row.r or Decimal(0)) < 0 for row in closed)


def test_what_the_daily_look_found_is_shown(page: Page, url: str, show: Show) -> None:
    row = queries.trade(show.store, "ETHUSDT-1")
    assert row is not None
    difference = {"symbol": row.symbol, "signal_candle_ms": row.signal_candle_ms, "kind": "DIFFERS"}
    cause = {"source": "LATE_ENTRY", "told": "the entry came 4 s <b>late</b>"}
    span = {"from_ms": row.signal_candle_ms, "to_ms": row.signal_candle_ms + 1}
    verdict = {"strategy": "trend_pullback", "standing": "DRIFTED", "words": "less than promised", "live_trades": 41}
    body = {"at_ms": TO_MS, "drift": [verdict], "compared": {**span, "differences": [{**difference, **cause}]}}
    show.document("live_verdicts", body)
    come_in(page, url, "/trades/ETHUSDT-1")
    page.wait_for("document.getElementById('trade-verdict').textContent.includes('<b>late</b> (late entry)')")
    come_in(page, url, "/statistics")
    page.wait_for("document.getElementById('drift').textContent.includes('DRIFTED')")
    assert "1 trades since" not in page.run("document.getElementById('drift').textContent")
    page.assert_quiet(url)


def test_a_trades_course_ends_with_its_result_and_its_entry_is_explained(page: Page, url: str, show: Show) -> None:
    row = queries.trade(show.store, "ETHUSDT-1")
    assert row is not None
    come_in(page, url, "/trades/ETHUSDT-1")
    page.wait_for("document.querySelector('#entry-reasons .tree') && document.querySelector('#course-chart canvas')")
    course = page.run("fetch('/api/trades/ETHUSDT-1').then((answer) => answer.json())")
    assert course["course"][0]["at_ms"] == row.first_fill_ms
    assert course["course"][-1]["at_ms"] == row.closed_ms
    assert abs(course["course"][-1]["r"] - float(row.pnl / row.risk_usdt)) < 0.0001
    assert course["worst_r"] <= min(point["r"] for point in course["course"])
    held = page.run("document.querySelector('#entry-reasons .tree .sign').getAttribute('aria-label')")
    assert held == "holds", "an entry is made where the setup holds"
    page.assert_quiet(url)


def test_the_executions_are_those_of_the_journal(page: Page, url: str, show: Show) -> None:
    report, rows = execution_report(show.store)
    come_in(page, url, "/statistics")
    page.wait_for("document.querySelector('#execution-symbol tbody tr')")
    shown = page.run(
        "[...document.querySelectorAll('#execution-symbol tbody tr')].map((tr) =>"
        " [...tr.children].map((td) => td.textContent))"
    )
    assert [row[0] for row in shown] == [group.key for group in report.symbol]
    assert sum(int(row[1]) for row in shown) == len(rows)
    assert report.total.entry is not None
    shown = page.run(
        "[...document.querySelectorAll('#execution-orders tbody tr')].map((tr) =>"
        " [...tr.children].map((td) => td.textContent))"
    )
    assert float(shown[0][5]) == round(report.total.entry.bp.mean, 1)


def test_lists_lead_to_pages_and_back_leads_back(page: Page, url: str) -> None:
    come_in(page, url, "/")
    page.wait_for("document.querySelector('#why tbody a') && document.querySelector('#trades tbody a')")
    follow(
        page,
        f"document.querySelector('#why tbody a[href=\"/symbols/{HELD}\"]').click()",
        "document.body?.dataset.page === 'symbol' && document.querySelector('#trades tbody a')",
    )
    assert page.run("document.getElementById('page-title').textContent") == HELD
    others = f"[...document.querySelectorAll('#trades tbody a')].filter((a) => !a.textContent.startsWith('{HELD}'))"
    assert page.run(f"{others}.length") == 0
    trade = "document.body?.dataset.page === 'trade' && document.querySelector('#plan tbody tr')"
    follow(page, "document.querySelector('#trades tbody a').click()", trade)
    follow(
        page, "history.back()", "document.body?.dataset.page === 'symbol' && document.querySelector('#trades tbody a')"
    )
    audit = "document.body?.dataset.page === 'audit' && document.querySelector('#transitions tbody tr')"
    follow(page, "document.querySelector('#pages a[href=\"/audit\"]').click()", audit)
    assert page.run("document.querySelector('#pages [aria-current]').textContent") == "Audit"
    page.assert_quiet(url)


def test_pages_that_were_left_hold_no_stream_and_back_opens_it_again(page: Page, show: Show) -> None:
    """A browser keeps them for Back, and opens six connections to a host: the seventh page would get no answer."""
    live = "document.getElementById('link').dataset.state === 'live'"
    app = create_app(show.store.path, token=TOKEN)
    with WebServer.on(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        for path in READY:
            come_in(page, server.url, path)
            page.wait_for(READY[path])
            page.wait_for(live)
        told = page.run("fetch('/metrics').then((answer) => answer.text())")
        assert float(re.findall(r"(?m)^fsm_http_listeners (.*)$", told)[0]) <= 2, "its own, and the one before"
        follow(page, "history.back()", f"document.body?.dataset.page === 'audit' && {live}")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/symbols/" + quote("<img src=x onerror=alert(1)>", safe=""), "does not know a symbol <img src=x"),
        ("/symbols/NOPEUSDT", "does not know a symbol NOPEUSDT"),
        ("/trades/" + quote("<script>alert(1)</script>", safe=""), "There is no trade <script>alert(1)"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(page: Page, url: str, path: str, said: str) -> None:
    come_in(page, url, path)
    page.wait_for("document.querySelector('#page-words .warning')")
    assert said in page.run("document.getElementById('page-words').textContent")
    assert page.run("document.querySelectorAll('main img, main script').length") == 0
    assert page.run("[...document.querySelectorAll('main > section')].filter((part) => !part.hidden).length") == 1


def test_the_audit_is_filtered_by_everything_it_offers(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/audit?trade=ETHUSDT-1")
    page.wait_for(READY["/audit"])
    steps = queries.transitions(show.store, queries.TransitionFilter(trade_id="ETHUSDT-1"), limit=1_000).rows
    rows = "document.querySelectorAll('#transitions tbody tr').length"
    page.wait_for(f"{rows} === {len(steps)}")
    page.run(
        "(() => { const field = document.getElementById('filter-trigger'); field.value = 'protect';"
        " field.dispatchEvent(new Event('change')); })()"
    )
    page.wait_for(f"{rows} === {sum(step.trigger == 'protect' for step in steps)}")


def test_a_window_that_has_gone_is_called_so_within_five_seconds(page: Page, journal: Path, tmp_path: Path) -> None:
    database = copied(journal, tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "DASHBOARD_TOKEN"}
    command = [sys.executable, "-m", "web", "--db", str(database), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as window:
        assert window.stdout is not None
        url = "http://" + next(line for line in window.stdout if "http://" in line).split("http://")[1].split()[0]
        page.open(url.rstrip("/") + "/statistics")
        page.wait_for("document.getElementById('environment').textContent === 'BACKTEST'")
        window.send_signal(signal.SIGKILL)
        window.wait()
        page.wait_for("document.getElementById('mode').textContent.startsWith('NO ANSWER')", within_s=5 * stretch())
    assert page.run("document.body.dataset.stale") == "true"


def test_a_bot_that_has_ended_is_called_so_within_five_seconds(page: Page, journal: Path, tmp_path: Path) -> None:
    """Beside a window that stays: the bot is killed, the lock is free, the database says nothing new."""
    database = copied(journal, tmp_path)
    held = "with ProcessLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", f"import sys\nfrom store.lock import ProcessLock\n{held}", str(database)]
    with (
        WebServer.on(create_app(database, token=None), host="127.0.0.1", port=0, token=None) as server,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bot,
    ):
        assert bot.stdout is not None
        assert bot.stdout.readline() == "held\n"
        page.open(server.url + "/statistics")
        mode = "document.getElementById('mode').textContent"
        page.wait_for(f"{mode} === 'running' || {mode}.startsWith('NOT ANSWERING')")
        bot.kill()
        bot.wait()
        page.wait_for(f"{mode} === 'no bot is running'", within_s=5 * stretch())
