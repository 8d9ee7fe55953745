"""Figures of the pages that are lists of what is stored: each equals the database's, to the digits that are shown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from store import queries
from tests.integration.web.chromium import Page, needs_chromium
from tests.integration.web.show import HELD, Show
from tests.integration.web.test_web_pages import READY, come_in, figure

pytestmark = needs_chromium

CENT = Decimal("0.01")
TRADES_SHOWN = 15


def cells(page: Page, table: str) -> list[dict[str, str]]:
    """Each row by the titles of its columns."""
    found: list[dict[str, str]] = page.run(
        f"[...document.querySelectorAll('#{table} tbody tr')].map((tr) => Object.fromEntries("
        "[...tr.children].map((td) => [td.dataset.title, td.textContent])))"
    )
    return found


def listed(page: Page, part: str) -> dict[str, str]:
    """What stands in a list of names and values."""
    found: dict[str, str] = page.run(
        f"Object.fromEntries([...document.querySelectorAll('{part} dt')].map((dt) =>"
        " [dt.textContent, dt.nextElementSibling.textContent]))"
    )
    return found


def near(shown: str, exact: Decimal | None) -> bool:
    """As it is to two decimals; a price, to the eight digits that are shown."""
    if exact is None:
        return shown == "–"
    return abs(figure(shown) - exact) <= max(CENT / 2, abs(exact) * Decimal("1e-7"))


@pytest.mark.parametrize("symbol", [None, HELD], ids=["overview", "symbol"])
def test_trades_are_those_of_the_database(page: Page, url: str, show: Show, symbol: str | None) -> None:
    path = "/" if symbol is None else f"/symbols/{symbol}"
    come_in(page, url, path)
    page.wait_for(READY[path])
    rows = queries.trades(show.store, symbol=symbol, limit=TRADES_SHOWN)
    shown = cells(page, "trades")
    assert [row["Trade"] for row in shown] == [row.id for row in rows]
    for told, row in zip(shown, rows, strict=True):
        assert told["Side"] == row.side
        exactly = {"Entry": row.entry_price, "Exit": row.exit_price, "Net": row.net_pnl, "R": row.r, "Fees": row.fees}
        for title, exact in exactly.items():
            assert near(told[title], exact), (row.id, title, told[title], exact)
    total = queries.trades_count(show.store, symbol=symbol)
    assert page.run("document.getElementById('trades-place').textContent").endswith(f" of {total}")


@pytest.mark.parametrize("path", ["/", f"/symbols/{HELD}"])
def test_the_open_position_and_its_orders_are_those_of_the_database(
    page: Page, url: str, show: Show, path: str
) -> None:
    (held,) = queries.positions(show.store)
    come_in(page, url, path)
    page.wait_for(READY[path])
    page.wait_for("document.getElementById('orders').children.length")
    card = listed(page, "#positions .card")
    exact = {"Size": held.size, "Entry": held.entry, "Mark": held.mark, "Stop": held.stop_price}
    assert all(near(card[name], value) for name, value in exact.items()), (card, exact)
    assert near(card["Unrealised"], held.upnl)
    orders = queries.open_orders(show.store)
    shown = cells(page, "orders")
    assert [row["Client id"] for row in shown] == [row.client_order_id for row in orders]
    assert all(near(told["Price"], row.trigger_price) for told, row in zip(shown, orders, strict=True))


def test_the_account_is_that_of_the_database(page: Page, url: str, show: Show) -> None:
    answer = page_of(page, url, "/")
    figures = listed(page, "#figures")
    assert figure(figures["Equity, USDT"]) == Decimal(answer["equity"]).quantize(CENT)
    closed = queries.trades(show.store, status="CLOSED", limit=1_000)
    assert answer["trades"] == len(closed)
    assert Decimal(answer["net_pnl"]) == sum((row.net_pnl or Decimal(0) for row in closed), Decimal(0))
    budgets = page.run("[...document.querySelectorAll('#budgets strong')].map((node) => node.textContent)")
    assert [figure(text.split()[0]) for text in budgets] == [
        Decimal(budget["remaining"]).quantize(CENT) for budget in answer["budgets"]
    ]


def page_of(page: Page, url: str, path: str) -> dict[str, object]:
    come_in(page, url, path)
    page.wait_for(READY[path])
    found: dict[str, object] = page.run("fetch('/api/summary').then((answer) => answer.json())")
    return found


def test_the_run_is_that_of_the_database(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/runs")
    page.wait_for(READY["/runs"])
    closed = queries.trades(show.store, status="CLOSED", limit=1_000)
    told = listed(page, "#runs")
    won = sum((row.net_pnl or 0) > 0 for row in closed)
    assert told["Trades (won)"] == f"{len(closed)} ({won})"
    net = sum((row.net_pnl or Decimal(0) for row in closed), Decimal(0))
    assert near(told["Net result"].removesuffix(" USDT"), net)
    fall = queries.worst_fall(show.store, since_ms=0) * 100
    assert abs(float(told["Deepest drawdown"].removesuffix(" %")) - fall) <= 0.005


def test_the_steps_are_those_of_the_journal(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/audit")
    page.wait_for(READY["/audit"])
    shown = cells(page, "transitions")
    steps = queries.transitions(show.store, limit=len(shown)).rows
    assert [row["Row"] for row in shown] == [str(step.id) for step in steps]
    assert [row["Step"] for row in shown] == [f"{step.source} → {step.dest}" for step in steps]


def test_alerts_are_those_of_the_database(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/log")
    page.wait_for(READY["/log"])
    shown = cells(page, "alerts")
    stored = queries.alerts(show.store, limit=len(shown))
    assert [row["Severity"] for row in shown] == [row.severity for row in stored]
    assert all(told["Alert"].startswith(row.text) for told, row in zip(shown, stored, strict=True))


def test_the_settings_are_those_in_force(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/settings")
    page.wait_for(READY["/settings"])
    shown = page.run(
        "Object.fromEntries([...document.querySelectorAll('#settings .scroll')].flatMap((part) =>"
        " [...part.querySelectorAll('tbody tr')].map((tr) =>"
        " [`${part.getAttribute('aria-label')}.${tr.children[0].textContent}`, tr.children[1].textContent])))"
    )
    config = page.run("fetch('/api/rules').then((answer) => answer.json())")["config"]["config"]
    assert shown["risk.risk_per_trade_pct"] == str(config["risk"]["risk_per_trade_pct"])
    assert shown["limits.daily_loss_pct"] == str(config["limits"]["daily_loss_pct"])
    assert shown["account.leverage"] == str(config["account"]["leverage"])
    assert len(shown) > 60


def test_the_rules_are_the_text_in_force_with_its_hash(page: Page, url: str, show: Show) -> None:
    come_in(page, url, "/rules")
    page.wait_for(READY["/rules"])
    stored = queries.rule_versions(show.store)
    shown = page.run("[...document.querySelectorAll('#rules-versions code')].map((node) => node.textContent)")
    assert shown == [row.rules_hash for row in stored]
    assert stored[0].rules_hash in page.run("document.getElementById('rules-words').textContent")
