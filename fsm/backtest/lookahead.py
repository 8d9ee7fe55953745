"""Decides again without the future: every fact, regime, signal and trade must come out as it did with all the candles.

Three looks, each of which sees what the others may not:

* candle by candle, as a running bot is fed: no candle is there before it has closed. Every fact, regime and signal of
  every candle is compared with those that a backtest computes over whole columns.
* columns again over candles that end at a decision, for decisions spread over the whole range.
* whole backtests over candles that end earlier: each trade that was over by then must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fsm.backtest.ground import Ground, Request
from fsm.backtest.history import SIGNAL, History, Market, Others, build_history
from fsm.backtest.run import run_backtest
from fsm.core.model.records import Trade
from indicators.candle import Candle
from indicators.holes import Hole
from indicators.series import Series
from rules.compiled_rules import CompiledRules
from rules.facts import Facts, FactStream
from rules.features import CandlesRead, OtherCandles
from rules.language.scalar import known
from rules.load import Ruleset
from rules.regime import RegimeState

CUTS = 200
"""Decisions at which columns are computed again, for each symbol."""

RUNS = 4
"""Backtests that end earlier."""

EACH_MAX = 3
"""Peeks of one kind that are told of a symbol: what peeks once does so at every candle."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peek:
    """Something that is otherwise without the future. ``what``: a fact's key, ``regime``, ``signal`` or ``trade``."""

    symbol: str
    candle_ms: int
    what: str
    with_future: str
    without: str
    look: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """``candles`` were decided on one by one, ``cuts`` columns and ``runs`` backtests computed again."""

    candles: int
    facts: int
    cuts: int
    runs: int
    peeks: tuple[Peek, ...]


def look(request: Request, ground: Ground, progress: Progress, *, cuts: int = CUTS, runs: int = RUNS) -> Looked:
    """Raises BacktestError where the data cannot be used."""
    peeks: list[Peek] = []
    candles = facts = done = 0
    candles_min = request.config.settings.market_data.candles_min
    for place, market in enumerate(ground.markets):
        progress("candles", place, len(ground.markets))
        history = build_history(market, request.rules, candles_min)
        peeks += _first_of_each(_one_by_one(history, request.rules, candles_min))
        candles += history.table.length
        facts += history.table.length * len(history.rules.fact_keys)
        for index in _decisions(history, cuts):
            peeks += _cut(history, request.rules, index, candles_min)
            done += 1
            progress("cuts", done, cuts * len(ground.markets))
    progress("candles", len(ground.markets), len(ground.markets))
    progress("cuts", done, done)
    peeks += _shorter_runs(request, ground, runs, progress)
    return Looked(candles=candles, facts=facts, cuts=done, runs=runs, peeks=tuple(peeks))


def _first_of_each(peeks: Iterator[Peek]) -> list[Peek]:
    found: dict[str, list[Peek]] = {}
    for peek in peeks:
        same = found.setdefault(peek.what, [])
        if len(same) < EACH_MAX:
            same.append(peek)
    return [peek for each in found.values() for peek in each]


def _one_by_one(history: History, ruleset: Ruleset, candles_min: int) -> Iterator[Peek]:
    """Feed the candles as they close, and decide at each one as a running bot does."""
    market, rules, table = history.market, history.rules, history.table
    stream, state = FactStream(rules, candles_min), RegimeState()
    index = 0
    for closes_ms, fed in _closes(market):
        for read, candle, is_new in fed:
            if is_new:
                stream.restart(read)
            stream.update(read, candle)
        opens_ms = closes_ms - market.series.timeframe.ms
        if index >= table.length or market.opens_ms[index] != opens_ms:
            continue
        if not table.carried[index]:
            facts, seen = stream.facts(), table.facts_at(index)
            for key, value in facts.items():
                if seen[key] != value:
                    yield _peek(history, index, key, seen[key], value, "one by one")
            state = rules.classify(facts, state, opens_ms)
            yield from _decided_otherwise(history, index, _whole(rules, facts, seen, state), state)
        index += 1


def _whole(rules: CompiledRules, facts: Facts, seen: Facts, state: RegimeState) -> Facts:
    """With the regime as it was told one by one; what is of the moment was not made of candles."""
    return rules.with_regime(facts, state) | {word: seen[word] for word in rules.moment_words}


def _decided_otherwise(history: History, index: int, facts: Facts, state: RegimeState) -> Iterator[Peek]:
    if (regime := history.regime(index)) != state.regime:
        yield _peek(history, index, "regime", regime, state.regime, "one by one")
        return
    if _is_blocked(history, index):
        return
    reading = history.rules.seek(history.rules.route(regime), facts, traced=False)
    has_signal, found = history.codes[index] == SIGNAL, None if reading is None else reading.side
    if has_signal != (found is not None):
        yield _peek(history, index, "signal", "signal" if has_signal else "none", found or "none", "one by one")


def _is_blocked(history: History, index: int) -> bool:
    """Behind a hole nothing is opened, whatever signals."""
    open_ms = history.market.opens_ms[index]
    return open_ms < history.market.blocked_until_ms(open_ms)


def _closes(market: Market) -> Iterator[tuple[int, list[tuple[CandlesRead, Candle, bool]]]]:
    """At each moment at which candles close: which, and whether their series begins anew with them."""
    at: dict[int, list[tuple[CandlesRead, Candle, bool]]] = {}
    for read, series in sorted(market.every_series.items(), key=lambda item: (item[0].ms, str(item[0]))):
        known_of = market.others.holes[read.symbol] if isinstance(read, OtherCandles) else market.holes
        gone = [hole for hole in known_of if hole.restarts and hole.timeframe is series.timeframe]
        for candle in series.candles():
            if not any(hole.first_ms <= candle.open_time_ms < hole.end_ms for hole in gone):
                is_new = any(hole.end_ms == candle.open_time_ms for hole in gone)
                at.setdefault(candle.open_time_ms + series.timeframe.ms, []).append((read, candle, is_new))
    yield from sorted(at.items(), key=lambda item: item[0])


