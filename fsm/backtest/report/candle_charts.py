"""Candles and the indicators that the rules read, of every symbol and around every trade, within a page's room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fsm.backtest.report.packing import Packing, step_of_prices, step_of_values
from fsm.backtest.report.run_rows import RunRows
from indicators.candle import Timeframe
from indicators.catalog import Unit
from indicators.series import FloatArray, Series
from rules.compiled_rules import feature_name
from rules.facts import FactTable
from store.views import TradeRow

ROOM = 1_900_000
"""Bytes of the page that candles and indicators may take: with a thousand trades it stays under 3 MB."""

SHARE_OF_SYMBOLS = 0.4
DAY_MS = 86_400_000
DIGITS = 5
NEAR = 0.4
CANDLES_OF_A_SYMBOL = 6_000
CANDLES_OF_A_TRADE = 500
PLAIN = frozenset({"open", "high", "low", "close", "volume"})
"""Indicators that a candle shows by itself."""


class Around(NamedTuple):
    """Candles that are shown before a trade's signal and after its end."""

    before: int
    after: int


LESS_AND_LESS = (Around(60, 24), Around(36, 12), Around(16, 6))


@dataclass(frozen=True)
class SymbolView:
    """What one symbol's charts are cut from."""

    series: Series
    table: FactTable
    price_step: float
    names: list[str]
    columns: dict[str, FloatArray]
    steps: dict[str, float]


@dataclass(frozen=True)
class CandleCharts:
    """``symbols`` and ``trades`` say where in the packing each chart's columns lie."""

    symbols: dict[str, dict[str, Any]]
    trades: dict[str, dict[str, Any]]
    indicators: dict[str, dict[str, Any]]
    left_out: int


def candle_charts(rows: RunRows, packing: Packing, room: int = ROOM) -> CandleCharts:
    """Pack them all; where there is not room enough, with less around each trade, and at last without the oldest."""
    views = {symbol: view for symbol in rows.symbols if (view := _view(rows, symbol)) is not None}
    indicators = {name: found for view in views.values() for name, found in _described(view)}
    symbols = _symbols(rows, views, packing, int(room * SHARE_OF_SYMBOLS))
    trades, left_out = _trades(rows, views, packing, room)
    return CandleCharts(symbols, trades, indicators, left_out)


def _view(rows: RunRows, symbol: str) -> SymbolView | None:
    series = rows.entry_series(symbol)
    rules = rows.rules.for_symbol(symbol)
    if series is None or not rules.timeframes <= set(rows.series[symbol]):
        return None
    table = FactTable(rules, rows.series[symbol], rows.candles_min, rows.holes[symbol])
    names = sorted({feature_name(key) for key in rules.fact_keys})
    shown = [name for name in names if not _is_plain(table, name)]
    columns = {name: table.column(name) for name in shown}
    return SymbolView(
        series=series,
        table=table,
        price_step=step_of_prices(series.open, series.high, series.low, series.close),
        names=shown,
        columns=columns,
        steps={name: step_of_values(column, DIGITS) for name, column in columns.items()},
    )


def _is_plain(table: FactTable, name: str) -> bool:
    indicator = table.rules.features[name].indicator
    return indicator is None or indicator.name in PLAIN


def _described(view: SymbolView) -> Iterator[tuple[str, dict[str, Any]]]:
    rules = view.table.rules
    readers = {name: set(map(feature_name, rules.strategy_fact_keys(name))) for name in rules.strategies}
    regime = set(map(feature_name, rules.regime_fact_keys))
    for name in view.names:
        feature = rules.features[name]
        yield (
            name,
            {
                "what": feature.what,
                "unit": feature.unit.value,
                "over": feature.unit is Unit.PRICE and _lies_over(view.columns[name], view.series),
                "regime": name in regime,
                "strategies": sorted(strategy for strategy, read in readers.items() if name in read),
            },
        )


def _lies_over(values: FloatArray, series: Series) -> bool:
    """Whether it is near the price, as a mean is, and not a difference of prices, as an ATR is."""
    there = np.isfinite(values)
    if not there.any():
        return False
    ratio = float(np.median(values[there] / series.close[there]))
    return NEAR < ratio < 1 / NEAR


def _symbols(rows: RunRows, views: dict[str, SymbolView], packing: Packing, room: int) -> dict[str, dict[str, Any]]:
    """The whole run of each symbol, at the finest multiple of the entry timeframe for which there is room."""
    for candles in (CANDLES_OF_A_SYMBOL, 4_000, 2_500, 1_500, 800, 400, 200):
        tried = Packing()
        for view in views.values():
            _pack_symbol(rows, view, candles, tried)
        if tried.size() <= room:
            break
    return {symbol: _pack_symbol(rows, view, candles, packing) for symbol, view in views.items()}


