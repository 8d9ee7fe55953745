"""Moves a backtest from bar to bar, jumping over those in which nothing can happen.

A bar is an hour, or an entry candle where that is shorter; decisions fall where an entry candle closes.
At one instant T the order is: funding, then triggers at the open of the candle that starts, then the close of the
candle that ended, then decisions in symbol order on one account snapshot, and last their orders, which fill at
that same open. Between two instants every symbol that holds or orders something follows its price path, all on
one clock, and the engine answers each event at the moment it happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

from exchange.sim.account_api import AccountApi
from exchange.sim.core.events import AccountUpdated, AlgoUpdated, Batch, OrderUpdated
from exchange.sim.playback.candle_path import Bar, Mark, Quote
from exchange.sim.playback.price_walk import PriceWalk
from exchange.types import MarkPrice
from fsm.backtest.history import SIGNAL, History, step_of
from fsm.backtest.recorder import Recorder
from fsm.backtest.step_runner import InstantStepRunner
from fsm.core.candle_close import CandleVerdict
from fsm.core.engine import Engine
from fsm.core.limits import AccountStep
from fsm.core.model.decision import Step
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.events import CandleClosed, Commanded, EquityRead
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import State, SymbolRecord
from indicators.candle import Timeframe
from rules.batch import REGIMES

Progress = Callable[[str, int, int], None]
"""Told of (phase, done, total) while long work goes on."""

DAY_MS = 86_400_000
FUNDING_MS = 8 * 3_600_000
"""Every eight hours at least; where rates are recorded more often, they are settled as recorded."""

PROGRESS_EVERY = 1_000
ASK = SIGNAL
COOLING, HALTED = 20_000, 30_000
OPENED = Mark(corner=1)
"""Where a walk is once the price has jumped to its candle's open."""


