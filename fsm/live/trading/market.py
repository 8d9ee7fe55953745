"""One symbol's candles, and those of others that its rules read: fetched, kept as they were used, fed to its indicators
in order, and its regime from them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from typing import TypeVar, cast

import msgspec
import structlog

from exchange.errors import CandlesMissing, ExchangeError, MalformedReply, Refusal, Unreachable
from exchange.port import Exchange
from fsm.journal.candle_holes import HOLE, facts, reason, stored_holes
from fsm.journal.writer import JournalWriter
from fsm.live.trading.others_candles import OthersCandles
from indicators.candle import Candle, Timeframe
from indicators.correlation import RETURNS, read_on
from indicators.holes import Hole, carried_over, holes
from rules.compiled_rules import CompiledRules
from rules.facts import Facts, FactStream
from rules.features import CandlesRead, OtherCandles, length_of, symbol_of
from rules.load import stored_rules
from rules.regime import RegimeState
from rules.source.yaml_source import SourceError
from store import queries
from store.database import Store

log = structlog.get_logger("fsm.market")

PAGE = 1_500
"""Candles in one answer at most (GET /fapi/v1/klines, checked 2026-11)."""

PAGES_MAX = 100
CANDLES_A_TURN = 20
OTHERS_S_MAX, OTHERS_AT_START_S_MAX = 5.0, 30.0
"""So long another symbol's candles may hold up the decisions on this one, exits too; then they are asked for again."""
_NEVER_AGAIN_MS = 2**62
T = TypeVar("T")
Fetched = dict[CandlesRead, list[Candle]]


class Taken(msgspec.Struct, frozen=True):
    """What was fed, with the candles that were carried over holes, and the holes, each with its symbol."""

    candles: Fetched
    holes: tuple[tuple[str, Hole], ...] = ()


class _StoredRegime(msgspec.Struct, frozen=True):
    regime: RegimeState


