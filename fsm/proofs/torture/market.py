"""The market of a run: recorded candles, and clones of them under invented names where there are too few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace as changed

from exchange.candle_columns import CandleColumns
from exchange.candle_files import CandleFolders
from exchange.filters import SymbolFilters
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import Row, shipped_brackets, shipped_exchange_info, shipped_filters, symbol_rows
from exchange.types import Bracket

SHIFT_HOURS = 331
"""Each round of clones lies so many hours later in the recording than the one before."""

WARM_UP_HOURS = 310


class Market:
    """Feeds, filters and brackets by symbol, and the span in which a run may lie."""

    def __init__(self, folders: Sequence[Path], count: int) -> None:
        """The first ``count`` symbols of the folders, clones after them. Raises CandleFileError."""
        known, filters, brackets = CandleFolders(folders), shipped_filters(), shipped_brackets()
        names = [name for name in known.symbols() if name in filters and name in brackets]
        self.feeds: dict[str, SymbolFeed] = {}
        self.filters: dict[str, SymbolFilters] = {}
        self.brackets: dict[str, tuple[Bracket, ...]] = {}
        self._origins: dict[str, str] = {}
        for number in range(count):
            origin, turn = names[number % len(names)], number // len(names)
            symbol = origin if turn == 0 else f"{origin.removesuffix('USDT')}{turn}USDT"
            self.feeds[symbol] = SymbolFeed.read(known, origin) if turn == 0 else _clone(known, origin, symbol, turn)
            self.filters[symbol] = changed(filters[origin], symbol=symbol)
            self.brackets[symbol] = brackets[origin]
            self._origins[symbol] = origin
        self.first_ms = max(feed.start_ms for feed in self.feeds.values()) + WARM_UP_HOURS * 3_600_000
        self.last_ms = min(feed.end_ms for feed in self.feeds.values())

    def exchange_info(self) -> Row:
        """What the exchange tells of these symbols, clones as if it listed them."""
        info = dict(shipped_exchange_info())
        rows = {str(row["symbol"]): row for row in symbol_rows(info)}
        info["symbols"] = [{**rows[origin], "symbol": symbol} for symbol, origin in self._origins.items()]
        return info

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.feeds)


def _clone(folders: CandleFolders, origin: str, symbol: str, turn: int) -> SymbolFeed:
    """What the origin did some weeks later, as if it happened now."""
    shift = SHIFT_HOURS * turn
    mark = folders.mark(origin)
    return SymbolFeed(
        candles=_shifted(folders.candles(origin), symbol, shift),
        mark=None if mark is None else _shifted(mark, symbol, shift),
        funding=folders.funding(origin),
    )


def _shifted(columns: CandleColumns, symbol: str, hours: int) -> CandleColumns:
    times = columns.open_time_ms - hours * 3_600_000
    kept = times >= columns.open_time_ms[0]
    return replace(
        columns,
        symbol=symbol,
        open_time_ms=times[kept],
        open=columns.open[kept],
        high=columns.high[kept],
        low=columns.low[kept],
        close=columns.close[kept],
        volume=columns.volume[kept],
    )


@lru_cache(maxsize=2)
def market_of(folders: tuple[Path, ...], count: int) -> Market:
    """Read once a process; nothing changes it."""
    return Market(folders, count)
