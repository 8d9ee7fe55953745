"""Markets without anything to find: random walks, and real candles in another order, as restless as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import CandleColumns, FundingColumns
from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import read_step
from fsm.backtest.history import read_market, read_others, step_of
from fsm.search import Prepared
from indicators.candle import Timeframe
from rules.compiled_rules import CompiledRules

Floats = npt.NDArray[np.float64]

WALK, SHUFFLED = "random walk", "shuffled candles"
KINDS = (WALK, SHUFFLED)
TICK_UNKNOWN = Decimal("0.00000001")
"""Of a symbol that rules only read."""

LOG_PRICE_MAX = 18.0
"""A price that wanders farther than this from 1 would leave what an exchange can write down."""


@dataclass(frozen=True)
class Recorded:
    """What markets are made of: the bars and the funding of every symbol that is traded or read."""

    candles: Mapping[str, CandleColumns]
    funding: Mapping[str, FundingColumns | None]


def recorded(prepared: Prepared) -> Recorded:
    """Read from the folders of a request."""
    request = prepared.request
    folders, step = CandleFolders(request.data, request.instead), step_of(prepared.entry)
    read = {read.symbol for rules in _rules(prepared) for read in rules.others}
    candles = {symbol: read_step(folders, symbol, step) for symbol in sorted({*prepared.ground.symbols, *read})}
    return Recorded(candles, {symbol: folders.funding(symbol) for symbol in prepared.ground.symbols})


class MadeFolders(CandleFolders):
    """Candles that were made up, and no file: funding is the real one, marks are smoothed, nothing is finer."""

    def __init__(self, made: Recorded) -> None:
        self._made = made

    def parts(self, symbol: str, timeframe: Timeframe) -> CandleColumns:
        return self._made.candles[symbol]

    def mark(self, symbol: str) -> CandleColumns | None:
        return None

    def intrabar(self, symbol: str, timeframe: Timeframe = Timeframe.H1) -> tuple[CandleColumns, ...]:
        return ()

    def funding(self, symbol: str) -> FundingColumns | None:
        return self._made.funding.get(symbol)


def made_market(prepared: Prepared, real: Recorded, kind: str, seed: int) -> Prepared:
    """What was prepared, on candles of this kind. The same for one seed; symbols move together as they did."""
    ground = prepared.ground
    filters = ground.book.filters
    ticks = {symbol: filters[symbol].tick_size if symbol in filters else TICK_UNKNOWN for symbol in real.candles}
    chance = np.random.Generator(np.random.PCG64([KINDS.index(kind), seed]))
    orders = _orders(list(real.candles.values()), chance, kind)
    made = {
        symbol: _made(columns, order, float(ticks[symbol]), kind)
        for (symbol, columns), order in zip(real.candles.items(), orders, strict=True)
    }
    own = MadeFolders(replace(real, candles=made))
    others = read_others(own, *_rules(prepared))
    markets = tuple(
        read_market(own, market.symbol, each, further=frozenset(market.by_timeframe), others=others)
        for market, each in zip(ground.markets, _rules(prepared), strict=True)
    )
    rules = replace(ground.rules, changes=())  # what was made keeps the ticks that it was made on
    return Prepared(prepared.request, replace(ground, markets=markets, rules=rules))


def _rules(prepared: Prepared) -> list[CompiledRules]:
    return [prepared.request.rules.for_symbol(symbol) for symbol in prepared.ground.symbols]


Drawn = tuple[npt.NDArray[np.int64], Floats]
"""Which candle stands where, and how many deviations each moves."""


def _orders(real: Sequence[CandleColumns], chance: np.random.Generator, kind: str) -> list[Drawn]:
    """For each symbol. Those with the same candles are drawn together, so that what falls together goes on doing so."""
    is_joint = all(np.array_equal(each.open_time_ms, real[0].open_time_ms) for each in real)
    if not is_joint:
        return [_orders([each], chance, kind)[0] for each in real]
    count = real[0].length - 1
    order = chance.permutation(count) if kind == SHUFFLED else chance.integers(0, count, count)
    moves = np.array([np.diff(np.log(each.close)) for each in real])
    drawn = chance.standard_normal((len(real), count))
    joint = np.linalg.cholesky(np.corrcoef(moves) + 1e-9 * np.eye(len(real))) if len(real) > 1 else np.eye(1)
    together = [np.sum([joint[row, each] * drawn[each] for each in range(row + 1)], axis=0) for row in range(len(real))]
    return [(order, moved) for moved in together]


def _made(columns: CandleColumns, drawn: Drawn, tick: float, kind: str) -> CandleColumns:
    order, moved = drawn
    log = {name: np.log(getattr(columns, name)) for name in ("open", "high", "low", "close")}
    body_top, body_end = np.maximum(log["open"], log["close"]), np.minimum(log["open"], log["close"])
    above, below = (log["high"] - body_top)[1:][order], (body_end - log["low"])[1:][order]
    if kind == SHUFFLED:
        gap = (log["open"][1:] - log["close"][:-1])[order]
        body = (log["close"] - log["open"])[1:][order]
    else:
        body = moved * float(np.diff(log["close"]).std())
        gap = np.zeros(len(body))
    close = np.clip(log["close"][0] + np.cumsum(gap + body), -LOG_PRICE_MAX, LOG_PRICE_MAX)
    before = np.concatenate((log["close"][:1], close[:-1]))
    opened = np.clip(before + gap, -LOG_PRICE_MAX, LOG_PRICE_MAX)
    high, low = np.maximum(opened, close) + above, np.minimum(opened, close) - below
    prices = [
        _prices(log[name][:1], made, tick)
        for name, made in (("open", opened), ("high", high), ("low", low), ("close", close))
    ]
    return CandleColumns(
        symbol=columns.symbol,
        timeframe=columns.timeframe,
        open_time_ms=columns.open_time_ms,
        open=prices[0],
        high=np.maximum.reduce(prices),
        low=np.minimum.reduce(prices),
        close=prices[3],
        volume=np.concatenate((columns.volume[:1], columns.volume[1:][order])),
    )


def _prices(first: Floats, rest: Floats, tick: float) -> Floats:
    """Prices at the tick, and one tick at least."""
    decimals = max(0, -int(np.floor(np.log10(tick) + 1e-9)))
    return np.maximum(np.round(np.exp(np.concatenate((first, rest))), decimals), tick)
