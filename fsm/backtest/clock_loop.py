"""Moves a backtest from bar to bar, jumping over those in which nothing can happen.

A bar is an hour, or an entry candle where that is shorter; decisions fall where an entry candle closes.
At one instant T the order is: funding, then triggers at the open of the candle that starts, then the close of the
candle that ended, then decisions in symbol order on one account snapshot, and last their orders, which fill at
that same open. Between two instants every symbol that holds or orders something follows its price path, all on
one clock, and the engine answers each event at the moment it happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from exchange.sim.account_api import AccountApi
from exchange.sim.core.events import Batch, touched
from exchange.sim.core.holding import Holding
from exchange.sim.playback.candle_path import Bar, Mark, Quote
from exchange.sim.playback.price_walk import PriceWalk
from exchange.types import MarkPrice
from fsm.backtest.edits import Edits
from fsm.backtest.equity_reads import EquityReads, Marks
from fsm.backtest.from_outside import FromOutside
from fsm.backtest.ground import Progress
from fsm.backtest.history import History, step_of
from fsm.backtest.injecting import Injector, LateClose
from fsm.backtest.jumps import ASK, COOLING, HALTED, Jumps
from fsm.backtest.past_closes import PastCloses
from fsm.backtest.recorder import Recorder
from fsm.backtest.rules_through import RuleChanges
from fsm.backtest.step_runner import InstantStepRunner
from fsm.core.candle_close import CandleVerdict
from fsm.core.engine import Engine
from fsm.core.limits import AccountStep
from fsm.core.model.decision import Step
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.events import CandleClosed, Commanded
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import SymbolRecord
from indicators.candle import Timeframe

FUNDING_MS = 8 * 3_600_000
"""Every eight hours at least; where rates are recorded more often, they are settled as recorded."""

PROGRESS_EVERY = 1_000
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
        every_candle: bool,
        entry: Timeframe,
        closes: PastCloses,
        changes: RuleChanges,
        edits: Edits,
        injector: Injector,
        outside: FromOutside,
    ) -> None:
        self._engine = engine
        self._account = account
        self._histories = dict(sorted(histories.items()))
        self._recorder = recorder
        self._runner = InstantStepRunner(engine, account, recorder.settle, on_step, injector.refusal)
        self._injector = injector
        self._outside = outside
        self._every_candle = every_candle
        self._entry = entry
        self._step = step_of(entry)
        self._closes = closes
        self._changes = changes
        self._edits = edits
        self._walk: PriceWalk | None = None
        self._codes: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}
        self._equity = EquityReads(engine, account, recorder, entry)
        self._jumps = Jumps(engine, account, self._histories, recorder, entry=entry, step_ms=self._step.ms)
        self.position_ms = 0
        self.fundings = 0
        self.fundings_missing: Counter[str] = Counter()
        self.ambiguous = 0
        self.undecided = 0

    def run(self, from_ms: int, to_ms: int, progress: Progress) -> None:
        """Decide at every close in (from, to); candles before only warm up. What is open at the end is closed."""
        step_ms, shown = self._step.ms, 0
        now_ms, total = from_ms + step_ms, (to_ms - from_ms) // step_ms
        while now_ms <= to_ms:
            done = (now_ms - from_ms) // step_ms - 1
            if done >= shown:
                progress("run", done, total)
                shown = done + PROGRESS_EVERY
            self._follow(now_ms)
            self._changes.come(now_ms)
            self._edits.come(now_ms)
            self._outside.come(now_ms)
            self._instant(now_ms, last=now_ms == to_ms)
            now_ms = self._pass(now_ms, to_ms)
        self._end(to_ms)
        progress("run", total, total)

    @property
    def curve(self) -> list[tuple[int, Decimal]]:
        return self._equity.curve

    def _pass(self, now_ms: int, to_ms: int) -> int:
        """Go on to the next instant at which anything may happen; what is the same in all before it is done at once."""
        next_ms = now_ms + self._step.ms
        if self._every_candle or next_ms >= to_ms:
            return next_ms
        last_ms = self._injector.next_ms(now_ms, self._changes.next_ms(to_ms))
        end_ms = self._jumps.end(now_ms, last_ms, self._codes)
        if end_ms <= next_ms:
            return next_ms
        active = self._engine.active()
        if not active:
            if self._equity.is_behind:
                return next_ms
            if self._account_changes():
                end_ms = min(end_ms, self._equity.next_day_ms())
            self._equity.pass_days(now_ms, end_ms)
            return max(end_ms, next_ms)
        return self._pass_held(active, now_ms, end_ms)

    def _account_changes(self) -> bool:
        """The start of a day may end a limit."""
        account = self._engine.account
        return account.breach is not None or account.halt is not None

    def _pass_held(self, active: list[str], now_ms: int, end_ms: int) -> int:
        """Positions are held and only prices move, none of them to where anything happens."""
        state = self._account.venue.state
        held = tuple(holding for holding in state.holdings.values() if holding.quantity)
        reached_ms = self._equity.pass_marks(held, self._marks(held, now_ms, end_ms))
        end_ms = end_ms if reached_ms is None else reached_ms
        bars = (end_ms - now_ms) // self._step.ms
        if bars == 1:
            return end_ms
        self.position_ms += len(active) * bars * self._step.ms
        due = end_ms // FUNDING_MS - now_ms // FUNDING_MS - (end_ms % FUNDING_MS == 0)
        self.fundings_missing.update({symbol: due for symbol in active if due})
        feeds = {symbol: self._histories[symbol].market.feed for symbol in active}
        for symbol, feed in feeds.items():  # where the next bar is missing, the last one stays under way
            if not feed.has_bar(end_ms) and (bar := feed.bar(end_ms - self._step.ms)) is not None:
                state.candles[symbol] = bar[0]
        last = {symbol: feed.closing(end_ms - self._step.ms) for symbol, feed in feeds.items()}
        closes = {symbol: quote for symbol, quote in last.items() if quote is not None}
        for _ in self._account.venue.advance(end_ms, closes):
            raise AssertionError("something happened where nothing could")
        self._told(closes, end_ms - 1)
        self._walk = None
        return end_ms

    def _marks(self, held: tuple[Holding, ...], now_ms: int, end_ms: int) -> Marks:
        """The marks at the open of each bar between the two."""
        first_ms = now_ms + self._step.ms
        feeds = [self._histories[holding.symbol].market.feed for holding in held]
        marks = [feed.marks_at_opens(first_ms, end_ms) for feed in feeds]
        return zip(range(first_ms, end_ms, self._step.ms), zip(*marks, strict=True), strict=True)

    def _follow(self, until_ms: int) -> None:
        """Let the prices of the bar that ends then move."""
        self._act(self._walk, until_ms)
        if self._walk is None:
            return
        self.position_ms += len(self._engine.active()) * self._step.ms
        self._answer(self._walk.run(until_ms))
        self.ambiguous += len(self._walk.ambiguous)
        self.undecided += len(self._walk.undecided)
        self._told(self._walk.marks, until_ms - 1)
        self._walk = None

    def _act(self, walk: PriceWalk | None, until_ms: int) -> None:
        """What is done from outside before then."""
        for at_ms, act in self._injector.acts(until_ms):
            if walk is not None:
                self._answer(walk.run(max(at_ms, self._account.now_ms)))
            self._outside.do(act, self._runner)

    def _answer(self, batches: Iterator[Batch]) -> None:
        """Look at every symbol that something happened to, before prices go on."""
        for batch in batches:
            for symbol in touched(batch):
                if self._injector.is_heard(symbol, self._account.now_ms):
                    self._runner.look(symbol)

    def _instant(self, now_ms: int, *, last: bool) -> None:
        self._closes.now_ms = now_ms
        active = self._engine.active()
        for symbol in active:
            rate = self._histories[symbol].market.feed.funding(now_ms)
            if rate is not None:
                self._account.venue.settle_funding(symbol, rate, now_ms)
            self._count_funding(symbol, rate, now_ms)
        self._account.venue.drain()
        walk = PriceWalk(self._account.venue, self._bars(active, now_ms))
        self._answer(walk.open())
        self._told(walk.marks, now_ms)
        decides = now_ms % self._entry.ms == 0
        moved = self._outside.move_money(now_ms, decides=decides)
        if (self._equity.is_due(now_ms) or moved) if decides else active:
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
        self._edits.settle(self._histories)
        at_ms, unheard = now_ms, list[str]()
        if (late := self._injector.late_close(now_ms)) is not None:
            at_ms, unheard = late.at_ms, self._wait(walk, now_ms, late)
            active = list(self._histories)
        deciding = self._deciding(now_ms)
        idle = [symbol for symbol in deciding if symbol not in active]
        bars = self._bars(idle, now_ms)
        self._price(idle, now_ms)
        at_once, later = self._injector.late(self._decide(deciding, now_ms, at_ms), now_ms)
        self._runner.run(at_once)
        for symbol in unheard:
            self._runner.look(symbol)
        for symbol in self._engine.active():
            if symbol in bars:
                walk.add(symbol, bars[symbol], OPENED)
        for due_ms, steps in later:
            self._answer(walk.run(due_ms))
            self._runner.run(steps)

    def _wait(self, walk: PriceWalk, now_ms: int, late: LateClose) -> list[str]:
        """The close is decided on later, at the prices and with the equity of then; what is not heard of by then."""
        idle = [symbol for symbol in self._histories if symbol not in self._engine.active()]
        self._price(idle, now_ms)
        for symbol, bar in self._bars(idle, now_ms).items():
            walk.add(symbol, bar, OPENED)
        self._act(walk, late.read_ms)
        happened = [symbol for batch in walk.run(late.read_ms) for symbol in touched(batch)]
        for symbol in sorted(late.heard.intersection(happened)):
            self._runner.look(symbol)
        self._read_equity(late.read_ms, acts=True)
        return [symbol for symbol in happened if symbol not in late.heard]

    def _bars(self, symbols: list[str], open_ms: int) -> dict[str, Bar]:
        found = {symbol: self._histories[symbol].market.feed.bar(open_ms) for symbol in symbols}
        return {symbol: bar for symbol, bar in found.items() if bar is not None}

    def _price(self, symbols: list[str], now_ms: int) -> None:
        """Symbols that nothing rests on are only told their price where it is needed: at a decision."""
        found = {symbol: self._quote(symbol, now_ms) for symbol in symbols}
        quotes = {symbol: quote for symbol, quote in found.items() if quote is not None}
        if quotes:
            self._answer(self._account.venue.jump(now_ms, quotes))
            self._told(quotes, now_ms)

    def _told(self, symbols: Iterable[str], at_ms: int) -> None:
        """The exchange has the prices of these symbols as of this moment."""
        self._told_ms.update(dict.fromkeys(symbols, at_ms))

    def _quote(self, symbol: str, now_ms: int) -> Quote | None:
        """Prices at the open of the bar that begins now; where it was not recorded, those that were told last."""
        feed = self._histories[symbol].market.feed
        last_ms = self._told_ms.get(symbol, feed.start_ms - 1)
        for at_ms in range(now_ms, last_ms, -self._entry.ms):
            if (quote := feed.opening(at_ms)) is not None:
                return quote
        return self._account.venue.state.quotes.get(symbol)

    def _read_equity(self, now_ms: int, *, acts: bool) -> None:
        step = self._equity.read(now_ms, acts=acts)
        if step is not None:
            self._apply_limits(step, now_ms)

    def _apply_limits(self, step: AccountStep, now_ms: int) -> None:
        """A limit that was hit halts every symbol (or flattens it); one whose period ended lets them go on."""
        for cause in step.ended:
            self._command_all("resume", cause.value, now_ms)
        if step.breached is not None:
            flatten = self._engine.policy.limits.action is LimitAction.FLATTEN
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
            if index is None or (symbol not in self._told_ms and self._quote(symbol, now_ms) is None):
                continue
            if self._outside.is_passed_over(symbol, now_ms):
                continue
            if self._every_candle or self._jumps.code(symbol, index, now_ms) == ASK:
                found.append(symbol)
        return found

    def _decide(self, deciding: list[str], now_ms: int, at_ms: int) -> list[Step]:
        """All decisions of this close, in symbol order on one account snapshot; their orders come afterwards."""
        asked = set(deciding)
        steps: list[Step] = []
        for symbol, history in self._histories.items():
            index = history.market.index_at(now_ms - self._entry.ms)
            if index is None:
                continue
            if symbol in asked:
                steps += self._ask(symbol, history, index, now_ms, at_ms)
            elif self._jumps.code(symbol, index, now_ms) != self._codes.get(symbol):
                self._note_quiet(symbol, history, index, now_ms)
        return steps

    def _ask(self, symbol: str, history: History, index: int, now_ms: int, at_ms: int) -> list[Step]:
        event = _closed(symbol, history, index, at_ms, self._account.prices(symbol))
        before = self._engine.record(symbol)
        code = self._jumps.code(symbol, index, now_ms)
        verdict, portfolio, steps = self._engine.close_candle(event)
        self._codes[symbol] = code
        self._note(event, verdict, history, index, before, lambda: portfolio)
        return steps

    def _note_quiet(self, symbol: str, history: History, index: int, now_ms: int) -> None:
        """An idle symbol's reading changed without a signal: only the journal hears of it."""
        quote = self._quote(symbol, now_ms)
        if quote is None:
            return
        code = self._codes[symbol] = self._jumps.code(symbol, index, now_ms)
        prices = self._account.venue.as_told(symbol, quote, now_ms)
        event = _closed(symbol, history, index, now_ms, prices)
        record = self._engine.record(symbol)
        if code >= HALTED:
            verdict = CandleVerdict(outcome="HALTED", reason=record.halt.cause if record.halt else "HALT")
        elif code >= COOLING:
            verdict = CandleVerdict(outcome="BLOCKED", reason="COOLDOWN")
        else:
            outcome, reason = history.quiet_verdict(index)
            strategy = None if outcome == "BLOCKED" else history.telling(index)
            verdict = CandleVerdict(outcome=outcome, reason=reason, strategy=strategy)
        self._note(event, verdict, history, index, record, lambda: self._engine.portfolio(symbol))

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
            rules_hash=record.trade.rules_hash if record.trade else self._edits.rules_hash,
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
