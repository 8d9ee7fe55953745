"""What a backtest stands on, read once: what is asked for, the markets, the rules of the symbols, and the range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from exchange.candle_columns import CandleFileError
from exchange.candle_files import CandleFolders
from exchange.sim.playback.rulebook import Rulebook
from fsm.backtest.history import Anchors, Market, data_hash, read_market, read_others
from fsm.backtest.injecting import NOTHING, Injected
from fsm.backtest.result import iso
from fsm.backtest.rules_through import RulesThrough, ToldRules, rules_through
from fsm.config import Config
from indicators.candle import Timeframe
from indicators.series import SeriesError
from rules.load import Ruleset

Progress = Callable[[str, int, int], None]
"""Told of (phase, done, total) while long work goes on."""


class BacktestError(Exception):
    """A request that cannot be carried out; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run. ``symbols`` empty: those that config.yaml enables; ``from_ms``/``to_ms`` None: all the data has.

    ``instead``: folders for symbols that ``data`` has nothing of.
    ``to_ms`` is exclusive. ``db`` None: the journal is written to a temporary file and only its hash is kept.
    ``anchors``: the first candle of a symbol's timeframes, where a daemon's history began; None: all that there is.
    ``told``: what an exchange said of its symbols, which wins over what files and candles tell.
    ``are_rules_held``: those that it begins with, as the simulator does. ``injected``: what a bot lived through.
    """

    config: Config
    rules: Ruleset
    data: tuple[Path, ...]
    instead: tuple[Path, ...] = ()
    symbols: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    db: Path | None = None
    every_candle: bool = False
    native: bool = False
    anchors: Anchors | None = None
    told: tuple[ToldRules, ...] = ()
    are_rules_held: bool = False
    injected: Injected = NOTHING


def quiet(phase: str, done: int, total: int) -> None:
    """Nobody listens."""
    del phase, done, total


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What was read for a request. Runs of other rules or settings may stand on the same one."""

    symbols: tuple[str, ...]
    markets: tuple[Market, ...]
    rules: RulesThrough
    from_ms: int
    to_ms: int

    @property
    def book(self) -> Rulebook:
        """The rules of the symbols that it begins with."""
        return self.rules.book

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that a run reads."""
        return data_hash([*self.markets])

    def over(self, request: Request) -> Ground:
        """The same markets over another range. Raises BacktestError."""
        from_ms, to_ms = _span(request, self.markets)
        rules = _rules_through(request, self.markets, from_ms, to_ms)
        return replace(self, rules=rules, from_ms=from_ms, to_ms=to_ms)


def read_ground(request: Request, progress: Progress = quiet, further: frozenset[Timeframe] = frozenset()) -> Ground:
    """``further``: timeframes beside those that the request's rules read. Raises BacktestError."""
    symbols = _symbols(request)
    _rulebook(request, symbols, request.from_ms)
    markets = _load(request, symbols, progress, further)
    from_ms, to_ms = _span(request, markets)
    rules = _rules_through(request, markets, from_ms, to_ms)
    return Ground(symbols=symbols, markets=markets, rules=rules, from_ms=from_ms, to_ms=to_ms)


def _symbols(request: Request) -> tuple[str, ...]:
    settings = request.config.settings
    wanted = request.symbols or settings.enabled_symbols
    if not wanted and settings.symbol_list is not None:
        raise BacktestError(
            "config.yaml chooses symbols by a rule (top_by), and what it would have chosen in the past is not known: "
            "name symbols with --symbols, and mind that today's largest were chosen by how they ended"
        )
    if not wanted:
        raise BacktestError("no symbol is enabled: enable one in config.yaml or name some with --symbols")
    return tuple(sorted(set(wanted)))


def _rulebook(request: Request, symbols: tuple[str, ...], at_ms: int | None) -> Rulebook:
    """The rules as of a moment. Raises BacktestError where some are not known of a symbol."""
    try:
        book = Rulebook.read((*request.instead, *request.data), at_ms)
    except CandleFileError as error:
        raise BacktestError(str(error)) from error
    told = {symbol for each in request.told for symbol in {*each.filters} & {*each.brackets}}
    if missing := book.missing([symbol for symbol in symbols if symbol not in told]):
        raise BacktestError(missing)
    return book


def _rules_through(request: Request, markets: tuple[Market, ...], from_ms: int, to_ms: int) -> RulesThrough:
    """Raises BacktestError where some rules are not known of a symbol."""
    symbols = tuple(market.symbol for market in markets)
    return rules_through(
        lambda at_ms: _rulebook(request, symbols, at_ms),
        {market.symbol: market.feed.shown_decimals for market in markets},
        from_ms,
        to_ms,
        told=request.told,
        are_held=request.are_rules_held,
    )


def _load(
    request: Request, symbols: tuple[str, ...], progress: Progress, further: frozenset[Timeframe]
) -> tuple[Market, ...]:
    try:
        folders = CandleFolders(request.data, request.instead)
        markets = []
        others = read_others(folders, *map(request.rules.for_symbol, symbols), native=request.native)
        for done, symbol in enumerate(symbols):
            progress("load", done, len(symbols))
            rules = request.rules.for_symbol(symbol)
            market = read_market(folders, symbol, rules, native=request.native, further=further, others=others)
            markets.append(market if request.anchors is None else market.anchored(request.anchors))
        progress("load", len(symbols), len(symbols))
    except (CandleFileError, SeriesError) as error:
        raise BacktestError(str(error)) from error
    return tuple(markets)


def _span(request: Request, markets: tuple[Market, ...]) -> tuple[int, int]:
    """The first and the last close that may be decided on, cut to what the data covers."""
    short = [market.symbol for market in markets if not market.opens_ms]
    if short:
        raise BacktestError(f"the data has no whole candle of {markets[0].series.timeframe} of {', '.join(short)}")
    first = min(market.opens_ms[0] for market in markets)
    entry = markets[0].series.timeframe
    last = max(market.opens_ms[-1] + entry.ms for market in markets)
    from_ms = max(first, request.from_ms if request.from_ms is not None else first)
    to_ms = min(last, request.to_ms if request.to_ms is not None else last)
    if from_ms >= to_ms:
        raise BacktestError(f"the data covers {iso(first)} to {iso(last)}, nothing of what --from and --to ask for")
    if entry.floor(from_ms) >= entry.floor(to_ms):
        raise BacktestError(f"no candle of {entry}, at whose close decisions fall, lies whole between --from and --to")
    return entry.floor(from_ms), entry.floor(to_ms)
