"""Prints the result of a run over recorded candles for a person, in the figures that traders read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fsm.cli import output

NONE = "-"
"""Stands where there is nothing to divide by: no loss, no day, no trade."""

HASH_SHOWN = 16
"""Of a hash on a terminal; files and pipes get all of it."""

_GROUPS = (("per_strategy", "strategy"), ("per_regime", "regime at entry"), ("per_symbol", "symbol"))


class _Column(NamedTuple):
    """``order``: which columns stay where there is not room for all, the lowest first."""

    name: str
    order: int
    text: Callable[[Mapping[str, Any]], str]


_COLUMNS = (
    _Column("trades", 1, lambda found: f"{found['trades']:,}"),
    _Column("wins", 6, lambda found: f"{found['wins']:,}"),
    _Column("losses", 7, lambda found: f"{found['losses']:,}"),
    _Column("win rate", 3, lambda found: percent(found["win_rate_pct"])),
    _Column("net PnL", 0, lambda found: amount(found["net_pnl_usdt"])),
    _Column("fees", 8, lambda found: amount(found["fees_usdt"])),
    _Column("funding", 9, lambda found: amount(found["funding_usdt"])),
    _Column("profit factor", 4, lambda found: ratio(found["profit_factor"])),
    _Column("payoff", 5, lambda found: ratio(found["payoff"])),
    _Column("expectancy", 2, lambda found: f"{found['expectancy_r']:+.3f} R"),
)
_GAP = 2


def print_summary(result: Mapping[str, Any]) -> None:
    """``result`` has the fields of `backtest --json`."""
    title = f"{', '.join(result['symbols'])} from {result['from']} to {result['to']}"
    output.heading(title)
    output.pairs((*_earned(result), *_traded(result), *_risked(result), *_of_the_run(result)))
    for warning in result.get("warnings", ()):
        output.line()
        output.line(f"WARNING: {warning}")
    groups = {name: result[key] for key, name in _GROUPS if result[key]}
    shown = _fitting(groups)
    names = [column.name for column in shown]
    for name, found in groups.items():
        rows = [(group, *(column.text(figures) for column in shown)) for group, figures in found.items()]
        output.line()
        output.table((name, *names), rows, right=names)


def amount(value: float | None) -> str:
    """Money, to the cent."""
    return NONE if value is None else f"{value:,.2f}"


def percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f} %"


def ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _fitting(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[_Column]:
    """The columns that matter most, as many as fit into a line beside the first one; in their usual order."""
    room = output.width() - max((len(name) for title in groups for name in (title, *groups[title])), default=0)
    kept: list[_Column] = []
    for column in sorted(_COLUMNS, key=lambda column: column.order):
        texts = (column.text(found) for figures in groups.values() for found in figures.values())
        room -= _GAP + max(len(column.name), *(len(text) for text in texts), 0)
        if room < 0:
            break
        kept.append(column)
    return [column for column in _COLUMNS if column in kept]


def _earned(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "candles", f"{result['candles']:,}"
    yield "net PnL", f"{amount(result['net_pnl_usdt'])} USDT ({result['return_pct']:+.2f} %)"
    if result["return_yearly_pct"] is not None:
        yield "return a year", f"{result['return_yearly_pct']:+.2f} %"
    yield "fees", f"{amount(result['fees_usdt'])} USDT"
    yield "funding", f"{amount(result['funding_usdt'])} USDT"
    if missing := result.get("funding_missing"):
        due = sum(missing.values()) + result["funding_settlements"]
        yield (
            "missing funding",
            f"{sum(missing.values())} of {due} settlements are not in the data and count as 0: "
            + (", ".join(f"{symbol} {count}" for symbol, count in missing.items())),
        )


def _traded(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "trades", f"{result['trades']:,} ({result['wins']:,} won, {result['losses']:,} lost)"
    yield "win rate", percent(result["win_rate_pct"])
    yield "profit factor", ratio(result["profit_factor"])
    yield "average win", f"{amount(result['average_win_usdt'])} USDT"
    yield "average loss", f"{amount(result['average_loss_usdt'])} USDT"
    yield "payoff", ratio(result["payoff"])
    yield "expectancy", f"{result['expectancy_r']:+.3f} R, {amount(result['expectancy_usdt'])} USDT a trade"
    yield "in a row", f"{result['wins_in_a_row']} won, {result['losses_in_a_row']} lost at most"
    if result["hours_held_mean"] is not None:
        yield "held", f"{result['hours_held_mean']:.1f} hours on average, half under {result['hours_held_median']:.1f}"
    if result.get("closed_at_end"):
        yield "closed at the end", f"{result['closed_at_end']} open trades, at the last price (flagged END_OF_DATA)"


def _risked(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "largest drawdown", f"{result['max_drawdown_pct']:.2f} %"
    yield "longest drawdown", f"{result['longest_drawdown_days']:.1f} days"
    yield "Sharpe ratio", f"{result['sharpe']:.2f} a year"
    yield "Sortino ratio", NONE if result["sortino"] is None else f"{result['sortino']:.2f} a year"
    yield "Calmar ratio", ratio(result["calmar"])
    yield "exposure", f"{result['exposure_pct']:.1f} % of the time in which it could trade"
    yield from _ready(result)
    yield from _together(result)


def _ready(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """From when each symbol could trade, where that is not the beginning of the run."""
    late = {symbol: at for symbol, at in result.get("could_trade_from", {}).items() if at != result["from"]}
    times = set(late.values())
    if len(late) == len(result["symbols"]) and len(times) == 1 and None not in times:
        yield "could trade from", f"{times.pop()}, when enough candles had closed; ratios count from there"
    elif late:
        yield "could trade from", ", ".join(f"{symbol} {at or 'never'}" for symbol, at in late.items())


def _together(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """How far open positions are risks of their own."""
    if result.get("correlation") is not None:
        count, alone = result["positions_max"], result["independent_positions"]
        told = f"returns correlate at {result['correlation']:.2f}: {count} positions are {alone:.2f} independent ones"
        yield "risk together", told
    if (lost := result.get("fast_fall_loss_pct")) is not None:
        yield "all stops in a fast fall", f"{lost:.2f} % of equity at most"


def _of_the_symbols(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Whether the rules of the symbols are those of the time that was tested."""
    from fsm.backtest.result import tick_words

    rules = result.get("symbol_rules", {})
    later = [symbol for symbol, found in rules.items() if not found["known_then"]]
    if later:
        since = sorted({found["filters_since"] or "no date" for found in map(rules.__getitem__, later)})
        then = result["from"][:10]
        yield (
            "symbol rules",
            f"those of {then} are not known of {', '.join(later)}; taken were those of {', '.join(since)}",
        )
    for symbol, found in rules.items():
        if found["changed_on"]:
            yield "symbol rules", f"{symbol}: those of {', '.join(found['changed_on'])} were taken from then on"
    if steps := tick_words(result.get("ticks", {})):
        yield "price steps", "; ".join(steps)


def _of_the_run(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "transitions", f"{result['transitions']:,}"
    if result.get("candle_holes"):
        missing = sum(hole["candles"] for hole in result["candle_holes"])
        yield (
            "missing candles",
            f"{missing} in {len(result['candle_holes'])} holes; nothing was opened in or right after them",
        )
    yield from _of_the_symbols(result)
    if before := result.get("ambiguous_without_finer"):
        left = result["ambiguous_candles"]
        yield (
            "stop and target in one bar",
            f"{before}; {before - left} decided by finer candles, else the worse was taken",
        )
    if result.get("marks_smoothed"):
        yield "no mark candles", f"{', '.join(result['marks_smoothed'])}: the mark is a smoothed last price"
    for name in ("journal", "rules", "config"):
        found = result[f"{name}_hash"]
        yield name, found if output.width() == output.WIDTH_UNLIMITED else found[:HASH_SHOWN]
    if seconds := result.get("seconds"):
        yield "seconds", ", ".join(f"{name} {taken:.1f}" for name, taken in seconds.items())
