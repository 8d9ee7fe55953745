"""One symbol's whole history, read once: candles, mark, funding, and what the rules say at every candle."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import CandleColumns, FundingColumns
from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed, aggregated, read_step
from fsm.backtest.whole_series import carried_over, holes_in
from fsm.core.candle_close import candle_hole
from indicators.candle import Timeframe
from indicators.holes import Hole
from indicators.series import FloatArray, Series
from rules.batch import REASONS, SignalTrack, regimes, signals
from rules.compiled_rules import CompiledRules
from rules.facts import FactTable
from rules.features import CandlesRead, OtherCandles
from rules.load import Ruleset
from rules.moment_words import FUNDING, PREMIUM, premiums, settled_before
from rules.regime import RegimeState
from rules.regime_track import RegimeTrack
from rules.source.short_forms import NO_TRADE
from rules.strategy import Reason
from rules.warmup import CLASSIFIER, warming_up

Anchors = Mapping[str, Mapping[Timeframe, int]]
"""Symbol → timeframe → open time of the first candle."""

BLOCKED = -1_000
"""Code of a candle at which nothing may be opened, less the hole in the candles that says so and the regime."""

WARMING = -100_000_000
"""Code of a candle at which the rules could not be asked yet, less what of the candles is short and the regime."""

UNROUTED = 10_000
"""Code of a candle at which no strategy may trade, and the regime: more than ``REASONS_MAX`` for each strategy of each
regime that a rules file can have."""

REASONS_MAX, STRATEGIES_MAX = 16, 10
SIGNALS, NO_SETUP, UNKNOWN_FACTS = map(REASONS.index, (Reason.SIGNAL, Reason.NO_SETUP, Reason.UNKNOWN_FACTS))

SIGNAL = -1
"""Code of a candle at which a strategy signals, whatever becomes of it."""


@dataclass(frozen=True)
class Others:
    """Candles of other symbols that rules read, and the holes over which they were carried, by symbol."""

    series: dict[OtherCandles, Series] = field(default_factory=dict)
    holes: dict[str, tuple[Hole, ...]] = field(default_factory=dict)

    def of(self, candles: Iterable[OtherCandles]) -> Others:
        """Those that are read there."""
        series = {read: self.series[read] for read in candles}
        holes = {read.symbol: self.holes[read.symbol] for read in series}
        return Others(
            series,
            {
                symbol: tuple(hole for hole in found if OtherCandles(symbol, hole.timeframe) in series)
                for symbol, found in holes.items()
            },
        )


@dataclass(frozen=True)
class Market:
    """What happened at the exchange: prices and funding of one symbol, at the entry timeframe."""

    symbol: str
    series: Series
    by_timeframe: dict[Timeframe, Series]
    feed: SymbolFeed
    feed_digest: bytes
    holes: tuple[Hole, ...] = ()
    others: Others = field(default_factory=Others)

    @cached_property
    def opens_ms(self) -> range:
        """Open times of the entry candles, of which none is missing."""
        first_ms = self.series.open_time_ms.item(0) if self.series.length else 0
        return range(first_ms, first_ms + self.series.length * self._entry_ms, self._entry_ms)

    @cached_property
    def _entry_ms(self) -> int:
        return self.series.timeframe.ms

    @cached_property
    def carried_ms(self) -> frozenset[int]:
        """Open times of the entry candles that nobody could have decided on: the exchange never had them."""
        return frozenset(
            open_ms
            for hole in self.holes
            if hole.timeframe is self.series.timeframe
            for open_ms in range(hole.first_ms, hole.end_ms, hole.timeframe.ms)
        )

    @cached_property
    def blocked_ms(self) -> list[tuple[int, int]]:
        """Stretches (first, end) of open times at which nothing may be opened behind a hole."""
        entry = self.series.timeframe
        every = dict.fromkeys(chain(self.holes, *self.others.holes.values()))
        return [(hole.first_ms, hole.blocks_until_ms(entry)) for hole in every]

    def blocked_until_ms(self, open_ms: int) -> int:
        """As a bot knows it that was there from the beginning."""
        return max((until for first, until in self.blocked_ms if first <= open_ms), default=0)

    def index_at(self, open_ms: int) -> int | None:
        """Index of the candle that opens at this instant, if there was one: the series is carried over holes."""
        index = (open_ms - self.opens_ms[0]) // self._entry_ms
        return index if 0 <= index < len(self.opens_ms) and open_ms not in self.carried_ms else None

    def anchored(self, anchors: Anchors) -> Market:
        """The same market, seen by somebody whose candles begin with these."""

        def seen(symbol: str, series: Series) -> Series:
            first_ms = anchors.get(symbol, {}).get(series.timeframe)
            return series if first_ms is None else series.since(first_ms)

        own = {timeframe: seen(self.symbol, series) for timeframe, series in self.by_timeframe.items()}
        others = {read: seen(read.symbol, series) for read, series in self.others.series.items()}
        return replace(
            self, series=own[self.series.timeframe], by_timeframe=own, others=Others(others, self.others.holes)
        )

    @property
    def every_series(self) -> Mapping[CandlesRead, Series]:
        """What its rules read, of this symbol and of others."""
        found: dict[CandlesRead, Series] = dict(self.by_timeframe.items())
        found.update(self.others.series.items())
        return found

    def moments(self, rules: CompiledRules) -> dict[str, FloatArray]:
        """What strategies ask of the moment of a decision, at each entry candle's close."""
        closes_ms = self.series.open_time_ms + self._entry_ms
        found: dict[str, FloatArray] = {}
        if FUNDING in rules.moment_words:
            times = np.array(list(self.feed.funding_times()), dtype=np.int64)
            rates = np.array([float(self.feed.funding(at_ms) or 0) for at_ms in times.tolist()])
            found[FUNDING] = settled_before(times, rates, closes_ms)
        if PREMIUM in rules.moment_words:
            quotes = [self.feed.opening(close_ms) for close_ms in closes_ms.tolist()]
            mark, last = (
                np.array([float(price(quote)) if quote is not None else np.nan for quote in quotes])
                for price in (attrgetter("mark"), attrgetter("last"))
            )
            found[PREMIUM] = premiums(mark, last)
        return found

    def only(self, rules: CompiledRules) -> Market:
        """The same market, seen by rules that read less of what was read."""
        kept = {timeframe: series for timeframe, series in self.by_timeframe.items() if timeframe in rules.timeframes}
        if rules.candles == set(self.every_series):
            return self
        holes = tuple(hole for hole in self.holes if hole.timeframe in kept)
        return replace(self, by_timeframe=kept, holes=holes, others=self.others.of(rules.others))

    def digest(self) -> bytes:
        """SHA-256 of every number a run can read from this market."""
        found = hashlib.sha256(self.symbol.encode())
        others = (self.others.series[read] for read in sorted(self.others.series, key=str))
        for series in (self.series, *(self.by_timeframe[t] for t in sorted(self.by_timeframe)), *others):
            for column in (series.open_time_ms, series.open, series.high, series.low, series.close, series.volume):
                found.update(column.tobytes())
        found.update(self.feed_digest)
        return found.digest()


