"""What came of a run, as parts of the page that need no script: figures, months, groups, and how trades are spread."""

from __future__ import annotations

import calendar
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from fsm.backtest.curve import drawdowns
from fsm.backtest.report.drawings import histogram, scatter
from fsm.backtest.report.excursions import Excursion
from fsm.backtest.report.html import Child, Part, panel, table, tag, together
from fsm.backtest.report.periods import days, months, years
from fsm.backtest.report.run_rows import RunRows
from fsm.backtest.report.written import change, coloured, hours, in_r, money, percent, ratio, when, words
from fsm.backtest.summary import ZERO, grouped, hours_held, streaks
from store.trade_rows import TradeRow

DRAWDOWNS_SHOWN = 10


def figures(rows: RunRows) -> Part:
    """What a trader reads first."""
    found = rows.summary
    net = found["net_pnl_usdt"]
    return panel(
        "figures",
        "Figures",
        tag(
            "dl",
            _figure("Net profit", coloured(f"{money(net)} USDT", net), "net_pnl_usdt"),
            _figure("Return", coloured(percent(found["return_pct"]), found["return_pct"]), "return_pct"),
            _figure("A year", percent(found["return_yearly_pct"]), "return_yearly_pct"),
            _figure("Largest drawdown", percent(found["max_drawdown_pct"]), "max_drawdown_pct"),
            _figure("Longest drawdown", f"{found['longest_drawdown_days']:,.1f} days", "longest_drawdown_days"),
            _figure("Trades", f"{found['trades']:,}", "trades"),
            _figure("Win rate", percent(found["win_rate_pct"], 1), "win_rate_pct"),
            _figure("Profit factor", ratio(found["profit_factor"]), "profit_factor"),
            _figure("Payoff", ratio(found["payoff"]), "payoff"),
            _figure("Average win", f"{money(found['average_win_usdt'])} USDT", "average_win_usdt"),
            _figure("Average loss", f"{money(found['average_loss_usdt'])} USDT", "average_loss_usdt"),
            _figure("Expectancy", in_r(found["expectancy_r"]), "expectancy_r"),
            _figure("Expectancy", f"{money(found['expectancy_usdt'])} USDT", "expectancy_usdt"),
            _figure("Sharpe", ratio(found["sharpe"]), "sharpe"),
            _figure("Sortino", ratio(found["sortino"]), "sortino"),
            _figure("Calmar", ratio(found["calmar"]), "calmar"),
            _figure("Exposure", percent(found["exposure_pct"], 1), "exposure_pct"),
            _figure("Wins in a row", f"{found['wins_in_a_row']}", "wins_in_a_row"),
            _figure("Losses in a row", f"{found['losses_in_a_row']}", "losses_in_a_row"),
            _figure("Fees", f"{money(found['fees_usdt'])} USDT", "fees_usdt"),
            _figure("Funding", f"{money(found['funding_usdt'])} USDT", "funding_usdt"),
            class_="figures",
        ),
        wide=True,
    )


def _figure(name: str, value: Child, key: str) -> Part:
    return tag("div", tag("dt", name), tag("dd", value, data_figure=key))


def periods(rows: RunRows) -> Part:
    """Month by year, from equity; below it the calendar that the script draws."""
    by_day = days(rows.curve)
    by_month, by_year = months(by_day), years(by_day)
    head = ("Year", *calendar.month_abbr[1:], "Year in all")
    lines = [
        [
            str(year),
            *(
                coloured(change(by_month[year, month].pct), by_month[year, month].usdt)
                if (year, month) in by_month
                else ""
                for month in range(1, 13)
            ),
            coloured(change(by_year[year].pct), by_year[year].usdt),
        ]
        for year in sorted(by_year, reverse=True)
    ]
    return panel(
        "periods",
        "Months and days",
        table("Change of equity by month, %", head, lines),
        tag("div", id="calendar", class_="calendar", tabindex=0, role="region", aria_label="Calendar of days"),
        tag("p", id="calendar-words", class_="quiet"),
        wide=True,
    )


_GROUP_HEAD = ("", "trades", "win rate", "net USDT", "average R", "profit factor", "payoff")


def groups(rows: RunRows) -> Part:
    """The same figures by everything that trades can be told apart by."""
    return together(*(_group(key, title, rows.trades, of) for key, title, of in _GROUPS))


