"""A backtest as one HTML page that needs nothing else: the sums, the equity curve and every trade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from fsm.backtest.curve import Curve, thinned
from fsm.backtest.result import Result, funding_words
from fsm.core.model.records import Trade

WIDTH, HEIGHT = 960, 240
POINTS_MAX = 1_000
"""More points than pixels only make the page heavy."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr:nth-child(even) { background: #8881; }
svg { width: 100%; height: auto; border: 1px solid #8884; } polyline { fill: none; stroke: #27c; stroke-width: 1.5; }
:root { color-scheme: light dark; }
"""

HOW_IT_FILLS = (
    "Orders fill at the open of the next candle, worse by config.yaml's slippage, and pay its fees. Stops fill on the "
    "way from their trigger to the worst price of their candle, by its stop_depth_share. Inside a candle "
    "the path visits first the extreme that hurts: a stop that lies in the same candle as a target is hit first."
)


def write_report(result: Result, path: Path) -> None:
    """Write the page; an existing file is replaced."""
    summary = result.to_json()
    body = [
        f"<h1>Backtest {escape(', '.join(result.symbols))}</h1>",
        f"<p>{summary['from']} to {summary['to']}, {summary['candles']:,} candles</p>",
        _facts(summary),
        "<h2>Equity</h2>",
        _chart(result.curve),
        *(_groups(title, summary[key]) for title, key in _GROUPS),
        "<h2>How it fills</h2>",
        f"<p>{HOW_IT_FILLS} {_marks(result)} {summary['ambiguous_candles']} candles were ambiguous.</p>",
        f"<p>{_missing(summary['candle_holes'])} {escape(funding_words(summary))}</p>",
        "<h2>Trades</h2>",
        _trades(result.trades),
        f"<p>journal {result.journal_hash}<br>rules {result.rules_hash}<br>config {result.config_hash}</p>",
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest</title><style>{STYLE}</style>'
    path.write_text(head + "\n".join(body) + "</html>\n", encoding="utf-8")


def _missing(holes: list[dict[str, Any]]) -> str:
    if not holes:
        return "No candle was missing."
    listed = ", ".join(
        f"{each['symbol']} {each['timeframe']} {each['from']} × {each['candles']}" for each in holes[:20]
    )
    more = f" and {len(holes) - 20} more" if len(holes) > 20 else ""
    return f"Candles were missing, and nothing was opened in these holes or right after them: {escape(listed)}{more}."


_GROUPS = (("By strategy", "per_strategy"), ("By regime", "per_regime"), ("By symbol", "per_symbol"))
_FACTS = (
    ("net_pnl_usdt", "Net profit, USDT"), ("return_pct", "Return, %"), ("max_drawdown_pct", "Largest drawdown, %"),
    ("trades", "Trades"), ("wins", "Wins"), ("losses", "Losses"), ("expectancy_r", "Expectancy, R"),
    ("fees_usdt", "Fees, USDT"), ("funding_usdt", "Funding, USDT"), ("sharpe", "Sharpe (daily, yearly)"),
    ("exposure_pct", "Time in the market, %"), ("closed_at_end", "Closed at the end of the data"),
)  # fmt: skip


def _facts(summary: dict[str, Any]) -> str:
    return _table(("", ""), ((name, _number(summary[key])) for key, name in _FACTS))


def _groups(title: str, groups: dict[str, dict[str, Any]]) -> str:
    keys = ("trades", "wins", "losses", "net_pnl_usdt", "expectancy_r")
    rows = ((name, *(_number(found[key]) for key in keys)) for name, found in groups.items())
    return f"<h2>{title}</h2>" + _table(("", "trades", "wins", "losses", "net USDT", "expectancy R"), rows)


def _trades(trades: Sequence[Trade]) -> str:
    rows = (
        (
            trade.id,
            _when(trade.opened_ms),
            _when(trade.closed_ms or trade.opened_ms),
            trade.side.value,
            trade.strategy,
            str(trade.quantity),
            _number(trade.entry_price),
            _number(trade.exit_price),
            _number(trade.net_pnl),
            _number(trade.r),
            f"{trade.exit_reason or ''} {trade.flagged or ''}".strip(),
        )
        for trade in trades
    )
    return _table(
        ("trade", "opened (UTC)", "closed", "side", "strategy", "quantity", "entry", "exit", "net", "R", "reason"), rows
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{''.join(lines)}</table>"


def _chart(curve: Curve) -> str:
    """The equity curve, thinned to what a screen can show."""
    if len(curve) < 2:
        return "<p>No equity was recorded.</p>"
    shown = thinned(curve, POINTS_MAX)
    start, end = shown[0][0], shown[-1][0]
    low, high = min(equity for _, equity in shown), max(equity for _, equity in shown)
    height = (high - low) or Decimal(1)
    points = " ".join(
        f"{(at_ms - start) / (end - start) * WIDTH:.1f},{float((high - equity) / height) * HEIGHT:.1f}"
        for at_ms, equity in shown
    )
    label = f"Equity from {_number(low)} to {_number(high)} USDT"
    return (
        f'<svg viewBox="0 -4 {WIDTH} {HEIGHT + 8}" role="img" aria-label="{label}"><polyline points="{points}"/></svg>'
        f"<p>{label}</p>"
    )


def _marks(result: Result) -> str:
    if not result.marks_smoothed:
        return "The mark price is the recorded one."
    return f"There are no mark candles for {escape(', '.join(result.marks_smoothed))}: theirs is a smoothed last price."


def _number(value: Decimal | float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:,.4f}".rstrip("0").rstrip(".")


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")
