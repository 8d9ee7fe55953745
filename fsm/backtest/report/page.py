"""Writes the report of a finished run: one page that asks nobody for anything, and may not."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from fsm.backtest.report.background import assumptions, correlation, costs, coverage, exposure
from fsm.backtest.report.candle_charts import candle_charts
from fsm.backtest.report.excursions import Excursion, excursion
from fsm.backtest.report.html import Part, panel, tag, together
from fsm.backtest.report.packing import Packing
from fsm.backtest.report.page_facts import chart_facts, page_facts
from fsm.backtest.report.run_rows import RunRows, read_run
from fsm.backtest.report.sections import figures, groups, periods, spreads
from fsm.backtest.report.written import when
from fsm.backtest.result import ready_words
from store.database import open_store
from web.page import STATIC as DASHBOARD

STATIC = Path(__file__).parent / "static"
LIBRARY = DASHBOARD / "vendor" / "lightweight-charts.js"
"""The one that the dashboard draws with; its licence lies beside it and is named in the page."""

SIZE_MAX = 2_950_000
SHARE_OF_CANDLES = 0.96
"""Of the room that is left; the rest is for saying where each chart lies."""

SCRIPTS = ("unpack.js", "paint.js", "equity.js", "calendar.js", "candles.js", "trades.js", "start.js")
PLACES = (
    ("figures", "Figures"), ("equity", "Equity"), ("periods", "Months"), ("candles", "Candles"), ("trades", "Trades"),
    ("by-strategy", "Groups"), ("r", "Spread"), ("costs", "Costs"), ("correlation", "Correlation"),
    ("assumptions", "Assumptions"), ("coverage", "Data"),
)  # fmt: skip


def write_report(database: Path, path: Path, *, name: str = "") -> None:
    """Write the page of the run that a database keeps; an existing file is replaced. Raises StoreError."""
    with open_store(database, mode="read") as store:
        rows = read_run(store)
    path.write_text(page(rows, name), encoding="utf-8")


def page(rows: RunRows, name: str = "", size_max: int = SIZE_MAX) -> str:
    """The whole page; charts get the room that everything else leaves."""
    reached = _excursions(rows)
    before, after = _written(rows, reached, name)
    facts, packing = page_facts(rows, reached), Packing()
    room = size_max - len(before.encode()) - len(after.encode()) - Packing.size_of(facts)
    charts = candle_charts(rows, packing, int(room * SHARE_OF_CANDLES))
    return before + packing.text({**facts, **chart_facts(charts)}) + after


def _written(rows: RunRows, reached: dict[str, Excursion], name: str) -> tuple[str, str]:
    """The page before and after what is packed in it."""
    style = (STATIC / "report.css").read_text("utf-8")
    scripts = [LIBRARY.read_text("utf-8"), "".join((STATIC / each).read_text("utf-8") for each in SCRIPTS)]
    title = f"Backtest {name or ', '.join(rows.symbols)}"
    head = together(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        Part(f"<style>{style}</style>"),
    )
    body = together(
        tag("a", "Skip to the figures", class_="skip", href="#figures"),
        tag("header", tag("h1", title), *_subtitle(rows)),
        tag("nav", *(tag("a", text, href=f"#{place}") for place, text in PLACES), aria_label="Parts of the page"),
        tag("main", _without_script(), *_parts(rows, reached)),
        _footer(),
    )
    scripted = "".join(f"<script>{script}</script>" for script in scripts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head.html}</head><body>{body.html}'
        '<script type="application/octet-stream" id="packed">',
        f"</script>{scripted}</body></html>\n",
    )


def _policy(style: str, scripts: list[str]) -> str:
    """Nothing is fetched, and nothing runs but the scripts that are written here, whatever a text contains."""
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    styles = f"'sha256-{_digest(style)}'"
    return f"default-src 'none'; script-src {allowed}; style-src {styles}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _subtitle(rows: RunRows) -> list[Part]:
    days = (rows.to_ms - rows.from_ms) / 86_400_000
    return [
        tag("p", f"{', '.join(rows.symbols)} on {rows.entry.value} candles"),
        tag(
            "p",
            f"{when(rows.from_ms)} to {when(rows.to_ms)} UTC, {days:,.0f} days, {rows.balance:,.2f} USDT at the start",
        ),
        *(tag("p", text) for text in ready_words(rows.summary)),
        *(tag("p", text, class_="warning") for text in rows.summary.get("warnings", ())),
    ]


def _without_script() -> Part:
    text = "Charts and the list of trades need JavaScript; all other figures are here without it."
    return tag("noscript", tag("p", text, class_="warning"))


def _excursions(rows: RunRows) -> dict[str, Excursion]:
    found = {
        trade.id: excursion(trade, rows.fills.get(trade.id, []), rows.entry_series(trade.symbol))
        for trade in rows.trades
    }
    return {name: each for name, each in found.items() if each is not None}


def _parts(rows: RunRows, reached: dict[str, Excursion]) -> list[Part]:
    return [
        tag("p", id="problem", class_="warning", role="alert", hidden=True),
        figures(rows),
        _equity(),
        periods(rows),
        _candles(),
        _trades(),
        groups(rows),
        spreads(rows, reached),
        costs(rows),
        exposure(rows),
        correlation(rows),
        assumptions(rows),
        coverage(rows),
    ]


def _equity() -> Part:
    return panel(
        "equity",
        "Equity",
        tag("div", id="equity-legend", class_="legend"),
        tag("div", id="equity-chart", class_="chart tall"),
        tag("div", id="regime-legend", class_="legend"),
        tag("p", id="equity-words", class_="quiet"),
        wide=True,
    )


def _candles() -> Part:
    return panel(
        "candles",
        "Candles",
        tag(
            "div",
            tag("label", "Symbol ", tag("select", id="candle-symbol")),
            tag("button", "Previous trade", type="button", id="trade-before"),
            tag("button", "Next trade", type="button", id="trade-after"),
            tag("button", "Whole run", type="button", id="whole-run"),
            class_="row",
        ),
        tag("p", id="candle-title", class_="strong"),
        tag("p", id="candle-reading", class_="reading"),
        tag("div", id="candle-chart", class_="chart tall"),
        tag("div", id="panes"),
        tag(
            "div",
            tag("p", "Indicators that the rules read", class_="quiet"),
            tag("div", id="indicators", class_="chips"),
            id="chips",
        ),
        tag("p", id="candle-words", class_="quiet"),
        tag("div", id="trade-detail"),
        wide=True,
    )


def _trades() -> Part:
    columns = (
        tag("label", "Symbol ", tag("select", id="filter-symbol")),
        tag("label", "Strategy ", tag("select", id="filter-strategy")),
        tag("label", "Side ", tag("select", id="filter-side")),
        tag("label", "Result ", tag("select", id="filter-result")),
        tag("label", "Sort by ", tag("select", id="sort-by")),
    )
    return panel(
        "trades",
        "Trades",
        tag("div", *columns, class_="row"),
        tag("p", id="trades-words", class_="quiet", role="status"),
        tag("div", id="trade-list", class_="scroll", tabindex=0, role="region", aria_label="Trades"),
        tag(
            "div",
            tag("button", "First", type="button", id="page-first"),
            tag("button", "Earlier page", type="button", id="page-before"),
            tag("span", id="page-number"),
            tag("button", "Later page", type="button", id="page-after"),
            tag("button", "Last", type="button", id="page-last"),
            class_="row",
        ),
        wide=True,
    )


def _footer() -> Part:
    return tag(
        "footer",
        "Charts: TradingView Lightweight Charts™ 4.1.3, © 2023 TradingView, Inc., Apache License 2.0 (text at ",
        tag(
            "a",
            "www.apache.org/licenses/LICENSE-2.0",
            href="https://www.apache.org/licenses/LICENSE-2.0",
            rel="noreferrer",
        ),
        "), ",
        tag("a", "www.tradingview.com", href="https://www.tradingview.com/", rel="noreferrer"),
        ". What was, is no promise of what will be.",
    )
