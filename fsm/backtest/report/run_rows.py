"""Reads a finished run out of its database: everything that its report shows, and nothing from anywhere else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from fsm.backtest.curve import Curve
from fsm.backtest.kept_run import KeptRun, read_kept_run
from fsm.backtest.summary import in_order
from fsm.journal.candle_holes import stored_holes
from indicators.candle import Timeframe
from indicators.holes import Hole
from indicators.series import FloatArray, Series
from rules.features import CandlesRead
from rules.load import Ruleset, stored_rules
from store import queries
from store.database import Store
from store.rows import FillRow, RegimeRow
from store.trade_rows import TradeRow
from store.views import OrderRow

ROWS_MAX = 10_000_000
"""More than any run has: everything is read."""

CANDLES_AT_ONCE = 50_000


@dataclass(frozen=True)
class RunRows:
    """A run's rows. ``trades`` are those that were booked, in the order in which they ended."""

    kept: KeptRun
    rules: Ruleset
    config_text: str
    candles_min: int
    trades: list[TradeRow]
    curve: Curve
    regimes: dict[str, list[RegimeRow]]
    orders: dict[str, list[OrderRow]]
    fills: dict[str, list[FillRow]]
    holes: dict[str, list[Hole]]
    """Also of symbols that the rules only read, as are ``series``."""
    series: dict[str, dict[Timeframe, Series]]

    @property
    def summary(self) -> dict[str, Any]:
        return self.kept.summary

    @property
    def symbols(self) -> list[str]:
        found: list[str] = self.summary["symbols"]
        return found

    @cached_property
    def from_ms(self) -> int:
        return ms_of(self.summary["from"])

    @cached_property
    def to_ms(self) -> int:
        return ms_of(self.summary["to"])

    @cached_property
    def balance(self) -> Decimal:
        return Decimal(self.kept.balance)

    @property
    def entry(self) -> Timeframe:
        return self.rules.for_symbol("").entry_timeframe

    def read_by(self, symbol: str) -> dict[CandlesRead, Series]:
        """What a symbol's rules read, as far as the database keeps it."""
        found: dict[CandlesRead, Series] = dict(self.series[symbol].items())
        for read in self.rules.for_symbol(symbol).others:
            if (series := self.series.get(read.symbol, {}).get(read.timeframe)) is not None:
                found[read] = series
        return found

    def entry_series(self, symbol: str) -> Series | None:
        return self.series[symbol].get(self.entry)


def ms_of(iso_text: str) -> int:
    """The moment that a time of the summary names."""
    return int(datetime.fromisoformat(iso_text).timestamp()) * 1000


def read_run(store: Store) -> RunRows:
    """Raises NotARun where no finished run is kept, StoreError where rows cannot be read."""
    kept = read_kept_run(store)
    symbols: list[str] = kept.summary["symbols"]
    every = sorted({*symbols, *(found["symbol"] for found in kept.data)})
    text = queries.rules_text(store, kept.summary["rules_hash"]) or ""
    started = queries.first_event(store, "START")
    facts = {} if started is None else msgspec.json.decode(started.facts_json)
    orders, fills = defaultdict[str, list[OrderRow]](list), defaultdict[str, list[FillRow]](list)
    for order in reversed(queries.orders(store, limit=ROWS_MAX)):
        orders[order.trade_id or ""].append(order)
    for fill in reversed(queries.fills(store, limit=ROWS_MAX)):
        fills[fill.trade_id or ""].append(fill)
    return RunRows(
        kept=kept,
        rules=stored_rules(text, "rules.yaml"),
        config_text=queries.config_text(store, kept.summary["config_hash"]) or "",
        candles_min=int(facts.get("candles_min", 0)),
        trades=in_order(queries.trades(store, status="CLOSED", limit=ROWS_MAX)),
        curve=[(point.at_ms, point.equity) for point in queries.equity(store, points=ROWS_MAX)],
        regimes={symbol: queries.regimes(store, symbol, limit=ROWS_MAX)[::-1] for symbol in symbols},
        orders=orders,
        fills=fills,
        holes={symbol: stored_holes(store, symbol) for symbol in every},
        series={symbol: _series(store, kept, symbol) for symbol in every},
    )


def _series(store: Store, kept: KeptRun, symbol: str) -> dict[Timeframe, Series]:
    """The candles as they were used, at every timeframe; none where the database does not keep them."""
    timeframes = [Timeframe(found["timeframe"]) for found in kept.data if found["symbol"] == symbol]
    found = {each: _columns(queries.each_candle(store, symbol, each.value)) for each in timeframes}
    return {
        timeframe: Series(
            symbol=symbol,
            timeframe=timeframe,
            open_time_ms=columns[:, 0].astype(np.int64),
            open=columns[:, 1],
            high=columns[:, 2],
            low=columns[:, 3],
            close=columns[:, 4],
            volume=columns[:, 5],
        )
        for timeframe, columns in found.items()
        if len(columns)
    }


def _columns(candles: Iterator[Sequence[int | str]]) -> FloatArray:
    """Six columns of numbers; a part of the candles at a time, as texts take much more room than numbers."""
    parts: list[FloatArray] = [np.empty((0, 6))]
    while part := list(islice(candles, CANDLES_AT_ONCE)):
        parts.append(np.array(part, dtype=np.float64))
    return np.concatenate(parts)
