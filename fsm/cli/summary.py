"""Prints the result of a run over recorded candles for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fsm.cli import output

_COLUMNS = ("trades", "wins", "losses", "net PnL", "fees", "funding", "expectancy")
_GROUPS = (("per_strategy", "strategy"), ("per_regime", "regime at entry"), ("per_symbol", "symbol"))


def print_summary(result: Mapping[str, Any]) -> None:
    """``result`` has the fields of `backtest --json`."""
    output.heading(f"{', '.join(result['symbols'])} from {result['from']} to {result['to']}")
    output.pairs(_totals(result))
    for key, name in _GROUPS:
        groups = result[key]
        if groups:
            output.line()
            output.table(
                (name, *_COLUMNS), [(group, *_cells(found)) for group, found in groups.items()], right=_COLUMNS
            )


def _totals(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "candles", f"{result['candles']:,}"
    yield "trades", f"{result['trades']} ({result['wins']} won, {result['losses']} lost)"
    yield "net PnL", f"{result['net_pnl_usdt']:,.2f} USDT ({result['return_pct']:+.2f} %)"
    yield "fees", f"{result['fees_usdt']:,.2f} USDT"
    yield "funding", f"{result['funding_usdt']:,.2f} USDT"
    if missing := result.get("funding_missing"):
        due = sum(missing.values()) + result["funding_settlements"]
        yield (
            "missing funding",
            f"{sum(missing.values())} of {due} settlements are not in the data and count as 0: "
            + (", ".join(f"{symbol} {count}" for symbol, count in missing.items())),
        )
    yield "largest drawdown", f"{result['max_drawdown_pct']:.2f} %"
    yield "expectancy", f"{result['expectancy_r']:+.3f} R a trade"
    yield "Sharpe ratio", f"{result['sharpe']:.2f} a year"
    yield "exposure", f"{result['exposure_pct']:.1f} % of the time"
    yield "transitions", f"{result['transitions']:,}"
    if result.get("closed_at_end"):
        yield "closed at the end", f"{result['closed_at_end']} open trades, at the last price (flagged END_OF_DATA)"
    if result.get("candle_holes"):
        missing = sum(hole["candles"] for hole in result["candle_holes"])
        yield (
            "missing candles",
            f"{missing} in {len(result['candle_holes'])} holes; nothing was opened in or right after them",
        )
    if result.get("ambiguous_candles"):
        yield "ambiguous candles", f"{result['ambiguous_candles']} held stop and target; the stop was taken"
    if result.get("marks_smoothed"):
        yield "no mark candles", f"{', '.join(result['marks_smoothed'])}: the mark is a smoothed last price"
    yield "journal", result["journal_hash"]
    yield "rules", result["rules_hash"]
    yield "config", result["config_hash"]
    yield "seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in result["seconds"].items())


def _cells(found: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        found["trades"],
        found["wins"],
        found["losses"],
        f"{found['net_pnl_usdt']:,.2f}",
        f"{found['fees_usdt']:,.2f}",
        f"{found['funding_usdt']:,.2f}",
        f"{found['expectancy_r']:+.3f} R",
    )
