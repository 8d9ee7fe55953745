"""Measures where stops fill: the same stops with hourly candles alone and with finer ones; draws docs/fill-model.md.

``python -m benchmarks.fill_model DIR…`` prints the tables from the folders' hourly candles and the finer ones in
``intrabar``. A stop lies two ATR(14) beyond an hour's open and is hit within that hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from exchange.candle_files import CandleFolders
from exchange.filters import Rounding, SymbolFilters, decimal_of
from exchange.sim.core.pricing import depth_share
from exchange.sim.core.venue import Venue
from exchange.sim.playback.candle_path import Bar
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.price_walk import PriceWalk
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.types import AlgoRequest, ConditionalType, OrderRequest, OrderType, Side, WorkingType
from fsm.backtest.whole_series import as_told
from indicators.candle import Timeframe
from indicators.catalog import resolve

ATRS = 2
SHARE = Decimal("0.25")
BALANCE, NOTIONAL = Decimal(100_000), Decimal(1_000)
HOUR_MS = Timeframe.H1.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop that was hit within its hour. Fills are in R beyond the stop: 0.1 is a tenth of the planned loss more.

    ``today``: filled at its trigger; ``hourly``: by the hour's candle; ``finer``: by the finer ones; ``closed``: where
    the finer candle that hit it closed, which is where the market went.
    """

    symbol: str
    side: Side
    hour_ms: int
    finer_than: Timeframe
    today: float
    hourly: float
    finer: float
    closed: float


def measured(folders: CandleFolders, sides: Sequence[Side] = (Side.BUY,), share: Decimal = SHARE) -> list[Stop]:
    """Every such stop in the hours that finer candles cover. Raises CandleFileError."""
    known = shipped_filters()
    names = [name for name in folders.symbols() if name in known and folders.intrabar(name)]
    return [stop for name in names for side in sides for stop in _of_symbol(folders, name, side, share)]


def _of_symbol(folders: CandleFolders, symbol: str, side: Side, share: Decimal) -> Iterator[Stop]:
    filters, hours = shipped_filters()[symbol], folders.candles(symbol)
    atr = resolve("atr", {"period": 14}).batch(as_told(hours))
    rough, fine = SymbolFeed(candles=hours), SymbolFeed(candles=hours, intrabar=folders.intrabar(symbol))
    for index in range(1, hours.length):
        hour_ms = int(hours.open_time_ms[index])
        risk = ATRS * float(atr[index - 1])
        whole, parts = rough.bar(hour_ms), fine.bar(hour_ms)
        if not np.isfinite(risk) or whole is None or parts is None or len(parts) == 1:
            continue
        rounding = Rounding.DOWN if side is Side.BUY else Rounding.UP
        price = filters.round_price(decimal_of(float(hours.open[index]) - side.sign * risk), rounding)
        hit = [part for part in parts if _reaches(part.last.low, part.last.high, price, side)]
        if not hit:
            continue

        def beyond(filled: Decimal, price: Decimal = price, risk: float = risk) -> float:
            return float((price - filled) * side.sign) / risk

        yield Stop(
            symbol=symbol,
            side=side,
            hour_ms=hour_ms,
            finer_than=Timeframe.M1 if hit[0].end_ms - hit[0].open_ms <= 2 * Timeframe.M1.ms else Timeframe.M5,
            today=beyond(_filled(whole, side, price, filters, Decimal(0))),
            hourly=beyond(_filled(whole, side, price, filters, share)),
            finer=beyond(_filled(parts, side, price, filters, share)),
            closed=beyond(hit[0].last.close),
        )


def _reaches(low: Decimal, high: Decimal, price: Decimal, side: Side) -> bool:
    return low <= price if side is Side.BUY else high >= price


def _filled(bar: Bar, side: Side, stop: Decimal, filters: SymbolFilters, share: Decimal) -> Decimal:
    """Where the simulated exchange fills a stop of a position that was opened at the bar's open."""
    symbol = filters.symbol
    venue = Venue(
        filters={symbol: filters},
        brackets={symbol: shipped_brackets()[symbol]},
        balance=BALANCE,
        slippage=Decimal(0),
        stop_depth=share,
    )
    venue.state.now_ms = bar[0].open_ms
    walk = PriceWalk(venue, {symbol: bar})
    _played(walk.open())
    quantity = filters.covering_quantity(NOTIONAL / stop)
    venue.place_order(
        OrderRequest(symbol=symbol, client_id="entry", side=side, type=OrderType.MARKET, quantity=quantity)
    )
    venue.place_algo(
        AlgoRequest(
            symbol=symbol,
            client_id="stop",
            side=side.opposite,
            type=ConditionalType.STOP_MARKET,
            trigger_price=stop,
            working_type=WorkingType.CONTRACT_PRICE,
            close_position=True,
        )
    )
    _played(walk.run(bar[-1].end_ms))
    return venue.state.fills[-1].price


def _played(batches: Iterator[object]) -> None:
    for _ in batches:
        pass


def page(stops: Sequence[Stop]) -> list[str]:
    """The tables of docs/fill-model.md."""
    lines = ["| candle | share of its way |", "|---|---|"]
    for length in (Timeframe.M1, Timeframe.M3, Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1):
        lines.append(f"| {length} | {depth_share(SHARE, length.ms):.3f} |")
    lines += ["", "| R beyond the stop | mean | 95 % | largest |", "|---|---|---|---|"]
    columns = {
        "at the trigger, as before": [stop.today for stop in stops],
        "by hourly candles": [stop.hourly for stop in stops],
        "by finer candles": [stop.finer for stop in stops],
        "where the finer candle closed": [stop.closed for stop in stops],
        "hourly less finer, as an amount": [abs(stop.hourly - stop.finer) for stop in stops],
        "before less finer, as an amount": [abs(stop.today - stop.finer) for stop in stops],
    }
    for name, values in columns.items():
        found = np.array(values) + 0.0  # no -0.0
        lines.append(f"| {name} | {found.mean():.3f} | {np.percentile(found, 95):.3f} | {found.max():.3f} |")
    return lines


def paths(folders: CandleFolders) -> list[str]:
    """How often an hour visited its low first, by the finer candles: what a path without them has to guess."""
    rising, falling = [0, 0], [0, 0]
    for name in folders.symbols():
        for feed in [SymbolFeed.read(folders, name)] if folders.intrabar(name) else []:
            for hour_ms in range(feed.start_ms, feed.end_ms, HOUR_MS):
                parts = feed.bar(hour_ms)
                if parts is None or len(parts) == 1:
                    continue
                lows, highs = [part.last.low for part in parts], [part.last.high for part in parts]
                kind = rising if parts[-1].last.close >= parts[0].last.open else falling
                kind[lows.index(min(lows)) <= highs.index(max(highs))] += 1
    lines = ["| hours that | low first | high first |", "|---|---|---|"]
    for name, (high_first, low_first) in (("rise", rising), ("fall", falling)):
        every = max(1, high_first + low_first)
        lines.append(f"| {name} ({every}) | {100 * low_first / every:.0f} % | {100 * high_first / every:.0f} % |")
    return lines
