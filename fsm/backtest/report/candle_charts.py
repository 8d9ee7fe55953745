"""Candles and the indicators that the rules read, of every symbol and around every trade, within a page's room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fsm.backtest.report.packing import Packing, Place, step_of_prices, step_of_values
from fsm.backtest.report.run_rows import RunRows
from indicators.candle import Timeframe
from indicators.catalog import Unit
from indicators.series import FloatArray, Series
from rules.compiled_rules import feature_name
from rules.facts import FactTable
from store.trade_rows import TradeRow

SHARE_OF_TRADES = 0.8
"""Of the room that there is, at most; whole runs have the rest, and what trades leave of theirs."""

DAY_MS = 86_400_000
DIGITS, DIGITS_OF_A_PRICE = 4, 5
NEAR = 0.4
CANDLES_OF_A_SYMBOL = 6_000
CANDLES_OF_A_TRADE = 500
PLAIN = frozenset({"open", "high", "low", "close", "volume"})
"""Indicators that a candle shows by itself."""


class Detail(NamedTuple):
    """Candles shown before a trade's signal and after its end, and by how many digits less what is no price is told."""

    before: int
    after: int
    digits_less: int = 0


LESS_AND_LESS = (Detail(60, 24), Detail(36, 12), Detail(24, 8), Detail(24, 8, 1), Detail(14, 5, 1), Detail(8, 3, 1))
SAMPLE = 250
"""Trades by which it is judged how much room all of them take."""


@dataclass(frozen=True)
class SymbolView:
    """What one symbol's charts are cut from."""

    series: Series
    table: FactTable
    price_step: float
    names: list[str]
    columns: dict[str, FloatArray]
    steps: dict[str, float]

    def coarser(self, digits: int) -> SymbolView:
        """The same with so many digits less of each indicator that is no price."""
        if not digits:
            return self
        features = self.table.rules.features
        steps = {
            name: step if features[name].unit is Unit.PRICE else step * 10.0**digits
            for name, step in self.steps.items()
        }
        return replace(self, steps=steps)

    def read_by(self, strategy: str) -> list[str]:
        """What a trade's strategy and its regime read."""
        rules = self.table.rules
        keys = rules.strategy_fact_keys(strategy) if strategy in rules.strategies else ()
        read = set(map(feature_name, (*keys, *rules.regime_fact_keys)))
        return [name for name in self.names if name in read]


@dataclass(frozen=True)
class CandleCharts:
    """``symbols`` and ``trades`` say where each chart's columns lie: four of candles, then one an indicator.

    ``read``: names of a trade's indicators by its strategy. ``steps``: by symbol, of prices and of each indicator.
    """

    symbols: dict[str, dict[str, Any]]
    trades: dict[str, dict[str, Any]]
    read: dict[str, dict[str, list[str]]]
    steps: dict[str, dict[str, Any]]
    indicators: dict[str, dict[str, Any]]
    left_out: int


def candle_charts(rows: RunRows, packing: Packing, room: int) -> CandleCharts:
    """Pack them all; where there is not room enough, with less around each trade, and at last without the oldest."""
    views = {symbol: view for symbol in rows.symbols if (view := _view(rows, symbol)) is not None}
    indicators = {name: found for view in views.values() for name, found in _described(view)}
    shown = [trade for trade in rows.trades if trade.symbol in views]
    detail, count = _fitting(shown, views, int(room * SHARE_OF_TRADES))
    views = {symbol: view.coarser(detail.digits_less) for symbol, view in views.items()}
    trades = {
        trade.id: _pack_trade(trade, views[trade.symbol], detail, packing) for trade in shown[len(shown) - count :]
    }
    symbols = _symbols(rows, views, packing, room - packing.size())
    read = {
        symbol: {name: view.read_by(name) for name in {trade.strategy_used for trade in rows.trades}}
        for symbol, view in views.items()
    }
    steps = {symbol: {"price": view.price_step, "indicators": view.steps} for symbol, view in views.items()}
    return CandleCharts(symbols, trades, read, steps, indicators, len(shown) - count)


def _view(rows: RunRows, symbol: str) -> SymbolView | None:
    series = rows.entry_series(symbol)
    rules = rows.rules.for_symbol(symbol)
    read = rows.read_by(symbol)
    if series is None or not rules.candles <= set(read):
        return None
    table = FactTable(rules, read, rows.candles_min, rows.holes[symbol], rows.holes)
    names = sorted({feature_name(key) for key in rules.fact_keys})
    shown = [name for name in names if not _is_plain(table, name)]
    columns = {name: table.column(name) for name in shown}
    tick = step_of_prices(series.open, series.high, series.low, series.close)
    return SymbolView(
        series=series,
        table=table,
        price_step=tick,
        names=shown,
        columns=columns,
        steps={name: _step(column, tick, rules.features[name].unit is Unit.PRICE) for name, column in columns.items()},
    )