def _decisions(history: History, most: int) -> Sequence[int]:
    """Candles at which something was decided, spread over the range, and as many at which nothing was."""
    codes = history.codes
    decided = np.union1d(np.flatnonzero(codes == SIGNAL), np.flatnonzero(np.diff(history.regimes.codes) != 0) + 1)
    ready = history.table.ready_from
    if ready is None:
        return []
    decided = decided[decided >= ready]
    quiet = np.arange(ready, history.table.length)
    return sorted({*_spread(decided, -(-most * 3 // 4)), *_spread(quiet, most // 4)})


def _spread(indexes: npt.NDArray[np.int64], count: int) -> list[int]:
    if len(indexes) <= count:
        return [int(index) for index in indexes]
    return [int(index) for index in indexes[np.linspace(0, len(indexes) - 1, count).astype(int)]]


def until(market: Market, end_ms: int) -> Market:
    """The market as somebody knows it for whom nothing has closed after this moment."""

    def seen(series: Series) -> Series:
        closes_ms = series.open_time_ms + series.timeframe.ms
        return series.until(int(np.searchsorted(closes_ms, end_ms, side="right")))

    def known_then(holes: Sequence[Hole]) -> tuple[Hole, ...]:
        return tuple(hole for hole in holes if hole.end_ms < end_ms)

    own = {timeframe: seen(series) for timeframe, series in market.by_timeframe.items()}
    others = Others(
        {read: seen(series) for read, series in market.others.series.items()},
        {symbol: known_then(holes) for symbol, holes in market.others.holes.items()},
    )
    return replace(
        market, series=own[market.series.timeframe], by_timeframe=own, holes=known_then(market.holes), others=others
    )


def _cut(history: History, ruleset: Ruleset, index: int, candles_min: int) -> Iterator[Peek]:
    """Columns over candles up to this one: its facts, its regime and what it decides are compared."""
    market = history.market
    end_ms = market.opens_ms[index] + market.series.timeframe.ms
    short = build_history(until(market, end_ms), ruleset, candles_min)
    for key in history.rules.fact_keys:
        before, after = known(history.table.column(key).item(index)), known(short.table.column(key).item(index))
        if before != after:
            yield _peek(history, index, key, before, after, "cut")
    if history.regime(index) != short.regime(index):
        yield _peek(history, index, "regime", history.regime(index), short.regime(index), "cut")
    elif history.codes[index] != short.codes[index] and SIGNAL in (history.codes[index], short.codes[index]):
        one, other = ("signal" if each.codes[index] == SIGNAL else "none" for each in (history, short))
        yield _peek(history, index, "signal", one, other, "cut")
    for name, track in history.signals.items():
        side, again = track.sides[index], short.signals[name].sides[index]
        if side != again:
            yield _peek(history, index, f"signal of {name}", side, again, "cut")


def _shorter_runs(request: Request, ground: Ground, runs: int, progress: Progress) -> list[Peek]:
    """Backtests that end earlier, each on candles that end there."""
    if not runs:
        return []
    whole = run_backtest(replace(request, db=None), ground=ground)
    entry = request.rules.for_symbol("").entry_timeframe
    peeks: list[Peek] = []
    for number in range(1, runs + 1):
        end_ms = entry.floor(ground.from_ms + (ground.to_ms - ground.from_ms) * number // (runs + 1))
        markets = tuple(until(market, end_ms) for market in ground.markets)
        if end_ms <= ground.from_ms or not all(market.opens_ms for market in markets):
            continue
        short = replace(ground, markets=markets, to_ms=end_ms)
        found = run_backtest(replace(request, to_ms=end_ms, db=None), ground=short)
        peeks += _otherwise(whole.trades, found.trades, end_ms)
        progress("runs", number, runs)
    return peeks


def _otherwise(whole: Sequence[Trade], short: Sequence[Trade], end_ms: int) -> Iterator[Peek]:
    """Trades that were over before the end of the shorter run, or begun in it, and are not the same in both."""
    one, other = _over(whole, end_ms), _over(short, end_ms)
    for key in sorted({*one, *other}):
        before, after = one.get(key), other.get(key)
        if before != after:
            symbol, candle_ms = key
            told = {"with_future": _told(before), "without": _told(after)}
            yield Peek(symbol=symbol, candle_ms=candle_ms, what="trade", look="run", **told)


Over = tuple[str, str, str, str, str, str]


def _over(trades: Sequence[Trade], end_ms: int) -> dict[tuple[str, int], Over]:
    """What is the same of a trade however long the run is: those that were over have their result, too."""
    found = {}
    for trade in trades:
        if trade.opened_ms >= end_ms:
            continue
        is_over = trade.closed_ms is not None and trade.closed_ms < end_ms and trade.flagged is None
        found[trade.symbol, trade.signal_candle_ms] = (
            trade.side.value, trade.strategy, str(trade.quantity), str(trade.entry_price),
            str(trade.exit_price) if is_over else "", str(trade.net_pnl) if is_over else "",
        )  # fmt: skip
    return found


def _told(trade: Over | None) -> str:
    return "no trade" if trade is None else " ".join(filter(None, trade))


def _peek(history: History, index: int, what: str, with_future: object, without: object, look_: str) -> Peek:
    return Peek(
        symbol=history.market.symbol,
        candle_ms=history.market.opens_ms[index],
        what=what,
        with_future=str(with_future),
        without=str(without),
        look=look_,
    )
