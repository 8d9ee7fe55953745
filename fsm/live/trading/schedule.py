"""Decides at every close of the entry timeframe: all symbols, one account snapshot, one transaction, symbol order.

A close is a barrier: candles of all symbols are collected (for a bounded time), everything that is under way is
brought to rest, equity is read once, and only then the symbols decide. Candles are fed and read one symbol after the
other, with a turn for whatever protects in between; what is decided and written is one piece of work. A bot that fell
behind decides on the newest close only; the candles between are fed to the indicators all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

import msgspec
import structlog

from exchange.errors import CandlesMissing, ExchangeError, Refusal
from exchange.types import MarkPrice
from fsm.core.candle_close import CandleVerdict
from fsm.core.engine import Precomputed
from fsm.core.model.decision import Step
from fsm.core.model.events import CandleClosed
from fsm.live.context.clock import wait_until
from fsm.live.context.live_context import LiveContext
from fsm.live.context.observer import Close, RegimeChange
from fsm.live.process.supervisor import Supervisor
from fsm.live.trading.account import AccountMonitor
from fsm.live.trading.funding_rates import FundingRates
from fsm.live.trading.market import Fetched, Market, Taken
from fsm.live.trading.symbol_worker import SymbolWorker
from indicators.holes import Hole
from rules.compiled_rules import CompiledRules
from rules.facts import Facts
from rules.moment_words import FUNDING
from store import queries
from store.errors import StoreError

log = structlog.get_logger("fsm.schedule")

CANDLES_WAIT_S = 20.0
"""How long a close waits for candles that are late; a symbol without its candle does not decide at this close."""

REST_WAIT_S = 10.0
"""How long a close waits for orders that are under way."""

ASK_AGAIN_S = 0.2
READERS_MAX = 10
"""Symbols that are read at the same time, so that three hundred of them do not become one burst of requests."""

OnReading = Callable[[str, CandleVerdict, list[Step]], None]
OnHole = Callable[[str, Hole, int], None]
"""Hears of a hole in a symbol's candles, and until when it opens nothing."""


class _Asked(msgspec.Struct, frozen=True):
    """What is decided on for one symbol; without an event its candles are only kept."""

    symbol: str
    taken: Taken
    event: CandleClosed | None
    precomputed: Precomputed | None
    equity_age_ms: int