def _pack_symbol(rows: RunRows, view: SymbolView, candles: int, packing: Packing) -> dict[str, Any]:
    series = view.series
    first, end = np.searchsorted(series.open_time_ms, (rows.from_ms, rows.to_ms)).tolist()
    every = _every(series.timeframe.ms, end - first, candles)
    first = max(0, first - int(series.open_time_ms[0] // series.timeframe.ms + first) % every)
    starts = np.arange(first, end, every)
    lasts = np.append(starts[1:], end) - 1
    return {
        "first_ms": int(series.open_time_ms[first]),
        "step_ms": series.timeframe.ms * every,
        "price_step": view.price_step,
        "candles": _pack_candles(
            view,
            packing,
            series.open[starts],
            np.maximum.reduceat(series.high[:end], starts),
            np.minimum.reduceat(series.low[:end], starts),
            series.close[lasts],
        ),
        "read": {
            name: _pack_values(view, packing, name, view.columns[name][lasts])
            for name in view.names
            if view.table.rules.features[name].unit is not Unit.FLAG
        },
    }


def _every(step_ms: int, have: int, wanted: int) -> int:
    """How many candles become one: the least usual multiple that leaves no more than wanted."""
    usual_ms = (*sorted(timeframe.ms for timeframe in Timeframe), *(days * DAY_MS for days in (2, 4, 7, 14, 28, 56)))
    multiples = [length // step_ms for length in usual_ms if length >= step_ms and length % step_ms == 0]
    return next((each for each in multiples if -(-have // each) <= wanted), multiples[-1])


def _pack_values(view: SymbolView, packing: Packing, name: str, values: FloatArray) -> tuple[int, int, float]:
    """Where they lie, and the step that they are whole numbers of."""
    return (*packing.column(values, view.steps[name]), view.steps[name])


def _pack_candles(
    view: SymbolView, packing: Packing, open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray
) -> list[tuple[int, int]]:
    """Open, close over open, high over both, low under both."""
    parts = (open_, close - open_, high - np.maximum(open_, close), np.minimum(open_, close) - low)
    return [packing.column(part, view.price_step) for part in parts]


def _trades(
    rows: RunRows, views: dict[str, SymbolView], packing: Packing, room: int
) -> tuple[dict[str, dict[str, Any]], int]:
    room -= packing.size()
    shown = [trade for trade in rows.trades if trade.symbol in views]
    around, count = LESS_AND_LESS[-1], len(shown)
    for around in LESS_AND_LESS:
        size = _size(shown, views, around)
        if size <= room:
            break
    else:
        count = int(count * room / size * 0.95)
    kept = shown[len(shown) - count :]
    found = {trade.id: _pack_trade(trade, views[trade.symbol], around, packing) for trade in kept}
    return found, len(shown) - count


def _size(trades: list[TradeRow], views: dict[str, SymbolView], around: Around) -> int:
    tried = Packing()
    for trade in trades:
        _pack_trade(trade, views[trade.symbol], around, tried)
    return tried.size()


def _pack_trade(trade: TradeRow, view: SymbolView, around: Around, packing: Packing) -> dict[str, Any]:
    """From before the signal until after the end, with what its strategy and its regime read."""
    series, step = view.series, view.series.timeframe.ms
    first_ms = int(series.open_time_ms[0])
    signal = (trade.signal_candle_ms - first_ms) // step
    last = ((trade.closed_ms or trade.opened_ms) - first_ms) // step
    last = min(last, signal + CANDLES_OF_A_TRADE)
    part = slice(max(signal - around.before, 0), min(last + around.after + 1, series.length))
    rules = view.table.rules
    strategy = rules.strategies.get(trade.strategy_used)
    read = {feature_name(key) for key in (() if strategy is None else rules.strategy_fact_keys(trade.strategy_used))}
    read.update(map(feature_name, rules.regime_fact_keys))
    names = [name for name in view.names if name in read]
    return {
        "first_ms": int(series.open_time_ms[part.start]),
        "step_ms": step,
        "price_step": view.price_step,
        "candles": _pack_candles(
            view, packing, series.open[part], series.high[part], series.low[part], series.close[part]
        ),
        "read": {name: _pack_values(view, packing, name, view.columns[name][part]) for name in names},
    }