class ClockLoop:
    """One backtest under way: engine, exchange and histories."""

    def __init__(
        self,
        *,
        engine: Engine,
        account: AccountApi,
        histories: dict[str, History],
        recorder: Recorder,
        on_step: Callable[[Step], None],
        rules_hash: str,
        every_candle: bool,
        entry: Timeframe,
    ) -> None:
        self._engine = engine
        self._account = account
        self._histories = dict(sorted(histories.items()))
        self._recorder = recorder
        self._runner = InstantStepRunner(engine, account, recorder.settle, on_step)
        self._rules_hash = rules_hash
        self._every_candle = every_candle
        self._entry = entry
        self._step = step_of(entry)
        self._walk: PriceWalk | None = None
        self._codes: dict[str, int] = {}
        self._equity_day = -1
        self._booked = 0
        self.curve: list[tuple[int, Decimal]] = []
        self.position_ms = 0
        self.fundings = 0
        self.fundings_missing: Counter[str] = Counter()
        self.ambiguous = 0

    def run(self, from_ms: int, to_ms: int, progress: Progress) -> None:
        """Decide at every close in (from, to); candles before only warm up. What is open at the end is closed."""
        instants = range(from_ms + self._step.ms, to_ms + self._step.ms, self._step.ms)
        for done, now_ms in enumerate(instants):
            if done % PROGRESS_EVERY == 0:
                progress("run", done, len(instants))
            self._follow(now_ms)
            self._instant(now_ms, last=now_ms == to_ms)
        self._end(to_ms)
        progress("run", len(instants), len(instants))

    def _follow(self, until_ms: int) -> None:
        """Let the prices of the bar that ends then move."""
        if self._walk is None:
            return
        self.position_ms += len(self._engine.active()) * self._step.ms
        self._answer(self._walk.run(until_ms))
        self.ambiguous += len(self._walk.ambiguous)
        self._walk = None

    def _answer(self, batches: Iterator[Batch]) -> None:
        """Look at every symbol that something happened to, before prices go on."""
        for batch in batches:
            for symbol in touched(batch):
                self._runner.look(symbol)

    def _instant(self, now_ms: int, *, last: bool) -> None:
        active = self._engine.active()
        for symbol in active:
            rate = self._histories[symbol].market.feed.funding(now_ms)
            if rate is not None:
                self._account.venue.settle_funding(symbol, rate, now_ms)
            self._count_funding(symbol, rate, now_ms)
        self._account.venue.drain()
        walk = PriceWalk(self._account.venue, self._bars(active, now_ms))
        self._answer(walk.open())
        decides = now_ms % self._entry.ms == 0
        if self._equity_due(now_ms) if decides else active:
            self._read_equity(now_ms, acts=decides)
        if last:
            return
        if decides:
            self._close(active, walk, now_ms)
        self._walk = walk if self._engine.active() else None

    def _count_funding(self, symbol: str, rate: Decimal | None, now_ms: int) -> None:
        """A position that is held when funding is due pays or gets it; what was not recorded counts as 0."""
        if self._account.venue.state.holding(symbol).quantity == 0:
            return
        if rate is not None:
            self.fundings += 1
        elif now_ms % FUNDING_MS == 0:
            self.fundings_missing[symbol] += 1

    def _close(self, active: list[str], walk: PriceWalk, now_ms: int) -> None:
        """Decide on the entry candles that closed now; what comes of it follows the same prices as the others."""
        deciding = self._deciding(now_ms)
        bars = self._bars([symbol for symbol in deciding if symbol not in active], now_ms)
        self._price(bars, now_ms)
        self._decide(deciding, now_ms)
        for symbol in self._engine.active():
            if symbol in bars:
                walk.add(symbol, bars[symbol], OPENED)

    def _bars(self, symbols: list[str], open_ms: int) -> dict[str, Bar]:
        found = {symbol: self._histories[symbol].market.feed.bar(open_ms) for symbol in symbols}
        return {symbol: bar for symbol, bar in found.items() if bar is not None}

    def _price(self, bars: dict[str, Bar], now_ms: int) -> None:
        """Symbols that nothing rests on are only told their price where it is needed: at a decision."""
        quotes = {symbol: Quote(bar[0].last.open, bar[0].mark.open) for symbol, bar in bars.items()}
        if quotes:
            self._answer(self._account.venue.jump(now_ms, quotes))

    def _equity_due(self, now_ms: int) -> bool:
        """The account is read whenever it can have changed, and at every start of a day."""
        booked = self._recorder.trades_booked
        due = bool(self._engine.active()) or booked != self._booked or now_ms // DAY_MS != self._equity_day
        self._booked = booked
        return due

    def _read_equity(self, now_ms: int, *, acts: bool) -> None:
        """``acts``: limits are judged by it, as a bot does at each close; else it is a point of the curve."""
        account = self._account.account()
        step = None
        if acts:
            self._equity_day = now_ms // DAY_MS
            read = EquityRead(at_ms=now_ms, account=account, transfers=self._account.transfers())
            step = self._engine.read_equity(read)
        self._recorder.equity(now_ms, account)
        self.curve.append((now_ms, account.equity))
        if step is not None:
            self._apply_limits(step, now_ms)

    def _apply_limits(self, step: AccountStep, now_ms: int) -> None:
        """A limit that was hit halts every symbol (or flattens it); one whose period ended lets them go on."""
        for cause in step.ended:
            self._command_all("resume", cause.value, now_ms)
        if step.breached is not None:
            flatten = self._engine.policy.limit_action is LimitAction.FLATTEN
            self._command_all("flatten" if flatten else "halt", step.breached.value, now_ms)

    def _command_all(self, command: str, cause: str, now_ms: int) -> None:
        for symbol in self._histories:
            event = Commanded(symbol=symbol, at_ms=now_ms, command=command, cause=cause)
            self._runner.run(self._engine.handle(event))

    def _deciding(self, now_ms: int) -> list[str]:
        """Symbols at whose close the engine must be asked; the others are idle and their candle brings no signal."""
        found = []
        for symbol, history in self._histories.items():
            index = history.market.index_at(now_ms - self._entry.ms)
            if index is None:
                continue
            if self._every_candle or self._code(symbol, history, index, now_ms) == ASK:
                found.append(symbol)
        return found

    def _code(self, symbol: str, history: History, index: int, now_ms: int) -> int:
        """What the symbol makes of this candle, as a number that tells readings apart; ASK when only the engine knows.

        Flat and free, it depends on the candle alone; halted or cooling down, on nothing but the regime.
        """
        record: SymbolRecord = self._engine.record(symbol)
        if record.state is State.HALT:
            return HALTED + int(history.regimes.codes[index])
        if record.state is not State.IDLE or record.paused or record.quarantine or self._engine.account.halt:
            return ASK
        if now_ms < record.cooldown_until_ms:
            return COOLING + int(history.regimes.codes[index])
        return history.codes[index]

    def _decide(self, deciding: list[str], now_ms: int) -> None:
        """All decisions of this close first, in symbol order on one account snapshot; their orders afterwards."""
        asked = set(deciding)
        steps: list[Step] = []
        for symbol, history in self._histories.items():
            index = history.market.index_at(now_ms - self._entry.ms)
            if index is None:
                continue
            if symbol in asked:
                steps += self._ask(symbol, history, index, now_ms)
            elif self._code(symbol, history, index, now_ms) != self._codes.get(symbol):
                self._note_quiet(symbol, history, index, now_ms)
        self._runner.run(steps)

    def _ask(self, symbol: str, history: History, index: int, now_ms: int) -> list[Step]:
        event = _closed(symbol, history, index, now_ms, self._account.prices(symbol))
        before = self._engine.record(symbol)
        code = self._code(symbol, history, index, now_ms)
        verdict, portfolio, steps = self._engine.close_candle(event)
        self._codes[symbol] = code
        self._note(event, verdict, history, index, before, lambda: portfolio)
        return steps

    def _note_quiet(self, symbol: str, history: History, index: int, now_ms: int) -> None:
        """An idle symbol's reading changed without a signal: only the journal hears of it."""
        code = self._codes[symbol] = self._code(symbol, history, index, now_ms)
        bar = history.market.feed.bar(now_ms)
        if bar is None:
            return
        prices = self._account.venue.as_told(symbol, Quote(bar[0].last.open, bar[0].mark.open), now_ms)
        event = _closed(symbol, history, index, now_ms, prices)
        record = self._engine.record(symbol)
        if code >= HALTED:
            verdict = CandleVerdict(outcome="HALTED", reason=record.halt.cause if record.halt else "HALT")
        elif code >= COOLING:
            verdict = CandleVerdict(outcome="BLOCKED", reason="COOLDOWN")
        else:
            outcome, reason = history.quiet_verdict(index)
            route = history.rules.route(REGIMES[int(history.regimes.codes[index])])
            strategy = None if outcome == "BLOCKED" else route.strategy
            verdict = CandleVerdict(outcome=outcome, reason=reason, strategy=strategy)
        self._note(event, verdict, history, index, record, self._engine.portfolio)

    def _note(
        self,
        event: CandleClosed,
        verdict: CandleVerdict,
        history: History,
        index: int,
        record: SymbolRecord,
        portfolio: Callable[[], Portfolio],
    ) -> None:
        self._recorder.decision(
            event,
            verdict,
            regime_before=lambda: history.regime_state(index - 1),
            portfolio=portfolio,
            record=record,
            rules_hash=record.trade.rules_hash if record.trade else self._rules_hash,
        )

    def _end(self, to_ms: int) -> None:
        """Close what is open at the last price, flagged, so that the sums are those of closed trades."""
        for symbol in self._engine.active():
            event = Commanded(symbol=symbol, at_ms=to_ms, command="exit", cause="END_OF_DATA")
            self._runner.run(self._engine.handle(event))
        self._read_equity(to_ms, acts=True)
        self._recorder.finish(to_ms - 2 * self._entry.ms)


def _closed(symbol: str, history: History, index: int, now_ms: int, prices: MarkPrice) -> CandleClosed:
    candle_ms = history.market.opens_ms[index]
    until_ms = history.market.blocked_until_ms(candle_ms)
    return CandleClosed(
        symbol=symbol,
        at_ms=now_ms,
        candle_ms=candle_ms,
        blocked_until_ms=until_ms if candle_ms < until_ms else 0,
        facts=history.table.facts_at(index),
        warming=history.table.warming_at(index),
        regime=history.regime_state(index),
        prices=prices,
    )


def touched(batch: Batch) -> list[str]:
    """Symbols whose orders or position the events are about, in their order, each once."""
    found: dict[str, None] = {}
    for event in batch:
        if isinstance(event, OrderUpdated):
            found[event.order.symbol] = None
        elif isinstance(event, AlgoUpdated):
            found[event.algo.symbol] = None
        elif isinstance(event, AccountUpdated):
            found.update((view.holding.symbol, None) for view in event.positions)
    return list(found)
