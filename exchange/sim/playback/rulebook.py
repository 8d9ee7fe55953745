"""The rules by which symbols are played and tested: the shipped ones, and those of files beside candles, by date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import convert
from msgspec.structs import replace as replaced

from exchange.errors import MalformedReply
from exchange.filters import SymbolFilters
from exchange.rule_files import Row, RuleKind, RuleRow, at, date_of, rules_in
from exchange.sim.playback.past_ticks import ShownDecimals, TickKnown, TickSpan, of_its_time
from exchange.sim.playback.symbols import (
    brackets_of,
    filters_of,
    shipped_brackets,
    shipped_exchange_info,
    shipped_filters,
    shipped_folder,
    symbol_rows,
)
from exchange.types import Bracket

SHIPPED_FILTERS, SHIPPED_BRACKETS = "2025-12-24", "2026-09-29"
"""When the shipped rules were recorded (exchange/sim/data/README.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """Since when the rules of a symbol are known to be so. None: their file has no date."""

    filters: str | None
    brackets: str | None
    changes: tuple[str, ...] = ()
    """Days on which the files say something else."""

    def is_known(self, date: str) -> bool:
        """Whether they are known to have been so on that day."""
        return all(since is not None and since <= date for since in (self.filters, self.brackets))

    def says_tick(self, date: str) -> bool:
        """Whether the tick of that day was written down. A file without a date is taken at its word for all days."""
        return self.filters is None or self.filters <= date


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """Filters and brackets of every symbol that has them, and the answer of exchangeInfo with all their rows."""

    exchange_info: Row
    filters: Mapping[str, SymbolFilters]
    brackets: Mapping[str, tuple[Bracket, ...]]
    dated: Mapping[str, Dated]
    unreadable: Mapping[str, str]
    """What is wrong with the entry of a symbol in a file of its own, by symbol."""

    @classmethod
    def read(cls, folders: Sequence[Path], at_ms: int | None = None) -> Rulebook:
        """As of a moment; None: the newest. A folder's own files add to the shipped rules and win.

        Raises CandleFileError.
        """
        shipped = shipped_folder().resolve()
        own_folders = [path for path in folders if path.resolve() != shipped]
        every = {kind: rules_in(own_folders, kind) for kind in RuleKind}
        own = {kind: _at(rows, at_ms) for kind, rows in every.items()}
        info = shipped_exchange_info()
        rows = {str(row["symbol"]): row for row in symbol_rows(info)}
        rows |= {symbol: found.row for symbol, found in own[RuleKind.SYMBOLS].items()}
        unreadable: dict[str, str] = {}
        filters = shipped_filters() | _filters(own[RuleKind.SYMBOLS], unreadable)
        for symbol, found in own[RuleKind.FUNDING].items():
            hours = found.row.get("fundingIntervalHours")
            if symbol in filters and isinstance(hours, int) and 0 < hours <= 24:
                filters[symbol] = replaced(filters[symbol], funding_interval_hours=hours)
        brackets = shipped_brackets() | _brackets(own[RuleKind.BRACKETS], unreadable)
        dated = {
            symbol: Dated(
                filters=_date(own[RuleKind.SYMBOLS].get(symbol), SHIPPED_FILTERS),
                brackets=_date(own[RuleKind.BRACKETS].get(symbol), SHIPPED_BRACKETS),
                changes=_days(every, symbol),
            )
            for symbol in filters
        }
        for symbol in unreadable:
            filters.pop(symbol, None)
        return cls(
            exchange_info={**info, "symbols": list(rows.values())},
            filters=filters,
            brackets=brackets,
            dated=dated,
            unreadable=unreadable,
        )

    def of_candles(
        self, shown: Mapping[str, Sequence[ShownDecimals]], at_ms: int
    ) -> tuple[Rulebook, dict[str, TickSpan]]:
        """With the ticks of a moment where only the candles tell them; and how each of these is known."""
        filters, ticks = dict(self.filters), {}
        for symbol in (name for name in shown if name in filters):
            known = TickKnown.RULES
            if not self.dated[symbol].says_tick(date_of(at_ms)):
                filters[symbol], known = of_its_time(filters[symbol], shown[symbol], at_ms)
            ticks[symbol] = TickSpan(at_ms, filters[symbol].tick_size, known)
        changed = {name: found for name, found in filters.items() if found != self.filters[name]}
        rows = [_with_tick(row, changed.get(str(row["symbol"]))) for row in symbol_rows(self.exchange_info)]
        info = {**self.exchange_info, "symbols": rows} if changed else self.exchange_info
        return replace(self, filters=filters, exchange_info=info), ticks

    def missing(self, symbols: Sequence[str]) -> str:
        """What is not known of these symbols and how it comes to be; empty where everything is."""
        told = [self.unreadable[name] for name in symbols if name in self.unreadable]
        others = [name for name in symbols if name not in self.unreadable]
        no_filters = [name for name in others if name not in self.filters]
        no_brackets = [name for name in others if name not in self.brackets]
        if no_filters:
            told.append(
                f"no filters are known of {', '.join(no_filters)}: `data download --symbols {','.join(no_filters)}` "
                "fetches them, or put a symbols.json (the answer of GET /fapi/v1/exchangeInfo) beside the candles"
            )
        if no_brackets:
            names, command = ", ".join(no_brackets), f"data brackets {' '.join(no_brackets)}"
            told.append(
                f"no leverage brackets are known of {names}: `{command}` asks the exchange with the key in .env, "
                f"`{command} --like WIFUSDT` takes the table of a similar coin"
            )
        return "; ".join(told)


def _with_tick(row: Row, filters: SymbolFilters | None) -> Row:
    if filters is None:
        return row
    values = {"tickSize": f"{filters.tick_size:f}", "minPrice": f"{filters.price_min:f}"}
    listed: list[dict[str, object]] = convert(row["filters"], list[dict[str, object]])
    return {**row, "filters": [rule | values if rule["filterType"] == "PRICE_FILTER" else rule for rule in listed]}


def _at(rows: Mapping[str, list[RuleRow]], at_ms: int | None) -> dict[str, RuleRow]:
    moment = 10**15 if at_ms is None else at_ms
    found = {symbol: at(listed, moment) for symbol, listed in rows.items()}
    return {symbol: row for symbol, row in found.items() if row is not None}


def _filters(own: Mapping[str, RuleRow], unreadable: dict[str, str]) -> dict[str, SymbolFilters]:
    found: dict[str, SymbolFilters] = {}
    for symbol, rule in own.items():
        read = filters_of({"symbols": [rule.row]})
        found |= read
        if symbol not in read:
            what = f"the rules of {symbol} are incomplete: tick, lots and notional are needed"
            unreadable[symbol] = f"{rule.path}:1: {what}; copy its entry of GET /fapi/v1/exchangeInfo"
    return found


def _brackets(own: Mapping[str, RuleRow], unreadable: dict[str, str]) -> dict[str, tuple[Bracket, ...]]:
    found: dict[str, tuple[Bracket, ...]] = {}
    for symbol, rule in own.items():
        try:
            found[symbol] = brackets_of([rule.row])[symbol]
            what = "" if found[symbol] else "there is no bracket"
        except MalformedReply as error:
            what = str(error)
        if what:
            unreadable[symbol] = f"{rule.path}:1: {symbol}: {what}; copy its entry of GET /fapi/v1/leverageBracket"
    return found


def _date(own: RuleRow | None, shipped: str) -> str | None:
    return shipped if own is None else own.date


def _days(every: Mapping[RuleKind, Mapping[str, list[RuleRow]]], symbol: str) -> tuple[str, ...]:
    rows = (row for kind in (RuleKind.SYMBOLS, RuleKind.BRACKETS) for row in every[kind].get(symbol, ()))
    return tuple(sorted({row.date for row in rows if row.date is not None}))