class Schedule:
    """One for all symbols. ``closes`` counts the closes decided on, ``ended`` is set where the recorded data ends.

    Who holds ``turn`` may exchange the rules: from the feeding of a close's candles to its last decision they stay.
    """

    def __init__(
        self,
        live: LiveContext,
        workers: Mapping[str, SymbolWorker],
        markets: Mapping[str, Market],
        account: AccountMonitor,
        *,
        on_reading: OnReading,
        on_hole: OnHole,
        supervisor: Supervisor,
        data_end_ms: int | None = None,
        before_close: Callable[[], None] = lambda: None,
    ) -> None:
        """``before_close`` may take markets away. One may join them at any time, by whoever holds ``turn``."""
        self._live = live
        self._workers = workers
        self._markets = markets
        self._account = account
        self._on_reading = on_reading
        self._on_hole = on_hole
        self._before_close = before_close
        self._again_ms: dict[str, int] = {}
        self._fetched_by: dict[str, CompiledRules] = {}
        self._funding = FundingRates(live.on_trouble)
        self._supervisor = supervisor
        self._data_end_ms = data_end_ms
        self._readers = asyncio.Semaphore(READERS_MAX)
        self._step_ms = live.active.settings.timeframes.entry.ms
        self.decided_ms: int | None = None
        self.closes = 0
        self.ended = asyncio.Event()
        self.turn = asyncio.Lock()
        self._readings: list[tuple[str, CandleVerdict, list[Step]]] = []

    async def run(self) -> None:
        """Decide at every close until the data ends."""
        self.decided_ms = self._last_decided()
        last_ms = self.decided_ms or self._before_first_start()
        while self._data_end_ms is None or last_ms + self._step_ms < self._data_end_ms:
            settle_ms = self._live.active.settings.market_data.settle_delay_ms
            await wait_until(self._live.clock, last_ms + self._step_ms + settle_ms)
            close_ms = self._newest(settle_ms)
            if close_ms > last_ms + self._step_ms:
                skipped = (close_ms - last_ms) // self._step_ms - 1
                log.info("closes_skipped", reason="BEHIND", count=skipped)
            await self.close(close_ms)
            await self._late(close_ms, settle_ms)
            last_ms = close_ms
        if self._data_end_ms is not None:
            await wait_until(self._live.clock, self._data_end_ms)
        self.ended.set()

    def _last_decided(self) -> int | None:
        """The close that an earlier run decided on last: what has closed since is decided on at once."""
        decided = [row.last_ms for row in queries.latest_decisions(self._live.journal.store)]
        return max(decided) + self._step_ms if decided else None

    def _before_first_start(self) -> int:
        """The close before a bot was started on this database at all: it may have died before it decided anything."""
        first = queries.first_event(self._live.journal.store, "START")
        return self._floor(self._live.clock.now_ms() if first is None else first.at_ms)

    def _newest(self, settle_ms: int) -> int:
        close_ms = self._floor(self._live.clock.now_ms() - settle_ms)
        if self._data_end_ms is not None and close_ms >= self._data_end_ms:
            return self._data_end_ms - self._step_ms
        return close_ms

    def _floor(self, at_ms: int) -> int:
        return at_ms - at_ms % self._step_ms

    async def _late(self, close_ms: int, settle_ms: int) -> None:
        """Symbols with a hole that was not confirmed decide once it is, if that comes before the next close."""
        again_ms = max(self._again_ms.values(), default=None)
        if again_ms is None or again_ms >= close_ms + self._step_ms + settle_ms:
            return
        await wait_until(self._live.clock, again_ms)
        await self.close(close_ms, tuple(self._again_ms))

    async def close(self, close_ms: int, only: Collection[str] | None = None) -> None:
        """Everything that belongs to the candles which closed then, of all symbols or of some."""
        self._before_close()
        asked_for = sorted(self._markets if only is None else self._markets.keys() & only)
        self._again_ms.clear()
        fetched = await self._collect(close_ms, asked_for)
        await self._bring_to_rest()
        equity_known = await self._account.try_read()
        prices, _ = await asyncio.gather(self._prices(list(fetched)), self._read_funding(fetched, close_ms))
        broken: dict[str, Exception] = {}
        async with self.turn:
            await self._keep_up_with_rules(close_ms, fetched, broken)
            read = await self._precompute(close_ms, await self._take(fetched, broken), prices, broken)
            steps = self._decide(read, broken)
        missing = sorted(set(asked_for) - set(steps))
        self._tell(close_ms, missing)
        for symbol, found in steps.items():
            self._workers[symbol].submit(found)
        for symbol, error in broken.items():
            await self._hold(symbol, error)
        self.decided_ms, self.closes = close_ms, self.closes + (only is None)
        if missing:
            log.warning("close_incomplete", reason="NO_CANDLE", symbols=missing, close_ms=close_ms)
        if not equity_known:
            log.warning("equity_stale", reason="UNREACHABLE", age_ms=self._live.freshness.age_ms())

    def _tell(self, close_ms: int, missing: list[str]) -> None:
        """Candles arriving, regimes changing, and why nothing was done: for whoever watches."""
        verdicts = {symbol: verdict for symbol, verdict, _ in self._readings}
        regimes = [self._regime_change(symbol) for symbol in verdicts]
        close = Close(at_ms=close_ms, verdicts=verdicts, regimes=[r for r in regimes if r is not None], missing=missing)
        for change in close.regimes:
            log.info(
                "regime", symbol=change.symbol, reason=change.after, before=change.before, confidence=change.confidence
            )
        log.info("candles_closed", reason="CLOSE", close_ms=close_ms, symbols=len(verdicts))
        self._live.observer.closed(close)

    def _regime_change(self, symbol: str) -> RegimeChange | None:
        market = self._markets[symbol]
        before, after = market.regime_before.regime, market.regime.regime
        if before is after:
            return None
        confidence = round(market.regime.confidence, 2)
        return RegimeChange(symbol=symbol, before=str(before), after=str(after), confidence=confidence)

    # --- collecting ---------------------------------------------------------------------------
    async def _keep_up_with_rules(
        self, close_ms: int, fetched: dict[str, Fetched], broken: dict[str, Exception]
    ) -> None:
        """A decision reads what its own rules read: those of an edit that was taken since the candles were fetched, or
        since the trade ended that had kept older ones. What they read beside is fetched now."""
        while changed := [symbol for symbol in fetched if not self._is_read(symbol)]:
            for symbol in changed:
                del fetched[symbol]
                try:
                    await self._markets[symbol].read_by(self._live.rules_of(symbol), self._live.journal.store)
                except StoreError:
                    raise
                except Exception as error:
                    broken[symbol] = error
            again = await self._collect(close_ms, [symbol for symbol in changed if symbol not in broken])
            await self._read_funding(again, close_ms)
            fetched |= again

    def _is_read(self, symbol: str) -> bool:
        """Its candles were fetched and are fed for the rules that it is decided by."""
        return self._fetched_by.get(symbol) is self._markets[symbol].rules is self._live.rules_of(symbol)

    async def _read_funding(self, symbols: Collection[str], close_ms: int) -> None:
        asked = [symbol for symbol in symbols if FUNDING in self._markets[symbol].rules.moment_words]
        await self._funding.read(self._live.exchange, asked, close_ms)

    async def _collect(self, close_ms: int, asked: Collection[str]) -> dict[str, Fetched]:
        for name in asked:
            self._again_ms.pop(name, None)
            self._fetched_by[name] = self._markets[name].rules
        answers = await asyncio.gather(*(self._candles(self._markets[name], close_ms) for name in asked))
        return {symbol: found for symbol, found in zip(asked, answers, strict=True) if found is not None}

    async def _candles(self, market: Market, close_ms: int) -> Fetched | None:
        """A symbol's candles once the newest of them is confirmed to have closed; None when that takes too long.

        Nor are other symbols' candles that its rules read waited for any longer: it decides without.
        """
        clock = self._live.clock
        until_s = clock.monotonic() + CANDLES_WAIT_S
        while True:
            is_last = clock.monotonic() >= until_s
            try:
                async with self._readers:
                    found = await market.fetch(self._live.exchange, close_ms, needs_others=not is_last)
                if found is not None:
                    return found
            except Refusal as refusal:  # the others' close does not wait for what is refused (R64)
                self._live.on_trouble(market.symbol, refusal)
                return None
            except CandlesMissing as error:
                self._again_ms[market.symbol] = error.again_ms
                log.warning("candles_missing", symbol=market.symbol, reason="UNCONFIRMED", error=str(error))
                return None
            except ExchangeError as error:
                self._live.on_trouble(market.symbol, error)
            except Exception as error:
                await self._hold(market.symbol, error)
                return None
            if is_last:
                return None
            await clock.sleep(ASK_AGAIN_S)

    async def _bring_to_rest(self) -> None:
        """Look wherever something is open, and wait until nothing is under way."""
        for symbol in self._live.engine.active():
            self._workers[symbol].request_check()
        try:
            async with asyncio.timeout(REST_WAIT_S):
                for worker in list(self._workers.values()):
                    await worker.quiet.wait()
        except TimeoutError:
            log.warning("close_unsettled", reason="ORDERS_UNDER_WAY")

    async def _prices(self, symbols: list[str]) -> dict[str, MarkPrice]:
        try:
            return await self._live.exchange.mark_prices(symbols)
        except ExchangeError as error:
            self._live.on_trouble("", error)
        except Exception as error:
            self._supervisor.caught("schedule", error)
        return {}

    async def _hold(self, symbol: str, error: Exception) -> None:
        """A fault of ours with one symbol's candles: it is quarantined, its indicators are built again (R53)."""
        self._supervisor.caught("schedule", error, symbol)
        await self._workers[symbol].quarantine(error)
        try:
            market = self._markets[symbol]
            store = self._live.journal.store
            market.become(await market.under(market.rules, store), store)
        except StoreError:
            raise
        except Exception as second:
            self._supervisor.caught("market", second, symbol)

    # --- deciding -----------------------------------------------------------------------------
    async def _take(self, fetched: dict[str, Fetched], broken: dict[str, Exception]) -> dict[str, Taken]:
        """Feed every symbol's indicators, and let what protects have its turn after each of them."""
        taken: dict[str, Taken] = {}
        for symbol, found in fetched.items():
            try:
                taken[symbol] = self._markets[symbol].take(found)
            except Exception as error:
                broken[symbol] = error
            await asyncio.sleep(0)
        return taken

    async def _precompute(
        self, close_ms: int, taken: dict[str, Taken], prices: dict[str, MarkPrice], broken: dict[str, Exception]
    ) -> list[_Asked]:
        """Read every symbol's candle, as of one moment, with turns in between like `_take`."""
        live, asked = self._live, list[_Asked]()
        at_ms, equity_age_ms = live.clock.now_ms(), live.freshness.age_ms()
        for symbol, found in taken.items():
            market, price = self._markets[symbol], prices.get(symbol)
            event = precomputed = None
            try:
                candle_ms = market.candle_ms
                if candle_ms == close_ms - self._step_ms and price is not None and self._is_read(symbol):
                    event = CandleClosed(
                        symbol=symbol,
                        at_ms=at_ms,
                        candle_ms=candle_ms,
                        facts=market.facts() | self._of_moment(market, price, close_ms),
                        regime=market.regime,
                        prices=price,
                        blocked_until_ms=market.blocks(candle_ms),
                        warming=market.warming(),
                    )
                    precomputed = live.engine.precompute(event, equity_age_ms=equity_age_ms)
                asked.append(_Asked(symbol, found, event, precomputed, equity_age_ms))
            except Exception as error:
                broken[symbol] = error
            await asyncio.sleep(0)
        return asked

    def _of_moment(self, market: Market, price: MarkPrice, close_ms: int) -> Facts:
        """What its strategies ask of this moment beside candles."""
        rate = self._funding.before(market.symbol, close_ms)
        return market.rules.of_moment(mark=float(price.mark_price), last=float(price.last_price), funding_rate=rate)

    def _decide(self, asked: list[_Asked], broken: dict[str, Exception]) -> dict[str, list[Step]]:
        """All decisions of this close in one transaction; nothing is sent before it stands.

        A symbol that cannot be decided on goes into ``broken``, and the others go on.
        """
        steps: dict[str, list[Step]] = {}
        readings: list[tuple[str, CandleVerdict, list[Step]]] = []
        with self._live.journal.together():
            for each in asked:
                try:
                    self._markets[each.symbol].keep(each.taken, self._live.journal, self._live.clock.now_ms())
                    if each.event is not None and self._is_read(each.symbol):
                        verdict, steps[each.symbol] = self._ask(each, each.event)
                        readings.append((each.symbol, verdict, steps[each.symbol]))
                except StoreError:
                    raise
                except Exception as error:
                    broken[each.symbol] = error
        self._readings = readings
        for reading_of in readings:
            self._on_reading(*reading_of)
        for each in asked:
            self.tell_holes(each.taken, self._markets[each.symbol])
        return steps

    def tell_holes(self, taken: Taken, market: Market) -> None:
        for whose, hole in taken.holes:
            self._on_hole(whose, hole, market.blocked_until_ms)

    def _ask(self, asked: _Asked, event: CandleClosed) -> tuple[CandleVerdict, list[Step]]:
        live, market = self._live, self._markets[asked.symbol]
        before, rules_hash = live.engine.record(asked.symbol), live.engine.context(asked.symbol).rules_hash
        verdict, portfolio, steps = live.engine.close_candle(
            event, equity_age_ms=asked.equity_age_ms, precomputed=asked.precomputed
        )
        if market.regime_before.regime is not market.regime.regime:
            live.journal.regime(event, market.regime_before)
        row = live.journal.decision_row(
            event,
            verdict,
            regime_before=market.regime_before,
            portfolio=portfolio,
            record=before,
            rules_hash=rules_hash,
        )
        live.journal.decision(row)
        return verdict, steps