def read_market(
    folders: CandleFolders,
    symbol: str,
    rules: CompiledRules,
    *,
    native: bool = False,
    candles_only: bool = False,
    further: frozenset[Timeframe] = frozenset(),
    others: Others | None = None,
) -> Market:
    """Read and check the files of one symbol and its rules. Raises CandleFileError or SeriesError.

    ``candles_only``: without what only the exchange reads, where nothing is traded. ``further``: timeframes beside
    those that the rules read. ``others``: what was read already.
    """
    entry = rules.entry_timeframe
    step = step_of(entry)
    candles = read_step(folders, symbol, step)
    by_timeframe, missing = _read(folders, candles, rules.timeframes | further, native=native)
    mark = None if candles_only else folders.mark(symbol)
    intrabar = () if candles_only else folders.intrabar(symbol, step)
    funding = None if candles_only else folders.funding(symbol)
    beside = () if step in by_timeframe else (candles,)
    found = read_others(folders, rules, native=native) if others is None else others.of(rules.others)
    return Market(
        symbol=symbol,
        series=by_timeframe[entry],
        by_timeframe=by_timeframe,
        holes=missing,
        others=found,
        feed=SymbolFeed(candles=candles, mark=mark, intrabar=intrabar, funding=funding),
        feed_digest=_feed_digest(mark, (*beside, *intrabar), funding),
    )