def _step(values: FloatArray, tick: float, is_price: bool) -> float:
    """A high or a low of candles is kept exactly, which costs little; anything else to so many digits."""
    there = values[np.isfinite(values)]
    if is_price and len(there) > 0 and step_of_prices(there) >= tick:
        return tick
    return step_of_values(values, DIGITS_OF_A_PRICE if is_price else DIGITS)


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
    """The whole run of each symbol, at the finest multiple of the entry timeframe for which there is room; or none."""
    for candles in (CANDLES_OF_A_SYMBOL, 4_000, 2_500, 1_500, 800, 400, 200):
        tried = Packing()
        for view in views.values():
            _pack_symbol(rows, view, candles, tried)
        if tried.size() <= room:
            return {symbol: _pack_symbol(rows, view, candles, packing) for symbol, view in views.items()}
    return {}


def _pack_symbol(rows: RunRows, view: SymbolView, candles: int, packing: Packing) -> dict[str, Any]:
    series = view.series
    first, end = np.searchsorted(series.open_time_ms, (rows.from_ms, rows.to_ms)).tolist()
    every = _every(series.timeframe.ms, end - first, candles)
    first = max(0, first - int(series.open_time_ms[0] // series.timeframe.ms + first) % every)
    starts = np.arange(first, end, every)
    lasts = np.append(starts[1:], end) - 1
    names = [name for name in view.names if view.table.rules.features[name].unit is not Unit.FLAG]
    place = _pack_candles(
        view,
        packing,
        series.open[starts],
        np.maximum.reduceat(series.high[:end], starts),
        np.minimum.reduceat(series.low[:end], starts),
        series.close[lasts],
    )
    for name in names:
        packing.column(view.columns[name][lasts], view.steps[name])
    return {
        "first_ms": int(series.open_time_ms[first]),
        "step_ms": series.timeframe.ms * every,
        "place": place,
        "names": names,
    }


def _every(step_ms: int, have: int, wanted: int) -> int:
    """How many candles become one: the least usual multiple that leaves no more than wanted."""
    usual_ms = (*sorted(timeframe.ms for timeframe in Timeframe), *(days * DAY_MS for days in (2, 4, 7, 14, 28, 56)))
    multiples = [length // step_ms for length in usual_ms if length >= step_ms and length % step_ms == 0]
    return next((each for each in multiples if -(-have // each) <= wanted), multiples[-1])


def _pack_candles(
    view: SymbolView, packing: Packing, open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray
) -> Place:
    """Close, open over the close before, high over both, low under both; where the first of the four lies."""
    gap = open_ - np.append(close[:1], close[:-1])
    place = packing.column(close, view.price_step)
    for part in (gap, high - np.maximum(open_, close), np.minimum(open_, close) - low):
        packing.column(part, view.price_step)
    return place


def _fitting(trades: list[TradeRow], views: dict[str, SymbolView], room: int) -> tuple[Detail, int]:
    """In how much detail trades fit, and how many of them: all, unless the least detail is still too much."""
    size = 0
    for detail in LESS_AND_LESS:
        size = _size(trades, views, detail)
        if size <= room:
            return detail, len(trades)
    return LESS_AND_LESS[-1], max(0, len(trades) * room // size)


def _size(trades: list[TradeRow], views: dict[str, SymbolView], detail: Detail) -> int:
    """What they would take, judged by some of them."""
    sample = trades[:: max(1, len(trades) // SAMPLE)]
    tried = Packing()
    for trade in sample:
        _pack_trade(trade, views[trade.symbol].coarser(detail.digits_less), detail, tried)
    return tried.size() * len(trades) // max(1, len(sample))


def _pack_trade(trade: TradeRow, view: SymbolView, detail: Detail, packing: Packing) -> dict[str, Any]:
    """From before the signal until after the end, with what its strategy and its regime read."""
    series, step = view.series, view.series.timeframe.ms
    first_ms = int(series.open_time_ms[0])
    signal = (trade.signal_candle_ms - first_ms) // step
    last = ((trade.closed_ms or trade.opened_ms) - first_ms) // step
    last = min(last, signal + CANDLES_OF_A_TRADE)
    part = slice(max(signal - detail.before, 0), min(last + detail.after + 1, series.length))
    place = _pack_candles(view, packing, series.open[part], series.high[part], series.low[part], series.close[part])
    for name in view.read_by(trade.strategy_used):
        packing.column(view.columns[name][part], view.steps[name])
    return {"first_ms": int(series.open_time_ms[part.start]), "step_ms": step, "place": place}
