"""Runs one variant from close to close: the same moments in the same order as a backtest, without journal and exchange.

At one instant: funding, triggers at the open of the bar that begins, the account's limits, decisions in symbol order,
and then their orders. Between two instants prices follow their path where they may hit something, and are passed where
they cannot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from fsm.backtest.clock_loop import FUNDING_MS
from fsm.config import Settings
from fsm.core.limits import DAY_MS, is_over
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import HaltCause
from fsm.search.account import Account
from fsm.search.closed_trade import ClosedTrade
from fsm.search.figures import TradeColumns
from fsm.search.holding import Holding
from fsm.search.managing import moved_stop
from fsm.search.open_trade import OpenTrade
from fsm.search.orders import Orders
from fsm.search.portfolio import Correlated, free_margin, room_for
from fsm.search.seat import Seat
from fsm.search.sizing import plan, still_good
from fsm.search.straight.compiled import Form
from fsm.search.straight.passing import Passing
from fsm.search.terms import ZERO, Terms


class Change(NamedTuple):
    """Other rules of the exchange for some symbols, from an instant on."""

    at_ms: int
    terms: Mapping[str, Terms]


class Evaluation:
    """One variant under way; afterwards ``trades``, ``account.curve`` and the counts say what came of it."""

    def __init__(
        self,
        settings: Settings,
        seats: list[Seat],
        changes: list[Change],
        correlated: Correlated,
        step_ms: int,
        form: Form | None,
    ) -> None:
        """``changes`` in order of time. ``form``: of the kernel; None: without it."""
        self._settings, self.seats = settings, seats
        self.step_ms, self.entry_ms = step_ms, seats[0].terms.entry_ms
        self._correlated = correlated
        self._flattens = settings.limits.action is LimitAction.FLATTEN
        self.account = Account(settings)
        self.active: dict[str, Seat] = {}
        self.orders = Orders(self.account, self.active)
        self._holding = Holding(self)
        self._walked: list[Seat] = []
        self._form = form
        self._changes = changes[::-1]
        self._passed: list[Passing] = []
        self._passing: Passing | None = None
        self.position_ms = self.fundings = 0
        self.fundings_missing: Counter[str] = Counter()

    def trades(self) -> tuple[ClosedTrade, ...]:
        """In the order in which they were booked."""
        found, made = self.orders.trades, [*chain.from_iterable(each.booked.trades() for each in self._passed)]
        return tuple(made[each] if isinstance(each, int) else each for each in found)

    def trade_columns(self) -> TradeColumns:
        """All of them, in any order."""
        others = [each for each in self.orders.trades if not isinstance(each, int)]
        return TradeColumns.joined([TradeColumns.of(others), *(each.booked.columns() for each in self._passed)])

    @property
    def by_kernel(self) -> int:
        """How many of them the kernel lived."""
        return sum(each.booked.count for each in self._passed)

    @property
    def ambiguous(self) -> int:
        """Bars in which a stop or a target was hit and its counterpart could have been."""
        return self.orders.ambiguous

    @property
    def undecided(self) -> int:
        """The same without finer candles."""
        return self.orders.undecided

    def run(self, from_ms: int, to_ms: int) -> None:
        now_ms, until_ms = from_ms + self.step_ms, from_ms
        while now_ms <= to_ms:
            self._follow(now_ms)
            if now_ms >= until_ms:
                until_ms = self._rules_until(now_ms, to_ms)
            self._instant(now_ms, last=now_ms == to_ms)
            if self._passing and not self.active and self.account.is_read and now_ms < to_ms and not self._is_halted:
                now_ms = self._passing.ahead(now_ms)
            now_ms = self._next(now_ms, until_ms)
        for seat in self._active():
            self.orders.leave_or_cancel(seat, "END_OF_DATA", to_ms, flagged="END_OF_DATA")
        self._read(to_ms, acts=True)

    def _rules_until(self, now_ms: int, to_ms: int) -> int:
        """Take up the exchange's rules of now; when they change next."""
        while self._changes and self._changes[-1].at_ms <= now_ms:
            for symbol, terms in self._changes.pop().terms.items():
                next(seat for seat in self.seats if seat.symbol == symbol).take(terms)
        until_ms = min(self._changes[-1].at_ms, to_ms) if self._changes else to_ms
        self._passing = Passing.of(self, self.seats, until_ms, self._form) if now_ms < to_ms else None
        if self._passing:
            self._passed.append(self._passing)
        return until_ms

    def _active(self) -> list[Seat]:
        return [self.active[symbol] for symbol in sorted(self.active)]

    # --- time ---------------------------------------------------------------------------------
    def _next(self, now_ms: int, to_ms: int) -> int:
        """The next instant at which anything may happen."""
        next_ms = now_ms + self.step_ms
        if next_ms >= to_ms:
            return next_ms
        if self.active:
            return self._holding.passed(self._active(), now_ms, to_ms)
        first_ms = -(-next_ms // self.entry_ms) * self.entry_ms
        asked = (self.asks(seat, first_ms) for seat in self.seats)
        end_ms = min((to_ms, *(at_ms for at_ms in asked if at_ms is not None)))
        if self.account.day < 0 or (self.account.is_behind and first_ms >= end_ms):
            return min(first_ms, to_ms)
        if self.account.is_behind:
            if self._is_halted:
                return first_ms
            self.account.is_due(first_ms, active=False)
            self._read(first_ms, acts=True)
            if self.account.halt is not None:
                return first_ms + self.entry_ms
        return self._pass_days(end_ms)

    @property
    def _is_halted(self) -> bool:
        account = self.account
        return account.breach is not None or account.halt is not None or any(seat.halt for seat in self.seats)

    def asks(self, seat: Seat, from_ms: int) -> int | None:
        """When it signals next and may trade."""
        if seat.halt is not None or self.account.halt is not None:
            return None
        return seat.signals.next_ms(max(from_ms, seat.resting_until_ms))

    def _pass_days(self, end_ms: int) -> int:
        """Nothing is open: the account is read where days begin, which may end a limit."""
        account = self.account
        day_ms = (account.day + 1) * DAY_MS
        if day_ms >= end_ms:
            return end_ms
        if self._is_halted:
            return day_ms
        last_ms = (end_ms - 1) // DAY_MS * DAY_MS
        account.stand(range(day_ms, last_ms, DAY_MS))
        self._read(last_ms, acts=True)
        return end_ms

    def _follow(self, now_ms: int) -> None:
        """Let the prices of the bar that ends then move."""
        if not self._walked:
            return
        open_ms, walked = now_ms - self.step_ms, self._walked
        self.position_ms += len(self.active) * self.step_ms
        if all(seat.is_quiet(open_ms) for seat in walked):
            for seat in walked:
                if (quote := seat.bars.closing(open_ms)) is not None:
                    seat.quote, seat.told_ms = quote, now_ms - 1
        else:
            bars = {seat: bar for seat in walked if (bar := seat.bars.bar(open_ms)) is not None}
            self.orders.walk(bars, open_ms, now_ms)
            for seat in bars:
                seat.told_ms = now_ms - 1
        for seat in self._active():
            trade = seat.trade
            if trade is not None and not trade.is_filled and trade.expires_ms <= now_ms:
                self.orders.drop(seat)

    def _instant(self, now_ms: int, *, last: bool) -> None:
        active = self._active()
        for seat in active:
            self._fund(seat, now_ms)
        if active:
            self._open(active, now_ms)
        decides = now_ms % self.entry_ms == 0
        if self.account.is_due(now_ms, active=bool(self.active)) if decides else active:
            self._read(now_ms, acts=decides)
        if not last:
            if decides:
                self._decide(now_ms)
            self._walked = [*dict.fromkeys((*active, *self._active()))] if self.active else []

    def _fund(self, seat: Seat, now_ms: int) -> None:
        trade = seat.trade
        assert trade is not None
        if not trade.held:
            return
        rate = seat.bars.feed.funding(now_ms)
        if rate is not None:
            self.account.wallet += trade.pay_funding(seat.now.mark, rate)
            self.fundings += 1
        elif now_ms % FUNDING_MS == 0:
            self.fundings_missing[seat.symbol] += 1

    def missed_funding(self, symbol: str, times: int) -> None:
        """So many settlements that a position was due for are not in the data."""
        self.fundings_missing[symbol] += times

    def _open(self, active: list[Seat], now_ms: int) -> None:
        """Prices jump to the opens of the bars that begin."""
        quotes = {seat: quote for seat in active if (quote := seat.bars.opening(now_ms)) is not None}
        for seat in quotes:
            seat.told_ms = now_ms
        if all(seat.is_quiet(now_ms) for seat in quotes):
            for seat, quote in quotes.items():
                seat.quote = quote
            return
        bars = {seat: bar for seat in quotes if (bar := seat.bars.bar(now_ms)) is not None}
        self.orders.walking.open(quotes, bars, now_ms)

    # --- the account --------------------------------------------------------------------------
    def _read(self, now_ms: int, *, acts: bool) -> None:
        account, unrealized = self.account, ZERO
        for seat in self.active.values():
            if seat.trade is not None and seat.trade.held:
                unrealized += seat.trade.unrealized(seat.now.mark)
        equity = account.wallet + unrealized
        account.note(now_ms, equity)
        if acts:
            self._apply(*account.judge(now_ms, equity, free_margin(account, self.active)), now_ms)

    def _apply(self, breached: HaltCause | None, over: HaltCause | None, began: bool, now_ms: int) -> None:
        """A limit that was hit halts every symbol (or flattens it); one whose period ended lets them go on."""
        for cause in self._ended(over, now_ms) if began and self._is_stopped(over) else ():
            for seat in self.seats:
                if seat.halt is not None and seat.halt.cause == cause:
                    seat.halt = None
        hit = breached or (self._behind() if self.account.breach is not None else None)
        for seat in self.seats if hit is not None else ():
            assert hit is not None
            changed = seat.halted(hit, now_ms)
            if seat.trade is None:
                continue
            if self._flattens:
                self.orders.leave_or_cancel(seat, hit.value, now_ms)
            elif changed and not seat.trade.is_filled:
                self.orders.drop(seat)

    def _is_stopped(self, over: HaltCause | None) -> bool:
        return over is not None or any(seat.halt for seat in self.seats)

    def _ended(self, over: HaltCause | None, now_ms: int) -> list[HaltCause]:
        found = {over} if over is not None else set()
        if self._settings.limits.auto_resume:
            halts = (seat.halt for seat in self.seats)
            found |= {HaltCause(halt.cause) for halt in halts if halt is not None and is_over(halt, now_ms)}
        return [cause for cause in HaltCause if cause in found]

    def _behind(self) -> HaltCause | None:
        breach = self.account.breach
        if breach is None:
            return None
        late = any(seat.halt is None or (self._flattens and seat.trade is not None) for seat in self.seats)
        return HaltCause(breach.cause) if late else None

    # --- decisions ----------------------------------------------------------------------------
    def _decide(self, now_ms: int) -> None:
        """All decisions of this close first, in symbol order; what they ask for afterwards, entries last."""
        candle_ms = now_ms - self.entry_ms
        wanted: list[tuple[Seat, OpenTrade | str]] = []
        for seat in self.seats:
            found = self._decided(seat, candle_ms, now_ms)
            if found is not None:
                wanted.append((seat, found))
        entries = [seat for seat, found in wanted if not self._managed(seat, found, now_ms)]
        for seat in entries:
            self.orders.enter(seat, now_ms)

    def _decided(self, seat: Seat, candle_ms: int, now_ms: int) -> OpenTrade | str | None:
        index = seat.market.index_at(candle_ms)
        if index is None:
            return None
        if seat.trade is not None:
            return self._judged(seat, seat.trade, index) if seat.trade.held else None
        if seat.halt is not None or self.account.halt is not None or now_ms < seat.resting_until_ms:
            return None
        signal = seat.signals.at(index)
        if signal is None or not self.account.is_read:
            return None
        seat.price(now_ms)
        if seat.quote is None:
            return None
        room = room_for(self.account, self.active, self._correlated, seat, now_ms)
        trade = plan(seat.terms, signal, candle_ms, seat.opened + 1, seat.terms.told(seat.now), room)
        if trade is not None:
            seat.opened += 1
            seat.trade = trade
            self.active[seat.symbol] = seat
        return trade

    def _judged(self, seat: Seat, trade: OpenTrade, index: int) -> str | None:
        """Why an open trade ends now. A stop that moves has moved at once: the next symbol has that much more room."""
        found = seat.signals.managed(trade, index)
        if found is None or found.exit_reason is not None or found.stop is None:
            return None if found is None else found.exit_reason
        price = moved_stop(trade, found.stop, seat.terms.told(seat.now))
        if price is not None:
            trade.move_stop(price)
            trade.asked = None
        return None

    def _managed(self, seat: Seat, found: OpenTrade | str, now_ms: int) -> bool:
        """What the rules want of an open trade; False for a trade that is to be opened."""
        if isinstance(found, OpenTrade):
            if not still_good(found, seat.terms.told(seat.now)[0]) or not seat.terms.can_set_up:
                self.orders.drop(seat)
                return True
            return False
        self.orders.leave(seat, found, now_ms)
        return True