def _group(key: str, title: str, trades: Sequence[TradeRow], of: Callable[[TradeRow], str]) -> Part:
    lines = [
        (
            name.split(" ", 1)[1] if key == "weekday" else name,
            f"{found['trades']:,}",
            percent(found["win_rate_pct"], 1),
            coloured(money(found["net_pnl_usdt"]), found["net_pnl_usdt"]),
            in_r(found["expectancy_r"]),
            ratio(found["profit_factor"]),
            ratio(found["payoff"]),
        )
        for name, found in grouped(trades, of).items()
    ]
    return panel(f"by-{key}", title, table(title, _GROUP_HEAD, lines, titled=True))


def _hour(trade: TradeRow) -> str:
    return f"{datetime.fromtimestamp(trade.opened_ms / 1000, tz=UTC).hour:02d}:00"


def _weekday(trade: TradeRow) -> str:
    day = datetime.fromtimestamp(trade.opened_ms / 1000, tz=UTC).weekday()
    return f"{day} {calendar.day_name[day]}"


_GROUPS: tuple[tuple[str, str, Callable[[TradeRow], str]], ...] = (
    ("strategy", "By strategy", lambda trade: trade.strategy_used),
    ("regime", "By regime at entry", lambda trade: trade.regime_at_entry),
    ("symbol", "By symbol", lambda trade: trade.symbol),
    ("side", "By side", lambda trade: trade.side),
    ("reason", "By reason of the end", lambda trade: _reason(trade)),
    ("weekday", "By weekday of the entry (UTC)", _weekday),
    ("hour", "By hour of the entry (UTC)", _hour),
)


def _reason(trade: TradeRow) -> str:
    return words(trade.flagged or trade.exit_reason or "unknown")


def spreads(rows: RunRows, excursions: Mapping[str, Excursion]) -> Part:
    """How results, excursions, lengths and streaks are spread."""
    trades = rows.trades
    rs = [float(trade.r or 0) for trade in trades]
    known = [(trade, excursions[trade.id]) for trade in trades if trade.id in excursions]
    held = [hours_held(trade) for trade in trades]
    return together(
        panel("r", "Results in R", histogram(rs, "R", f"Histogram of {len(rs)} results in R"), _r_words(rs)),
        panel(
            "mae",
            "Against it: MAE",
            scatter(
                [(-found.mae_r, float(trade.r or 0), (trade.net_pnl or 0) > 0) for trade, found in known],
                "how far it went against the trade, in R",
                "result in R",
                f"Largest adverse excursion of {len(known)} trades against their results",
            ),
        ),
        panel(
            "mfe",
            "For it: MFE",
            scatter(
                [(found.mfe_r, float(trade.r or 0), (trade.net_pnl or 0) > 0) for trade, found in known],
                "how far it went for the trade, in R",
                "result in R",
                f"Largest favourable excursion of {len(known)} trades against their results",
            ),
        ),
        panel(
            "durations",
            "How long trades are held",
            histogram(held, "hours", f"Histogram of {len(held)} durations in hours", signed=False),
            tag(
                "p",
                f"Hours across. {hours(rows.summary['hours_held_mean'])} on average, "
                f"half of them under {hours(rows.summary['hours_held_median'])}.",
                class_="quiet",
            ),
        ),
        _streaks(trades),
        _drawdowns(rows),
    )


def _r_words(rs: Sequence[float]) -> Part:
    if not rs:
        return together()
    spread = f", standard deviation {statistics.stdev(rs):.2f}" if len(rs) > 1 else ""
    text = f"R across. Mean {statistics.fmean(rs):+.3f}, median {statistics.median(rs):+.3f}{spread}"
    text += f"; from {min(rs):+.2f} to {max(rs):+.2f}."
    return tag("p", text, class_="quiet")


def _streaks(trades: Sequence[TradeRow]) -> Part:
    counted = Counter(streaks((trade.net_pnl or ZERO) > 0 for trade in trades))
    longest = max((length for _, length in counted), default=0)
    lines = [
        (str(length), str(counted[True, length] or ""), str(counted[False, length] or ""))
        for length in range(1, longest + 1)
        if counted[True, length] or counted[False, length]
    ]
    return panel("streaks", "Streaks", table("How often so many in a row", ("in a row", "wins", "losses"), lines))


def _drawdowns(rows: RunRows) -> Part:
    deepest = sorted(drawdowns(rows.curve), key=lambda found: -found[3])[:DRAWDOWNS_SHOWN]
    lines = [
        (when(since), when(until) if reached else "not yet", f"{(until - since) / 86_400_000:,.1f}", percent(depth))
        for since, until, reached, depth in deepest
    ]
    return panel(
        "drawdowns",
        "Deepest drawdowns",
        table("From a high until it was reached again", ("from (UTC)", "until", "days", "depth"), lines, words=2),
    )