def read_others(folders: CandleFolders, *rules: CompiledRules, native: bool = False) -> Others:
    """The candles of other symbols that these rules read, each once. Raises CandleFileError or SeriesError."""
    found = Others()
    for symbol in sorted({read.symbol for each in rules for read in each.others}):
        timeframes = frozenset(read.timeframe for each in rules for read in each.others if read.symbol == symbol)
        candles = read_step(folders, symbol, step_of(rules[0].entry_timeframe))
        series, found.holes[symbol] = _read(folders, candles, timeframes, native=native)
        found.series.update({OtherCandles(symbol, timeframe): each for timeframe, each in series.items()})
    return found


def _read(
    folders: CandleFolders, candles: CandleColumns, timeframes: frozenset[Timeframe], *, native: bool
) -> tuple[dict[Timeframe, Series], tuple[Hole, ...]]:
    """One symbol's candles of each timeframe, carried over the holes, and these."""
    wanted = sorted(timeframes, key=lambda timeframe: timeframe.ms)
    columns = {timeframe: _columns(folders, candles, timeframe, native=native) for timeframe in wanted}
    missing = chain.from_iterable(holes_in(columns[timeframe]) for timeframe in wanted)
    return {timeframe: carried_over(found) for timeframe, found in columns.items()}, tuple(missing)


def step_of(entry: Timeframe) -> Timeframe:
    """The bars in which prices move between decisions: an hour, or the entry timeframe where that is shorter."""
    return min(entry, Timeframe.H1, key=lambda timeframe: timeframe.ms)


def _columns(folders: CandleFolders, candles: CandleColumns, timeframe: Timeframe, *, native: bool) -> CandleColumns:
    if timeframe is candles.timeframe:
        return candles
    own = native and timeframe.ms > Timeframe.H1.ms
    return folders.candles(candles.symbol, timeframe) if own else aggregated(candles, timeframe)


def _feed_digest(
    mark: CandleColumns | None, intrabar: tuple[CandleColumns, ...], funding: FundingColumns | None
) -> bytes:
    """SHA-256 of what only the exchange reads."""
    found = hashlib.sha256()
    for columns in (*([] if mark is None else [mark]), *intrabar):
        for column in (columns.open_time_ms, columns.open, columns.high, columns.low, columns.close):
            found.update(column.tobytes())
    if funding is not None:
        found.update(funding.time_ms.tobytes() + funding.rate.tobytes())
    return found.digest()


@dataclass(frozen=True)
class History:
    """A market with what the rules say at each of its candles, computed over arrays before anything trades."""

    market: Market
    rules: CompiledRules
    table: FactTable
    regimes: RegimeTrack
    codes: npt.NDArray[np.int64]
    signals: dict[str, SignalTrack]

    @cached_property
    def _changes(self) -> tuple[list[int], list[int]]:
        """Indexes of candles that the symbol makes something else of than of the one before, by code and by regime.

        A candle that was carried is one of them: what happens there is not told by its code.
        """
        carried = self.table.carried
        always = carried | np.concatenate(([False], carried[:-1]))
        regimes_, codes = self.regimes.codes, self.codes
        by_regime = np.flatnonzero((np.diff(regimes_, prepend=regimes_[:1]) != 0) | always)
        by_code = np.flatnonzero((np.diff(codes, prepend=codes[:1]) != 0) | (codes == SIGNAL) | always)
        return by_code.tolist(), by_regime.tolist()

    def codes_change_after(self, index: int) -> int:
        """The first later candle with another code, or that asks for the engine; the number of candles if none has."""
        return self._next(self._changes[0], index)

    def regime_changes_after(self, index: int) -> int:
        """The first later candle that brings another regime; the number of candles if none does."""
        return self._next(self._changes[1], index)

    def _next(self, changes: list[int], index: int) -> int:
        place = bisect_right(changes, index)
        return changes[place] if place < len(changes) else self.table.length

    def regime_state(self, index: int) -> RegimeState:
        return self.regimes.state_at(index)

    def quiet_verdict(self, index: int) -> tuple[str, str]:
        """(outcome, reason) of a candle at which an idle symbol does nothing; only where the code is not SIGNAL."""
        if WARMING < self.codes[index] <= BLOCKED:
            return "BLOCKED", candle_hole(self.market.blocked_until_ms(self.market.opens_ms[index]))
        route, strategy = self.rules.route(self.regime(index)), self.telling(index)
        outcome = "NO_TRADE" if strategy is None else "NO_SIGNAL"
        if self.codes[index] <= WARMING:
            who = strategy or CLASSIFIER
            return outcome, warming_up(self.table.warmup.said(who, int(self.table.shortage(who)[index])))
        if strategy is None:
            return outcome, route.reason
        return outcome, REASONS[int(self.signals[strategy].reasons[index])].value

    def regime(self, index: int) -> str:
        """The regime in force after a candle."""
        return self.regimes.names[int(self.regimes.codes[index])]

    def telling(self, index: int) -> str | None:
        """The strategy that answers for a candle without a signal, as ``CompiledRules.seek`` has it."""
        strategies = self.rules.route(self.regime(index)).strategies
        telling = (name for name in strategies if int(self.signals[name].reasons[index]) != NO_SETUP)
        return next(chain(telling, strategies), None)


