"""One of two runs that are compared: its trades and everything that went into it, read from its database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fsm.backtest.kept_run import NotARun, read_kept_run
from fsm.backtest.rules_through import RULES_EVENTS
from fsm.config.loading import stored_settings
from fsm.config.settings import Settings
from rules.source.yaml_source import parse_source
from store import queries
from store.database import Store
from store.trade_rows import TradeRow

ALL = 2**62


class CannotCompare(Exception):
    """What was named is not a run that can be compared; the message says why, ``hint`` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in ms; the end does not belong to it."""

    from_ms: int
    to_ms: int

    def overlap(self, other: Span) -> Span:
        return Span(max(self.from_ms, other.from_ms), min(self.to_ms, other.to_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A text that was in force from a time on."""

    at_ms: int
    hash: str
    text: str


@dataclass(slots=True, kw_only=True)
class Side:
    """A run. ``name`` is what the user called it; ``ran``: from when to when a backtest was to run, None of a bot."""

    name: str
    path: Path
    store: Store
    ran: Span | None
    trades: list[TradeRow]
    span: Span
    rules: list[Version]
    configs: list[Version]

    @property
    def settings(self) -> Settings:
        """What the run began with."""
        return stored_settings(self.configs[0].text, f"{self.name}'s config.yaml")

    @property
    def rules_data(self) -> Any:
        """What the run began with, as plain data."""
        return parse_source(self.rules[0].text, f"{self.name}'s rules.yaml").data

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those that it decided on."""
        rows = self.store.connection.execute(
            "SELECT symbol FROM decisions UNION SELECT symbol FROM decision_stretches ORDER BY symbol"
        )
        return tuple(str(symbol) for (symbol,) in rows)

    @property
    def symbols_read(self) -> tuple[str, ...]:
        """Those whose candles it kept, which its rules may only have read."""
        rows = self.store.connection.execute("SELECT DISTINCT symbol FROM candles ORDER BY symbol")
        return tuple(str(symbol) for (symbol,) in rows)

    def candles(self, symbol: str, timeframe: str) -> dict[int, tuple[str, ...]]:
        """By open time, as they are stored."""
        rows = self.store.connection.execute(
            "SELECT open_time_ms, open, high, low, close, volume FROM candles WHERE symbol = ? AND timeframe = ?",
            (symbol, timeframe),
        )
        return {int(at_ms): tuple(map(str, numbers)) for at_ms, *numbers in rows}

    def timeframes(self, symbol: str) -> tuple[str, ...]:
        rows = self.store.connection.execute("SELECT DISTINCT timeframe FROM candles WHERE symbol = ?", (symbol,))
        return tuple(str(timeframe) for (timeframe,) in rows)

    def symbol_rules(self) -> list[tuple[int, dict[str, Any]]]:
        """What its exchange said of its symbols, as it is stored, and from when on; oldest first."""
        return [(row.at_ms, msgspec.json.decode(row.facts_json)) for row in queries.events_of(self.store, RULES_EVENTS)]

    def starts(self) -> list[int]:
        """When it was started, oldest first."""
        rows = self.store.connection.execute("SELECT at_ms FROM system_events WHERE kind = 'START' ORDER BY id")
        return [int(str(at_ms)) for (at_ms,) in rows]


def read_side(name: str, store: Store) -> Side:
    """Raises CannotCompare for a database without a run in it."""
    rules = [Version(at_ms=row.at_ms, hash=row.rules_hash, text=row.text) for row in queries.rule_versions(store)]
    configs = [Version(at_ms=row.at_ms, hash=row.config_hash, text=row.text) for row in queries.config_versions(store)]
    span = _span(store)
    if not rules or not configs or span is None:
        raise CannotCompare(f"{name}: nothing was decided in it", "name a run that `runs` lists, or a bot's database")
    return Side(
        name=name,
        path=store.path,
        store=store,
        ran=_ran(store),
        trades=sorted(queries.trades(store, limit=ALL), key=lambda row: (row.opened_ms, row.symbol)),
        span=span,
        rules=sorted(rules, key=lambda version: version.at_ms),
        configs=sorted(configs, key=lambda version: version.at_ms),
    )


def _ran(store: Store) -> Span | None:
    try:
        summary = read_kept_run(store).summary
    except NotARun:
        return None
    return Span(_ms(str(summary["from"])), _ms(str(summary["to"])))


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _span(store: Store) -> Span | None:
    """From the first candle that was decided on to the last one's end, in entry candles' open times."""
    row = store.connection.execute(
        "SELECT MIN(candle_ms), MAX(last_ms) FROM (SELECT candle_ms, last_ms FROM decisions"
        " UNION ALL SELECT candle_ms, last_ms FROM decision_stretches)"
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return Span(int(str(row[0])), int(str(row[1])) + 1)


def net(trades: list[TradeRow]) -> Decimal:
    """What they came to, in USDT."""
    return sum((trade.net_pnl for trade in trades if trade.net_pnl is not None), Decimal(0))
