"""What stands behind a run's results, as parts of the page: costs, exposure, correlation, assumptions, and the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fsm.backtest.report.html import Part, panel, table, tag, together
from fsm.backtest.report.periods import correlations, days, results_by_day
from fsm.backtest.report.run_rows import RunRows
from fsm.backtest.report.written import NONE, coloured, money, percent, when
from fsm.backtest.result import ambiguity_words, fall_words, funding_words, tick_words, together_words
from fsm.backtest.summary import ZERO
from store.trade_rows import TradeRow

HOW_IT_FILLS = (
    "Orders fill at the open of the next candle, worse by the slippage below, and pay its fees. Stops fill on the way "
    "from their trigger to the worst price of their candle, by the stop depth. Inside a candle the path visits first "
    "the extreme that hurts: a stop that lies in the same candle as a target is hit first."
)
HOLES_SHOWN = 200


def costs(rows: RunRows) -> Part:
    """What trading cost, by symbol."""
    lines = []
    for symbol in [*rows.symbols, None]:
        own = [trade for trade in rows.trades if symbol is None or trade.symbol == symbol]
        gross, fees = sum((trade.pnl for trade in own), ZERO), sum((trade.fees for trade in own), ZERO)
        funding, net = sum((trade.funding for trade in own), ZERO), sum((trade.net_pnl or ZERO for trade in own), ZERO)
        turnover = sum(
            ((trade.entry_price or ZERO) + (trade.exit_price or ZERO)) * trade.closed_quantity for trade in own
        )
        share = NONE if not turnover else f"{float((fees - funding) / turnover) * 10_000:.2f}"
        lines.append(
            (
                symbol or "All",
                money(gross),
                money(fees),
                money(funding),
                coloured(money(net), net),
                money(turnover),
                share,
            )
        )
    head = ("", "before costs", "fees", "funding", "net", "turnover", "cost, bp")
    return panel("costs", "Costs", table("USDT; costs in hundredths of a percent of the turnover", head, lines))


def exposure(rows: RunRows) -> Part:
    """How much of the time something was open, by symbol and by side, and how many at once."""
    span = max(1, rows.to_ms - rows.from_ms)
    lines = []
    for symbol in rows.symbols:
        own = [trade for trade in rows.trades if trade.symbol == symbol]
        parts = [sum(_held_ms(trade) for trade in own if trade.side == side) / span * 100 for side in ("LONG", "SHORT")]
        lines.append((symbol, percent(sum(parts), 1), *(percent(part, 1) for part in parts)))
    at_once = _at_once(rows.trades, rows.from_ms, rows.to_ms)
    open_lines = [(str(count), percent(share * 100, 1)) for count, share in sorted(at_once.items())]
    return panel(
        "exposure",
        "Exposure",
        table("Share of the run in which a position was open", ("", "open", "long", "short"), lines),
        table("How many positions were open at once", ("positions", "of the time"), open_lines),
    )


def _held_ms(trade: TradeRow) -> int:
    return 0 if trade.first_fill_ms is None else (trade.closed_ms or trade.first_fill_ms) - trade.first_fill_ms


def _at_once(trades: Sequence[TradeRow], from_ms: int, to_ms: int) -> dict[int, float]:
    steps: Counter[int] = Counter()
    for trade in trades:
        if trade.first_fill_ms is not None:
            steps[trade.first_fill_ms] += 1
            steps[trade.closed_ms or trade.first_fill_ms] -= 1
    found: dict[int, float] = {}
    at, count, span = from_ms, 0, max(1, to_ms - from_ms)
    for moment in [*sorted(steps), to_ms]:
        found[count] = found.get(count, 0.0) + max(0, moment - at) / span
        at, count = max(at, moment), count + steps.get(moment, 0)
    return {number: share for number, share in found.items() if share > 0}


def correlation(rows: RunRows) -> Part:
    """Whether symbols, and strategies, win and lose on the same days."""
    every = sorted(days(rows.curve))
    closes = {symbol: _daily_changes(rows, symbol) for symbol in rows.symbols}
    both = sorted(set.intersection(*(set(found) for found in closes.values()))) if closes else []
    strategies = sorted({trade.strategy_used for trade in rows.trades})
    by_strategy = {
        name: results_by_day(trade for trade in rows.trades if trade.strategy_used == name) for name in strategies
    }
    by_symbol = {name: results_by_day(trade for trade in rows.trades if trade.symbol == name) for name in rows.symbols}
    return panel(
        "correlation",
        "Correlation",
        tag("p", together_words(rows.summary)),
        _matrix(
            "Daily changes of the symbols' prices",
            {name: [found[day] for day in both] for name, found in closes.items()},
        ),
        _matrix(
            "Daily results of the symbols",
            {name: [float(found.get(day, 0)) for day in every] for name, found in by_symbol.items()},
        ),
        _matrix(
            "Daily results of the strategies",
            {name: [float(found.get(day, 0)) for day in every] for name, found in by_strategy.items()},
        ),
    )


def _daily_changes(rows: RunRows, symbol: str) -> dict[int, float]:
    series = rows.entry_series(symbol)
    if series is None:
        return {}
    inside = slice(*(int(series.open_time_ms.searchsorted(edge)) for edge in (rows.from_ms, rows.to_ms)))
    closes = {
        int(at) // 86_400_000: float(close)
        for at, close in zip(series.open_time_ms[inside], series.close[inside], strict=True)
    }
    return {day: close / closes[day - 1] - 1 for day, close in closes.items() if closes.get(day - 1)}


def _matrix(caption: str, columns: Mapping[str, list[float]]) -> Part:
    names = list(columns)
    lines = [
        (name, *(NONE if value is None else f"{value:+.2f}" for value in found))
        for name, found in zip(names, correlations(list(columns.values())), strict=True)
    ]
    return table(caption, ("", *names), lines) if len(names) > 1 else together()


def assumptions(rows: RunRows) -> Part:
    """What the run took for granted, and by which files and data it was made."""
    summary = rows.summary
    marks = summary["marks_smoothed"]
    texts = (
        HOW_IT_FILLS,
        f"There are no mark candles for {', '.join(marks)}: theirs is a smoothed last price."
        if marks
        else "The mark price is the recorded one.",
        ambiguity_words(summary),
        fall_words(summary),
        *(f"Price steps of then: {words}." for words in tick_words(summary.get("ticks", {}))),
    )
    kept = [
        (f"{part}.{name}", str(value)) for part, values in rows.kept.assumed.items() for name, value in values.items()
    ]
    hashes = [(name, summary[f"{name}_hash"]) for name in ("journal", "rules", "config", "data")]
    return panel(
        "assumptions",
        "Assumptions",
        *(tag("p", text) for text in texts),
        tag(
            "details",
            tag("summary", "Settings that the result depends on"),
            table("config.yaml", ("setting", "value"), kept, words=2),
        ),
        tag("h3", "Hashes"),
        tag("dl", *(together(tag("dt", name), tag("dd", value)) for name, value in hashes), class_="hashes"),
        tag("details", tag("summary", "rules.yaml as it ran"), _text(rows.rules.text, "rules.yaml")),
        tag("details", tag("summary", "config.yaml as it ran"), _text(rows.config_text, "config.yaml")),
        wide=True,
    )


def _text(text: str, name: str) -> Part:
    return tag("pre", text, tabindex=0, role="region", aria_label=name)


def coverage(rows: RunRows) -> Part:
    """Which candles there were, and what was missing."""
    lines = [
        (
            found["symbol"],
            found["timeframe"],
            found["from"][:16].replace("T", " "),
            found["to"][:16].replace("T", " "),
            f"{found['candles']:,}",
            f"{found['missing']:,}",
        )
        for found in rows.kept.data
    ]
    holes = list(_holes(rows))
    missing = table(
        "Missing candles: nothing was opened in these holes or right after them",
        ("symbol", "timeframe", "first (UTC)", "candles"),
        holes[:HOLES_SHOWN],
        words=3,
    )
    more = f"and {len(holes) - HOLES_SHOWN} more" if len(holes) > HOLES_SHOWN else None
    return panel(
        "coverage",
        "Data",
        table("Candles", ("symbol", "timeframe", "from (UTC)", "to", "candles", "missing"), lines, words=4),
        missing if holes else tag("p", "No candle was missing."),
        tag("p", more) if more else None,
        tag("p", funding_words(rows.summary)),
        wide=True,
    )


def _holes(rows: RunRows) -> Iterator[tuple[Any, ...]]:
    for symbol, found in rows.holes.items():
        for hole in found:
            yield symbol, hole.timeframe.value, when(hole.first_ms), f"{hole.count:,}"