def build_history(market: Market, ruleset: Ruleset, candles_min: int) -> History:
    """Compute features, regimes and signals of a whole market."""
    rules = ruleset.for_symbol(market.symbol)
    table = FactTable(rules, market.every_series, candles_min, market.holes, market.others.holes)
    table.know(market.moments(rules))
    track = regimes(table)
    routed = {regime: rules.route(regime).strategies for regime in track.names}
    by_strategy = {name: signals(table, name) for name in sorted({*chain.from_iterable(routed.values())})}
    codes = np.zeros(table.length, dtype=np.int64)
    for code, regime in enumerate(track.names):
        here = np.flatnonzero(track.codes == code)
        if routed[regime]:
            codes[here] = _asked(table, {name: by_strategy[name].reasons[here] for name in routed[regime]}, code, here)
            continue
        short = table.shortage(CLASSIFIER)[here] if regime == NO_TRADE else np.zeros(len(here), dtype=np.int64)
        codes[here] = np.where(short > 0, _warming(short, STRATEGIES_MAX * code), UNROUTED + code)
    for number, (first_ms, until_ms) in enumerate(market.blocked_ms):
        blocked = (table.candle_ms >= first_ms) & (table.candle_ms < until_ms)
        codes[blocked] = BLOCKED - number * len(track.names) - track.codes[blocked].astype(np.int64)
    table.let_go()
    return History(market, rules, table, track, codes, by_strategy)


def _asked(
    table: FactTable, readings: Mapping[str, npt.NDArray[np.int8]], regime: int, rows: npt.NDArray[np.intp]
) -> npt.NDArray[np.int64]:
    """Codes of a regime's candles, from what each of its strategies makes of them, the first one first."""
    codes = np.zeros(len(rows), dtype=np.int64)
    is_told = np.zeros(len(rows), dtype=np.bool_)
    for tells in (True, False):
        for place, (strategy, reasons) in enumerate(readings.items()):
            here = ~is_told & ((reasons != NO_SETUP) == tells)
            short, who = table.shortage(strategy)[rows], place + STRATEGIES_MAX * regime
            found = np.where(
                (reasons == UNKNOWN_FACTS) & (short > 0),
                _warming(short, who),
                reasons.astype(np.int64) + REASONS_MAX * who,
            )
            codes[here] = found[here]
            is_told |= here
    return np.where(np.logical_or.reduce([reasons == SIGNALS for reasons in readings.values()]), SIGNAL, codes)


def _warming(short: npt.NDArray[np.int64], who: int) -> npt.NDArray[np.int64]:
    """Codes of what is short; ``who`` tells the strategy and its regime apart."""
    return WARMING - short * (UNROUTED // REASONS_MAX) - who


def data_hash(markets: list[Market]) -> str:
    """SHA-256 over everything the run reads."""
    found = hashlib.sha256()
    for market in markets:
        found.update(market.digest())
    return found.hexdigest()