class Market:
    """Facts and regime of one symbol after its newest closed candle; a restart feeds the stored candles again.

    Behind a hole in the candles nothing may be opened before the entry candle that opens at ``blocked_until_ms``.
    """

    def __init__(
        self, symbol: str, rules: CompiledRules, *, others: OthersCandles, candles_min: int, history_candles: int
    ) -> None:
        self.symbol = symbol
        self._others = others
        self.regime = RegimeState()
        self.regime_before = RegimeState()
        self.rules = rules
        self._candles_min = candles_min
        self._history_candles = history_candles
        self._stream = FactStream(rules, candles_min)
        self._next_open: dict[CandlesRead, int] = {}
        self._last: dict[CandlesRead, Candle] = {}
        self._listed_ms: dict[CandlesRead, int] = {}
        self.blocked_until_ms = 0
        self._classified_ms = -1
        self._anchored: set[CandlesRead] = set()
        self.compared = read_on(rules.timeframes)
        self.closes: dict[int, float] = {}

    @property
    def entry_timeframe(self) -> Timeframe:
        return self.rules.entry_timeframe

    @property
    def candle_ms(self) -> int | None:
        """Open time of the newest closed entry candle that was fed."""
        next_open = self._next_open.get(self.entry_timeframe)
        return None if next_open is None else next_open - self.entry_timeframe.ms

    def blocks(self, candle_ms: int) -> int:
        """``blocked_until_ms`` where it concerns this candle, else 0."""
        return self.blocked_until_ms if candle_ms < self.blocked_until_ms else 0

    @property
    def newest_ms(self) -> int:
        """Open time of the newest candle that is compared with other symbols'."""
        return next(reversed(self.closes), 0)

    def facts(self) -> Facts:
        return self.rules.with_regime(self._stream.facts(), self.regime)

    def warming(self) -> dict[str, str]:
        """What of its candles is still short, and for whom (rules/warmup.py)."""
        return self._stream.warming()

    # --- at the start -------------------------------------------------------------------------
    async def restore(self, store: Store, rules_hash: str) -> None:
        """Feed the stored candles from their anchors, and take the regime up where the last decision left it."""
        last = queries.decision_at(store, self.symbol)
        if last is not None:
            known = msgspec.json.decode(last.facts_json, type=_StoredRegime).regime
            is_same = last.rules_hash == rules_hash or self._tells_regimes_as(store, last.rules_hash)
            self.regime = known if is_same else known.restarted()
            self._classified_ms = last.last_ms
        await _in_turns(self._feeding(self._stored(store)))

    def _tells_regimes_as(self, store: Store, old_hash: str) -> bool:
        """Whether the regime's counters go on: the rules before told regimes in the same way."""
        text = queries.rules_text(store, old_hash) or ""
        try:
            return stored_rules(text, "stored rules").for_symbol(self.symbol).classifies_as(self.rules)
        except SourceError:
            return False

    def _stored(self, store: Store) -> Fetched:
        """Every stored candle that was not fed yet."""
        symbols = {symbol_of(read, self.symbol) for read in self.rules.candles}
        carried = {symbol: self.carried(store, symbol) for symbol in symbols}
        stored: Fetched = {}
        for read in self.rules.candles:
            symbol, timeframe = symbol_of(read, self.symbol), length_of(read)
            first_ms = queries.series_anchor(store, symbol, timeframe.value)
            if first_ms is None:
                continue
            since_ms = self._next_open.get(read, first_ms)
            rows = queries.candles(store, symbol, timeframe.value, since_ms=since_ms)
            stored[read] = [
                Candle(
                    open_time_ms=row.open_time_ms,
                    open=row.open,
                    high=row.high,
                    low=row.low,
                    close=row.close,
                    volume=row.volume,
                    carried=(timeframe, row.open_time_ms) in carried[symbol],
                )
                for row in rows
            ]
            self._anchored.add(read)
        return stored

    def carried(self, store: Store, symbol: str = "") -> set[tuple[Timeframe, int]]:
        """The stored candles that are carried, its own or another symbol's; what the holes still block is taken up."""
        found = stored_holes(store, symbol or self.symbol)
        whose = [read for read in self.rules.candles if symbol_of(read, self.symbol) == (symbol or self.symbol)]
        frames = set(map(length_of, whose))
        self._block(hole for hole in found if hole.timeframe in frames)
        return {
            (hole.timeframe, open_ms)
            for hole in found
            if not hole.restarts
            for open_ms in range(hole.first_ms, hole.end_ms, hole.timeframe.ms)
        }

    def _block(self, found: Iterable[Hole]) -> None:
        ends = (hole.blocks_until_ms(self.entry_timeframe) for hole in found)
        self.blocked_until_ms = max(self.blocked_until_ms, *ends, 0)

    async def catch_up(self, exchange: Exchange, journal: JournalWriter, at_ms: int) -> Taken:
        """Fetch what is missing up to now: the whole history at the first start, else what closed meanwhile."""
        fetched: Fetched = {}
        for read in sorted(self.rules.candles, key=lambda read: read.ms):
            if not isinstance(read, OtherCandles):
                fetched[read] = await self._newest(exchange, read)
                continue
            try:
                async with asyncio.timeout(OTHERS_AT_START_S_MAX):
                    fetched[read] = await self._newest(exchange, read)
            except TimeoutError:
                self._others.missed(read, Unreachable(f"candles of {read.symbol}: no answer"))
            except (Refusal, CandlesMissing, MalformedReply) as error:
                self._others.missed(read, error)
        taken = await _in_turns(self._taking(fetched))
        self.keep(taken, journal, at_ms)
        return taken

    async def _newest(self, exchange: Exchange, read: CandlesRead, close_ms: int | None = None) -> list[Candle]:
        if read in self._next_open:
            return await self._since(exchange, read, close_ms)
        return await self._ask(exchange, read, limit=min(self._history_candles, PAGE))

    async def _ask(
        self, exchange: Exchange, read: CandlesRead, *, start_ms: int | None = None, limit: int
    ) -> list[Candle]:
        if isinstance(read, OtherCandles):
            return await self._others.candles(exchange, read, start_ms=start_ms, limit=limit)
        return await exchange.candles(self.symbol, read, start_ms=start_ms, limit=limit)

    async def _since(self, exchange: Exchange, read: CandlesRead, close_ms: int | None = None) -> list[Candle]:
        """The newest candle that the exchange showed, and everything behind it: a hole has candles on both sides.

        With ``close_ms``, not more than what has closed by then: a short question costs less of the rate limit.
        """
        start_ms = self._listed_ms[read]
        most = None if close_ms is None else (read.floor(close_ms) - start_ms) // read.ms
        found: list[Candle] = []
        for _ in range(PAGES_MAX):
            limit = PAGE if most is None else min(most - len(found), PAGE)
            page = await self._ask(exchange, read, start_ms=start_ms, limit=limit)
            found += page
            if len(page) < limit or len(found) == most:
                break
            start_ms = page[-1].open_time_ms + read.ms
        self._require_both_sides(read, found)
        return found

    def _require_both_sides(self, read: CandlesRead, found: list[Candle]) -> None:
        """Raises Unreachable where a hole begins with the answer: without the candle before it, nothing shows it."""
        new = next((candle for candle in found if candle.open_time_ms >= self._next_open[read]), None)
        if new is None or new.open_time_ms == self._next_open[read]:
            return
        if found[0].open_time_ms != self._listed_ms[read]:
            raise Unreachable(
                f"klines {symbol_of(read, self.symbol)} {length_of(read)}: the candle that opened at "
                f"{self._listed_ms[read]} is not "
                "listed any more, and neither is the one after it; nothing is decided on that"
            )

    # --- at a close ---------------------------------------------------------------------------
    async def fetch(self, exchange: Exchange, close_ms: int, *, needs_others: bool = True) -> Fetched | None:
        """Every candle that closed since the last time, or None while the newest ones are not there yet.

        Without ``needs_others``, those of other symbols are passed over that are not: values of them are UNKNOWN.
        """
        due = [read for read in self.rules.candles if self._is_due(read, close_ms)]
        answers = await asyncio.gather(*(self._fetch_one(exchange, read, close_ms) for read in due))
        fetched = {read: found for read, found in zip(due, answers, strict=True) if found is not None}
        late = [read for read, candles in fetched.items() if not self._is_complete(read, candles, close_ms)]
        if any(needs_others or not isinstance(read, OtherCandles) for read in late):
            return None
        return fetched

    def _is_complete(self, read: CandlesRead, candles: list[Candle], close_ms: int) -> bool:
        """The newest candle is there; a long timeframe of a young symbol may not have had its first one yet."""
        if not candles:
            return read is not self.entry_timeframe and read not in self._next_open
        return candles[-1].open_time_ms == read.floor(close_ms) - read.ms

    def _is_due(self, read: CandlesRead, close_ms: int) -> bool:
        newest_ms = read.floor(close_ms) - read.ms
        return self._next_open.get(read, -1) <= newest_ms

    async def _fetch_one(self, exchange: Exchange, read: CandlesRead, close_ms: int) -> list[Candle] | None:
        """None for another symbol's that the exchange says no about: nobody waits for it."""
        try:
            async with asyncio.timeout(OTHERS_S_MAX if isinstance(read, OtherCandles) else None):
                found = await self._newest(exchange, read, close_ms)
        except TimeoutError:
            return []
        except ExchangeError as error:
            if not isinstance(read, OtherCandles):
                raise
            self._others.missed(read, error)
            return None if isinstance(error, Refusal | CandlesMissing | MalformedReply) else []
        return [candle for candle in found if candle.open_time_ms + read.ms <= close_ms]

    def take(self, fetched: Fetched) -> Taken:
        """Feed candles in their order, carried over short holes; behind a long one its series begins afresh (R66)."""
        return _at_once(self._taking(fetched))

    def _taking(self, fetched: Fetched) -> Generator[None, None, Taken]:
        full: Fetched = {}
        found: list[tuple[str, Hole]] = []
        for read, candles in fetched.items():
            last = self._last.get(read)
            known = [] if last is None else [last]
            new = [candle for candle in candles if last is None or candle.open_time_ms > last.open_time_ms]
            missing = holes((candle.open_time_ms for candle in (*known, *new)), length_of(read))
            found += ((symbol_of(read, self.symbol), hole) for hole in missing)
            full[read] = carried_over([*known, *new], length_of(read))[len(known) :]
        self._block(hole for _, hole in found)
        yield from self._feeding(full)
        return Taken(full, tuple(found))

    def keep(self, taken: Taken, journal: JournalWriter, at_ms: int) -> None:
        """Write candles down as they were used, and the holes between them."""
        for read, taken_candles in taken.candles.items():
            is_other, symbol, timeframe = isinstance(read, OtherCandles), symbol_of(read, self.symbol), length_of(read)
            candles = self._others.unkept(read, taken_candles) if isinstance(read, OtherCandles) else taken_candles
            if not candles:
                continue
            restarts = [
                h.end_ms for whose, h in taken.holes if (whose, h.timeframe) == (symbol, timeframe) and h.restarts
            ]
            is_known = read in self._anchored or (
                is_other and queries.series_anchor(journal.store, symbol, timeframe.value) is not None
            )
            anchor_ms = None if is_known else candles[0].open_time_ms
            journal.candles(symbol, timeframe, candles, anchor_ms=max(restarts, default=anchor_ms))
            self._anchored.add(read)
        for symbol, hole in taken.holes:
            if symbol == self.symbol or self._others.is_news(symbol, hole):
                log.error("candles_missing", symbol=symbol, reason=HOLE, timeframe=hole.timeframe, count=hole.count)
                journal.note(at_ms, HOLE, reason(hole), symbol=symbol, **facts(hole))

    # --- other rules --------------------------------------------------------------------------
    async def read_by(self, rules: CompiledRules, store: Store) -> None:
        """Read what these rules read from now on."""
        if self.rules.reads_as(rules):
            self.follow(rules)
        else:
            self.become(await self.under(rules, store), store)

    async def under(self, rules: CompiledRules, store: Store) -> Market:
        """This market as other rules see it, built beside this one; ``become`` takes its place."""
        other = Market(
            self.symbol,
            rules,
            others=self._others,
            candles_min=self._candles_min,
            history_candles=self._history_candles,
        )
        other._classified_ms = _NEVER_AGAIN_MS
        await _in_turns(other._feeding(other._stored(store)))
        return other

    def follow(self, rules: CompiledRules) -> None:
        """Other rules that read the same facts: the indicators go on, and so does the regime where it is told as
        before; else its counters begin again."""
        self._take_over(rules)

    def become(self, other: Market, store: Store) -> None:
        """Read candles as ``other`` does. What closed meanwhile is fed now; the regime stands, and where it is told in
        another way its counters begin again."""
        _at_once(other._feeding(other._stored(store)))
        self._take_over(other.rules)
        self._stream = other._stream
        self._next_open, self._anchored = other._next_open, other._anchored
        self._last, self._listed_ms = other._last, other._listed_ms
        self.closes, self.compared = other.closes, other.compared

    def _take_over(self, rules: CompiledRules) -> None:
        if not rules.classifies_as(self.rules):
            self.regime = self.regime.restarted()
        self.rules = rules

    def _feeding(self, fetched: Fetched) -> Generator[None, None, None]:
        """Feed candle after candle, with a place to stop after each of them."""
        entry = self.entry_timeframe
        for _, _, read, candle in sorted(_in_order(fetched, entry), key=lambda item: item[:2]):
            if candle.open_time_ms > self._next_open.get(read, candle.open_time_ms):
                self._stream.restart(read)
            self._stream.update(read, candle)
            self._next_open[read] = candle.open_time_ms + read.ms
            self._last[read] = candle
            if not candle.carried:
                self._listed_ms[read] = candle.open_time_ms
                self._remember(read, candle)
            if read is entry and not candle.carried and candle.open_time_ms > self._classified_ms:
                self.regime_before = self.regime
                self.regime = self.rules.classify(self._stream.facts(), self.regime, candle.open_time_ms)
                self._classified_ms = candle.open_time_ms
            yield

    def _remember(self, read: CandlesRead, candle: Candle) -> None:
        """Closes that other symbols' are compared with."""
        if read is self.compared:
            self.closes[candle.open_time_ms] = candle.close
            if len(self.closes) > RETURNS + 1:
                del self.closes[next(iter(self.closes))]


def _at_once(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("T", end.value)


async def _in_turns(work: Generator[None, None, T]) -> T:
    """Work with a turn for everybody else in between: years of candles must not keep a position waiting."""
    while True:
        try:
            for _ in range(CANDLES_A_TURN):
                next(work)
        except StopIteration as end:
            return cast("T", end.value)
        await asyncio.sleep(0)


def _in_order(fetched: Fetched, entry: Timeframe) -> Iterable[tuple[int, bool, CandlesRead, Candle]]:
    """By the time at which they closed; of one instant, the entry candle last."""
    for read, candles in fetched.items():
        for candle in candles:
            yield candle.open_time_ms + read.ms, read is entry, read, candle


__all__ = ["Fetched", "Market", "Taken"]
