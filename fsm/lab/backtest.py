"""Runs the engine over recorded candles on the in-process exchange, jumping over hours in which nothing can happen.

At one instant T the order is: funding, then triggers at the open of the candle that starts, then the close of the
candle that ended, then decisions in symbol order on one account snapshot, and last their orders, which fill at
that same open. Between two instants every symbol that holds or orders something follows its price path.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from decimal import Decimal

from exchange.filters import decimal_of
from exchange.sim.desk import Desk
from exchange.sim.path import candle_path
from fsm.core.deciding import Reading
from fsm.core.engine import Engine
from fsm.core.events import CandleClosed, Commanded, EquityRead
from fsm.core.limits import AccountStep
from fsm.core.move import Step
from fsm.core.policy import LimitAction
from fsm.core.records import State, SymbolRecord
from fsm.lab.carrier import Carrier
from fsm.lab.history import SIGNAL, History
from fsm.lab.recorder import Recorder
from rules.vector import REGIMES

Progress = Callable[[str, int, int], None]
"""Told of (phase, done, total) while long work goes on."""

DAY_MS = 86_400_000
PROGRESS_EVERY = 2_000


class Run:
    """One backtest under way: engine, venue and histories, moved from hour to hour."""

    def __init__(
        self,
        *,
        engine: Engine,
        desk: Desk,
        histories: dict[str, History],
        recorder: Recorder,
        on_step: Callable[[Step], None],
        every_candle: bool,
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._histories = dict(sorted(histories.items()))
        self._recorder = recorder
        self._carrier = Carrier(engine, desk, recorder.settle, on_step)
        self._every_candle = every_candle
        self._step_ms = next(iter(histories.values())).market.series.timeframe.ms
        self._codes: dict[str, int] = {}
        self._equity_day = -1
        self._booked = 0
        self.curve: list[tuple[int, Decimal]] = []
        self.position_hours = 0
        self.decided = 0

    def run(self, from_ms: int, to_ms: int, progress: Progress) -> None:
        """Decide at every close in (from, to]; candles before only warm up. Open trades are closed at the end."""
        instants = range(from_ms + self._step_ms, to_ms + self._step_ms, self._step_ms)
        for done, now_ms in enumerate(instants):
            if done % PROGRESS_EVERY == 0:
                progress("run", done, len(instants))
            self._instant(now_ms, last=now_ms + self._step_ms > to_ms)
        self._end(to_ms)
        progress("run", len(instants), len(instants))

    def _instant(self, now_ms: int, *, last: bool) -> None:
        active = self._active()
        if active:
            self._follow(active, now_ms)
            self._fund(now_ms)
        deciding = self._deciding(now_ms)
        for symbol in sorted({*self._active(), *deciding}):
            self._open(symbol, now_ms)
        if self._equity_due(now_ms):
            self._read_equity(now_ms)
            deciding = self._deciding(now_ms)
        if not last:
            self._decide(deciding, now_ms)

    def _active(self) -> list[str]:
        """Symbols that hold, order or owe something: their path matters."""
        return self._engine.active()

    def _follow(self, symbols: list[str], now_ms: int) -> None:
        """Let prices move through the candle that ends now; the engine reacts to every event where it happens."""
        self.position_hours += len(symbols)
        paths: list[tuple[int, str, Iterator[int]]] = []
        for symbol in symbols:
            path = self._path(symbol, now_ms - self._step_ms)
            if path is not None:
                self._advance(paths, symbol, path)
        while paths:
            at_ms, symbol, path = heapq.heappop(paths)
            self._desk.now_ms = at_ms
            self._carrier.look(symbol)
            self._advance(paths, symbol, path)
        self._desk.now_ms = now_ms

    def _path(self, symbol: str, open_ms: int) -> Iterator[int] | None:
        market = self._histories[symbol].market
        index = market.index_at(open_ms)
        if index is None:
            return None
        return self._desk.follow(
            symbol, market.series.candle(index), market.mark_candle(open_ms), market.finer.get(open_ms, [])
        )

    @staticmethod
    def _advance(paths: list[tuple[int, str, Iterator[int]]], symbol: str, path: Iterator[int]) -> None:
        """Queue the path's next event; one that has none is done."""
        at_ms = next(path, None)
        if at_ms is not None:
            heapq.heappush(paths, (at_ms, symbol, path))

    def _fund(self, now_ms: int) -> None:
        for symbol in self._active():
            rate = self._histories[symbol].market.funding.get(now_ms)
            if rate is not None:
                self._desk.settle_funding(symbol, rate, now_ms)

    def _open(self, symbol: str, now_ms: int) -> None:
        """The next candle opens, perhaps beyond a trigger price."""
        market = self._histories[symbol].market
        index = market.index_at(now_ms)
        if index is None:
            return
        mark = market.mark_candle(now_ms)
        last = decimal_of(market.opens[index])
        if self._desk.tick(symbol, last, None if mark is None else decimal_of(mark.open), now_ms):
            self._carrier.look(symbol)

    def _equity_due(self, now_ms: int) -> bool:
        """The account is read whenever it can have changed, and at every start of a day."""
        booked = self._recorder.trades_booked
        due = bool(self._active()) or booked != self._booked or now_ms // DAY_MS != self._equity_day
        self._booked = booked
        return due

    def _read_equity(self, now_ms: int) -> None:
        self._equity_day = now_ms // DAY_MS
        account = self._desk.account()
        step = self._engine.read_equity(EquityRead(at_ms=now_ms, account=account, transfers=self._desk.transfers()))
        self._recorder.equity(now_ms, account)
        self.curve.append((now_ms, account.equity))
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
            self._carrier.carry(self._engine.handle(event))

    def _deciding(self, now_ms: int) -> list[str]:
        """Symbols at whose close the engine must be asked; the others are idle and their candle brings no signal."""
        found = []
        for symbol, history in self._histories.items():
            index = history.market.index_at(now_ms - self._step_ms)
            if index is None:
                continue
            if self._every_candle or history.codes[index] == SIGNAL or not self._quiet(symbol, now_ms):
                found.append(symbol)
        return found

    def _quiet(self, symbol: str, now_ms: int) -> bool:
        """Idle and free: what it makes of a candle depends on the candle alone."""
        record: SymbolRecord = self._engine.record(symbol)
        free = record.state is State.IDLE and not (record.paused or record.quarantine or record.halt)
        return free and now_ms >= record.cooldown_until_ms and self._engine.account.halt is None

    def _decide(self, deciding: list[str], now_ms: int) -> None:
        """All decisions of this close first, in symbol order on one account snapshot; their orders afterwards."""
        asked = set(deciding)
        steps: list[Step] = []
        for symbol, history in self._histories.items():
            index = history.market.index_at(now_ms - self._step_ms)
            if index is None:
                continue
            if symbol in asked:
                steps += self._ask(symbol, history, index, now_ms)
            elif history.codes[index] != self._codes.get(symbol):
                self._note_quiet(symbol, history, index, now_ms)
        self._carrier.carry(steps)

    def _ask(self, symbol: str, history: History, index: int, now_ms: int) -> list[Step]:
        event = CandleClosed(
            symbol=symbol,
            at_ms=now_ms,
            candle_ms=history.market.opens_ms[index],
            facts=history.table.facts_at(index),
            regime=history.regime_state(index),
            prices=self._desk.prices(symbol),
        )
        reading, portfolio, steps = self._engine.close_candle(event)
        self.decided += 1
        self._codes[symbol] = history.codes[index] if reading.outcome in ("NO_TRADE", "NO_SIGNAL") else SIGNAL - 1
        self._recorder.decision(event, reading, portfolio)
        return steps

    def _note_quiet(self, symbol: str, history: History, index: int, now_ms: int) -> None:
        """An idle symbol's reading changed without a signal: only the journal hears of it."""
        self._codes[symbol] = history.codes[index]
        outcome, reason = history.quiet_reading(index)
        route = history.rules.route(REGIMES[int(history.regimes.codes[index])])
        event = CandleClosed(
            symbol=symbol,
            at_ms=now_ms,
            candle_ms=history.market.opens_ms[index],
            facts=history.table.facts_at(index),
            regime=history.regime_state(index),
            prices=self._desk.prices_or_open(symbol),
        )
        self._recorder.decision(event, Reading(outcome=outcome, reason=reason, strategy=route.strategy), None)

    def _end(self, to_ms: int) -> None:
        """Close what is open at the last price, flagged, so that the sums are those of closed trades."""
        self._desk.now_ms = to_ms
        for symbol in self._active():
            event = Commanded(symbol=symbol, at_ms=to_ms, command="exit", cause="END_OF_DATA")
            self._carrier.carry(self._engine.handle(event))
        self._read_equity(to_ms)
        self._recorder.finish()


__all__ = ["Progress", "Run", "candle_path"]
